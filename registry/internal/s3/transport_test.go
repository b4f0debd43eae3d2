package s3_test

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingot-ml/ingot/integration/storetest"
	"github.com/ingot-ml/ingot/registry/internal/s3"
)

// pipe returns a connection that is watched, and its peer.
func pipe(t *testing.T) (near, far net.Conn) {
	t.Helper()
	near, far = net.Pipe()
	near = s3.Impatient(near)
	t.Cleanup(func() {
		if err := errors.Join(near.Close(), far.Close()); err != nil {
			t.Error(err)
		}
	})
	return near, far
}

// TestSilence has a peer that neither sends nor takes bytes.
func TestSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, _ := pipe(t)
		start := time.Now()
		_, readErr := conn.Read(make([]byte, 1))
		_, writeErr := conn.Write(make([]byte, 1))
		for _, err := range []error{readErr, writeErr} {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("error is %v, want a timeout", err)
			}
		}
		if waited := time.Since(start); waited != 2*s3.Silence {
			t.Errorf("it waited %v, want %v twice", waited, s3.Silence)
		}
	})
}

// TestSilenceBeforeRequest has a connection lie idle until shortly before its
// deadline: a request on it has all the time there is.
func TestSilenceBeforeRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		conn, far := pipe(t)
		read := make(chan error)
		go func() { // as the transport waits for whatever comes
			_, err := conn.Read(make([]byte, 1))
			read <- err
		}()
		time.Sleep(s3.Silence - time.Second)
		go func() {
			_, _ = io.ReadFull(far, make([]byte, 1))
			time.Sleep(s3.Silence - time.Second)
			_, _ = far.Write([]byte("x"))
		}()
		if _, err := conn.Write([]byte("r")); err != nil {
			t.Fatal(err)
		}
		if err := <-read; err != nil {
			t.Errorf("the answer is not waited for: %v", err)
		}
	})
}

// counted counts the connections of a transport.
type counted struct{ opened, closed atomic.Int64 }

type countedConn struct {
	net.Conn
	once  sync.Once
	count *counted
}

func (c *countedConn) Close() error {
	c.once.Do(func() { c.count.closed.Add(1) })
	return c.Conn.Close()
}

// TestConnections reads whole, in part, and not at all: connections are used again
// or closed, and none is left.
func TestConnections(t *testing.T) {
	both(t, func(t *testing.T, store *storetest.Store) {
		transport, err := s3.NewTransport()
		if err != nil {
			t.Fatal(err)
		}
		var n counted
		dial := transport.DialContext
		transport.DialContext = s3.DialFunc(dial, func(c net.Conn) net.Conn {
			n.opened.Add(1)
			return &countedConn{Conn: c, count: &n}
		})
		space := dialVia(t, store, transport)
		if err := space.Blobs().Put(t.Context(), "c/x", make([]byte, 1<<20)); err != nil {
			t.Fatal(err)
		}
		before := n.opened.Load()
		for range 20 {
			if _, err := readAll(t.Context(), space.Blobs(), "c/x", 0, -1); err != nil {
				t.Fatal(err)
			}
		}
		if made := n.opened.Load() - before; made != 0 {
			t.Errorf("20 reads one after the other made %d connections", made)
		}
		for range 5 {
			r, err := space.Blobs().Open(t.Context(), "c/x", 0, -1)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.ReadFull(r, make([]byte, 10)); err != nil {
				t.Fatal(err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
		transport.CloseIdleConnections()
		deadline := time.Now().Add(10 * time.Second) // of the goroutines that close them
		for n.opened.Load() != n.closed.Load() && time.Now().Before(deadline) {
			time.Sleep(time.Millisecond)
		}
		if opened, closed := n.opened.Load(), n.closed.Load(); opened != closed {
			t.Errorf("%d connections were opened and %d closed", opened, closed)
		}
	})
}

func dialVia(t *testing.T, store *storetest.Store, transport http.RoundTripper) *s3.Space {
	t.Helper()
	return dial(t, store, s3.Options{Transport: transport})
}

// TestServerAway kills the server under a space, and starts it again.
func TestServerAway(t *testing.T) {
	store := storetest.MinIO(t)
	space := dial(t, store, s3.Options{})
	if err := space.Blobs().Put(t.Context(), "c/x", []byte("x")); err != nil {
		t.Fatal(err)
	}
	store.Kill(t)
	_, err := readAll(t.Context(), space.Blobs(), "c/x", 0, -1)
	refused(t, "open", err, s3.ErrUnreachable, store.Endpoint)
	err = space.Blobs().Put(t.Context(), "c/y", []byte("y"))
	refused(t, "put", err, s3.ErrUnreachable, store.Endpoint)
	store.Restart(t)
	if got, err := readAll(t.Context(), space.Blobs(), "c/x", 0, -1); err != nil || got != "x" {
		t.Errorf("after it came back: %q, %v", got, err)
	}
	if err := space.Blobs().Put(t.Context(), "c/y", []byte("y")); err != nil {
		t.Error(err)
	}
}
