package nodeapi_test

import (
	"context"
	"errors"
	"net"
	"os"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/nodecache/internal/nodeapi"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/leaseconn"
)

// raw opens a connection and asks for the lease protocol, as a client that goes
// its own ways from then on.
func raw(t *testing.T, socket string) *net.UnixConn {
	t.Helper()
	c, err := net.Dial("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	ask(t, c, "POST /v1/lease HTTP/1.1\r\nHost: ingot\r\nConnection: Upgrade\r\nUpgrade: ingot-lease/1\r\n\r\n")
	answer := make([]byte, len("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ingot-lease/1\r\n\r\n"))
	if _, err := c.Read(answer); err != nil || string(answer[9:12]) != "101" {
		t.Fatalf("upgrade: %q, %v", answer, err)
	}
	return c.(*net.UnixConn)
}

func ask(t *testing.T, c net.Conn, text string) {
	t.Helper()
	if _, err := c.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
}

func framesOf(c *net.UnixConn) *leaseconn.Conn[openapi.LeaseFrame] {
	return leaseconn.New[openapi.LeaseFrame](c, openapi.MaxLeaseFrame)
}

func write(t *testing.T, c *leaseconn.Conn[openapi.LeaseFrame], f openapi.LeaseFrame) {
	t.Helper()
	if err := c.Write(f); err != nil {
		t.Fatal(err)
	}
}

func wanted(mode string) openapi.LeaseFrame {
	return openapi.LeaseFrame{Type: openapi.FrameLease, Lease: &openapi.LeaseRequest{Ref: modelRef, Mode: mode}}
}

// TestDeadClientReleases lets clients vanish at every point of a lease.
func TestDeadClientReleases(t *testing.T) {
	for _, mode := range []string{openapi.LeaseWhole, openapi.LeaseStream, openapi.LeaseWindow} {
		n := newFakeNode(t, newModel(t, false))
		s, _ := start(t, n)
		conn := raw(t, s.socket)
		write(t, leaseconn.New[openapi.LeaseFrame](conn, openapi.MaxLeaseFrame), wanted(mode))
		n.await(t, "lease", func() bool { return n.open == 1 })
		if err := conn.Close(); err != nil {
			t.Fatal(err)
		}
		n.await(t, "release", func() bool { return n.open == 0 })
	}
}

// TestStalledClientIsCut has clients that do not read what does not fit into the
// buffers of a socket.
func TestStalledClientIsCut(t *testing.T) {
	for _, mode := range []string{openapi.LeaseWhole, openapi.LeaseStream} {
		n := newFakeNode(t, newTinyModel(t, 20_000))
		s := serve(t, n, t.TempDir()+"/s", nodeapi.Config{Stall: 50 * time.Millisecond})
		conn := raw(t, s.socket)
		write(t, leaseconn.New[openapi.LeaseFrame](conn, openapi.MaxLeaseFrame), wanted(mode))
		n.await(t, "lease", func() bool { return len(n.leases) == 1 })
		n.await(t, "release", func() bool { return n.open == 0 })
	}
}

// TestMistakesOfClients says what they were, and releases.
func TestMistakesOfClients(t *testing.T) {
	lease := wanted(openapi.LeaseWhole)
	for name, frames := range map[string][]openapi.LeaseFrame{
		"ack first":           {{Type: openapi.FrameAck}},
		"nothing wanted":      {{Type: openapi.FrameLease}},
		"nothing declared":    {{Type: openapi.FrameDeclare}},
		"unknown":             {{Type: "steal"}},
		"ack of a whole":      {lease, {Type: openapi.FrameAck}},
		"second lease":        {lease, lease},
		"declared no version": {{Type: openapi.FrameDeclare, Declare: &openapi.LeaseDeclare{Ref: modelRef, Version: chunker.Sum(nil), Segments: []openapi.LeaseSegment{{ID: 1, Size: 4096}}}}},
	} {
		t.Run(name, func(t *testing.T) {
			n := newFakeNode(t, newModel(t, false))
			s, _ := start(t, n)
			conn := leaseconn.New[openapi.LeaseFrame](raw(t, s.socket), openapi.MaxLeaseFrame)
			for _, f := range frames {
				write(t, conn, f)
			}
			if got := lastError(t, conn); got == nil || got.Code != openapi.CodeBadRequest {
				t.Errorf("the client is told %v, want bad_request", got)
			}
			n.await(t, "release", func() bool { return n.open == 0 })
		})
	}
}

// lastError reads until the connection ends.
func lastError(t *testing.T, conn *leaseconn.Conn[openapi.LeaseFrame]) (last *openapi.Error) {
	t.Helper()
	for {
		f, files, err := conn.Read()
		leaseconn.CloseAll(files)
		if err != nil {
			return last
		}
		last = f.Error
	}
}

// TestBytesThatAreNoFrame ends connections whose bytes mean nothing.
func TestBytesThatAreNoFrame(t *testing.T) {
	n := newFakeNode(t, newModel(t, false))
	s, _ := start(t, n)
	for _, text := range []string{
		"\x00\x00\x00\x00", "\xff\xff\xff\xff", "\x00\x10\x00\x01", "\x00\x00\x00\x02{]", "\x00\x00\x00\x04null", "GET / HTTP/1.1\r\n\r\n",
	} {
		c := raw(t, s.socket)
		ask(t, c, text)
		if got := lastError(t, leaseconn.New[openapi.LeaseFrame](c, openapi.MaxLeaseFrame)); got == nil || got.Code != openapi.CodeBadRequest {
			t.Errorf("%q: the client is told %v, want bad_request", text, got)
		}
	}
	n.look(func() {
		if len(n.orders) != 0 {
			t.Errorf("the node was asked for %+v", n.orders)
		}
	})
}

// TestHastyClient speaks before it is asked to, so that descriptors could be lost.
func TestHastyClient(t *testing.T) {
	n := newFakeNode(t, newModel(t, false))
	s, _ := start(t, n)
	c, err := net.Dial("unix", s.socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	ask(t, c, "POST /v1/lease HTTP/1.1\r\nHost: ingot\r\nConnection: Upgrade\r\nUpgrade: ingot-lease/1\r\n\r\n\x00\x00\x00\x02{}")
	if got, err := c.Read(make([]byte, 1)); got != 0 || err == nil {
		t.Error("a hasty client is served")
	}
}

// TestManyLeases opens and ends thousands of leases in every way, and counts what
// is left.
func TestManyLeases(t *testing.T) {
	n := newFakeNode(t, newTinyModel(t, 3))
	s, a := start(t, n)
	one := func(i int) {
		mode := []string{openapi.LeaseWhole, openapi.LeaseStream, openapi.LeaseWindow}[i%3]
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		o := agent.LeaseOptions{}
		if i%7 == 0 {
			o.Waiting = func(_, _ int64) { cancel() }
		}
		l, err := a.Lease(ctx, openapi.LeaseRequest{Ref: modelRef, Mode: mode}, o)
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			return
		}
		if i%2 == 0 {
			for _, err := range l.Tensors(t.Context()) {
				if err != nil {
					t.Error(err)
				}
			}
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	}
	one(1)
	n.await(t, "release", func() bool { return n.open == 0 })
	files, goroutines := openFiles(t), runtime.NumGoroutine()
	var wg sync.WaitGroup
	next := make(chan int)
	for range 8 {
		wg.Go(func() {
			for i := range next {
				one(i)
			}
		})
	}
	for i := range manyLeases {
		next <- i
	}
	close(next)
	wg.Wait()
	n.await(t, "all releases", func() bool { return n.open == 0 })
	s.api.Wait()
	if got := openFiles(t); got > files {
		t.Errorf("%d descriptors are open, %d were", got, files)
	}
	// net/http ends those of its connections a moment after their handlers.
	for runtime.NumGoroutine() > goroutines {
		runtime.Gosched()
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(list)
}

// TestLimitOfLeases refuses more connections than the node is told to have.
func TestLimitOfLeases(t *testing.T) {
	n := newFakeNode(t, newModel(t, false))
	s := serve(t, n, t.TempDir()+"/s", nodeapi.Config{Leases: 1})
	a := dial(t, s.socket)
	l := lease(t, a, openapi.LeaseWhole)
	if _, err := a.Lease(t.Context(), openapi.LeaseRequest{Ref: modelRef}, agent.LeaseOptions{}); !errors.Is(err, &openapi.Error{Code: openapi.CodeBusy}) {
		t.Errorf("a second lease: %v, want busy", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}
