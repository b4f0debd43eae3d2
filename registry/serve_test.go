package registry_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry"
)

func listen(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// serve runs r on l and returns how to stop it, which returns what Serve did.
func serve(t *testing.T, r *registry.Registry, l net.Listener) (stop func() error) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Serve(ctx, l) }()
	return func() error {
		cancel()
		return <-done
	}
}

func TestServe(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	stop := serve(t, open(t, t.TempDir()), l)
	resp, err := http.Get("http://" + l.Addr().String() + "/healthz")
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(resp.Body)
	if resp.Body.Close(); err != nil || string(body) != `{"status":"ok","version":"test"}` || resp.Header.Get("Server") != "" {
		t.Errorf("health: %s, %v, header %v", body, err, resp.Header)
	}
	http.DefaultClient.CloseIdleConnections()
	if err := stop(); err != nil {
		t.Errorf("stop: %v", err)
	}
	if _, err := http.Get("http://" + l.Addr().String() + "/healthz"); err == nil {
		t.Error("somebody answers after the stop")
	}
}

// TestExposed tries addresses that others can reach.
func TestExposed(t *testing.T) {
	r := open(t, t.TempDir())
	l := listen(t, "tcp", "0.0.0.0:0")
	if err := r.Serve(t.Context(), l); !errors.Is(err, registry.ErrExposed) || !strings.Contains(err.Error(), "Insecure") {
		t.Errorf("serve %s: %v, want ErrExposed and what to do", l.Addr(), err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("the listener is still open: %v", err)
	}
}

func TestAllowedAddresses(t *testing.T) {
	for _, tc := range []struct {
		what     string
		listener net.Listener
		insecure bool
	}{
		{"told to", listen(t, "tcp", "0.0.0.0:0"), true},
		{"a socket file", listen(t, "unix", filepath.Join(t.TempDir(), "s")), false},
	} {
		t.Run(tc.what, func(t *testing.T) {
			r, err := registry.Open(t.Context(), registry.Config{Data: t.TempDir(), Reserve: -1, Insecure: tc.insecure})
			if err != nil {
				t.Fatal(err)
			}
			closeAtEnd(t, r)
			stop := serve(t, r, tc.listener)
			client := http.Client{Transport: &http.Transport{
				DisableKeepAlives: true,
				DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
					var d net.Dialer
					return d.DialContext(ctx, tc.listener.Addr().Network(), tc.listener.Addr().String())
				},
			}}
			resp, err := client.Get("http://registry/healthz")
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if err := stop(); err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("status %d, stop: %v", resp.StatusCode, err)
			}
		})
	}
}

// TestRunningRequestsFinish stops the registry while an upload is half sent.
func TestRunningRequestsFinish(t *testing.T) {
	r := open(t, t.TempDir())
	p := pusher{t, r.Handler()}
	push, plain := p.start(), []byte("sent in two halves")
	l := listen(t, "tcp", "127.0.0.1:0")
	stop := serve(t, r, l)

	body := codec.Append(nil, plain, chunker.Opaque)
	from, feed := io.Pipe()
	answered := make(chan int, 1)
	go func() {
		answered <- upload("http://"+l.Addr().String()+push+"/chunks/"+chunker.Sum(plain).String(), from, len(body))
	}()
	// The client waits for the registry to want the body, so that the request is
	// under way when the first half has gone.
	if _, err := feed.Write(body[:8]); err != nil {
		t.Fatal(err)
	}
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	for { // until nobody listens any more: the stop has begun
		c, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			break
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	}
	if _, err := feed.Write(body[8:]); err != nil {
		t.Fatal(err)
	}
	if status := <-answered; status != http.StatusCreated {
		t.Errorf("the upload that was under way: status %d, want 201", status)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
}

// TestStreamsEndAtStop stops the registry while somebody listens to events: that
// ends in order, where a request that takes too long is cut off.
func TestStreamsEndAtStop(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	stop := serve(t, open(t, t.TempDir()), l)
	resp, err := http.Get("http://" + l.Addr().String() + "/v1/events?match=*")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	stopped := make(chan error, 1)
	go func() { stopped <- stop() }()
	if body, err := io.ReadAll(resp.Body); err != nil || !strings.HasPrefix(string(body), "event: ready\n") {
		t.Errorf("events %q end with %v", body, err)
	}
	if err := <-stopped; err != nil {
		t.Errorf("stop: %v", err)
	}
}

// upload sends n bytes of body as a chunk, and returns the status, or 0.
func upload(url string, body io.Reader, n int) int {
	req, err := http.NewRequest(http.MethodPut, url, body)
	if err != nil {
		return 0
	}
	req.ContentLength = int64(n)
	req.Header.Set("Content-Type", openapi.MediaChunk)
	req.Header.Set("Expect", "100-continue")
	client := http.Client{Transport: &http.Transport{ExpectContinueTimeout: time.Hour}}
	resp, err := client.Do(req)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// TestFailedRegisters ends Serve when nobody knows any more what is on the disk.
func TestFailedRegisters(t *testing.T) {
	r := open(t, t.TempDir())
	broken := errors.New("commit failed")
	failed := make(chan error, 1)
	registry.Fail(r, failed)
	done := make(chan error, 1)
	go func() { done <- r.Serve(t.Context(), listen(t, "tcp", "127.0.0.1:0")) }()
	failed <- broken
	if err := <-done; !errors.Is(err, broken) {
		t.Errorf("serve: %v, want the failure of the registers", err)
	}
}

// TestFailedListener ends Serve when no more connections come.
func TestFailedListener(t *testing.T) {
	l := listen(t, "tcp", "127.0.0.1:0")
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := open(t, t.TempDir()).Serve(t.Context(), l); !errors.Is(err, net.ErrClosed) {
		t.Errorf("serve a closed listener: %v, want net.ErrClosed", err)
	}
}

// TestIndexIsMadeAgain loses the chunk index: the registry knows its chunks still.
func TestIndexIsMadeAgain(t *testing.T) {
	data, plain := t.TempDir(), []byte("what a version holds")
	r := mustOpen(t, data, time.Hour)
	pusher{t, r.Handler()}.commit(plain)
	mustClose(t, r)
	lost, err := filepath.Glob(filepath.Join(data, "index.db*"))
	if err != nil || len(lost) == 0 {
		t.Fatalf("no index: %v", err)
	}
	for _, path := range lost {
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
	}
	r = mustOpen(t, data, time.Hour)
	defer mustClose(t, r)
	until(func() bool { return registry.Indexed(r) })
	if (pusher{t, r.Handler()}).missing(plain) {
		t.Error("a chunk of a version is missing after the index was made again")
	}
}

// TestHashesWhenIdle waits for the sha256 of files that nobody asked for, twice:
// what comes after an idle time is hashed in the next.
func TestHashesWhenIdle(t *testing.T) {
	data := t.TempDir()
	r := mustOpen(t, data, 10*time.Millisecond)
	defer mustClose(t, r)
	for i, plain := range []string{"a file", "another"} {
		pusher{t, r.Handler()}.commit([]byte(plain))
		until(func() bool { return hashBlobs(t, data) == i+1 })
	}
}

// TestCloseEndsWork closes a registry whose work is due all the time.
func TestCloseEndsWork(t *testing.T) {
	r := mustOpen(t, t.TempDir(), time.Microsecond)
	pusher{t, r.Handler()}.commit([]byte("a file"))
	mustClose(t, r)
}

// until waits for something that other goroutines bring about.
func until(ready func() bool) {
	for !ready() {
		time.Sleep(time.Millisecond)
	}
}

// hashBlobs counts the blobs that hold hashes.
func hashBlobs(t *testing.T, data string) int {
	t.Helper()
	found, err := filepath.Glob(filepath.Join(data, "blobs", "h", "acme", "llama", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return len(found)
}

// mustOpen opens a registry that works on its own after that much quiet.
func mustOpen(t *testing.T, data string, idle time.Duration) *registry.Registry {
	t.Helper()
	r, err := registry.OpenIdle(registry.Config{Data: data, Reserve: -1}, idle)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func mustClose(t *testing.T, r *registry.Registry) {
	t.Helper()
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}
