package floods_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/registry"
	"github.com/ingot-ml/ingot/registry/name"
)

// The addresses of this machine that callers come from.
const (
	friend = "127.0.0.1"
	foe    = "127.0.0.2"
)

// world is a registry with a model, and who calls it.
type world struct {
	address string
	model   string // the folder of it
	ref     name.Ref
}

// serve runs a registry in this process.
func serve(t *testing.T, c registry.Config) *world {
	t.Helper()
	c.Data = filepath.Join(t.TempDir(), "data")
	r, err := registry.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", friend+":0")
	if err != nil {
		t.Fatal(errors.Join(err, r.Close()))
	}
	ctx, stop := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- r.Serve(ctx, l) }()
	t.Cleanup(func() {
		stop()
		if err := errors.Join(<-served, r.Close()); err != nil {
			t.Error(err)
		}
	})
	return &world{address: l.Addr().String()}
}

// from returns a client that calls from an address of this machine.
func (w *world) from(t *testing.T, address string, o client.Options) *client.Registry {
	t.Helper()
	o.HTTP = callingFrom(t, address)
	r, err := client.New("http://"+w.address, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func callingFrom(t *testing.T, address string) *http.Client {
	t.Helper()
	transport := &http.Transport{DialContext: dialer(address).DialContext, DisableCompression: true, MaxIdleConnsPerHost: 64}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func dialer(address string) *net.Dialer {
	return &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(address)}, Timeout: 10 * time.Second}
}

// push pushes a model of about so many bytes.
func (w *world) push(t *testing.T, size int64) {
	t.Helper()
	w.model = filepath.Join(t.TempDir(), "model")
	if err := synth.Write(t.Context(), w.model, synth.ForSize(size)); err != nil {
		t.Fatal(err)
	}
	ref, err := name.ParseRef("acme/model:main")
	if err != nil {
		t.Fatal(err)
	}
	w.ref = ref
	if _, err := w.from(t, friend, client.Options{}).Push(t.Context(), w.model, ref, client.PushOptions{}); err != nil {
		t.Fatal(err)
	}
}

// pull pulls the model and returns how long that took.
func (w *world) pull(t *testing.T) time.Duration {
	t.Helper()
	to := filepath.Join(t.TempDir(), "pulled")
	began := time.Now()
	if _, err := w.from(t, friend, client.Options{}).Pull(t.Context(), w.ref, to, client.PullOptions{}); err != nil {
		t.Fatalf("pull beside the flood: %v", err)
	}
	took := time.Since(began)
	if err := os.RemoveAll(to); err != nil {
		t.Error(err)
	}
	return took
}

// raw opens a connection from an address and writes text to it.
func (w *world) raw(t *testing.T, address, text string) net.Conn {
	t.Helper()
	conn, err := dialer(address).DialContext(t.Context(), "tcp", w.address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() }) // it may be closed already
	if _, err := io.WriteString(conn, text); err != nil {
		t.Logf("%s: %v", address, err) // it was cut off, which is fine
	}
	return conn
}

// metric returns the value of a metric, with its labels as they are written.
func (w *world) metric(t *testing.T, name string) float64 {
	t.Helper()
	resp, err := callingFrom(t, friend).Get("http://" + w.address + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	found := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindSubmatch(body)
	if found == nil {
		t.Fatalf("no metric %s in\n%s", name, body)
	}
	v, err := strconv.ParseFloat(string(found[1]), 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// eventually waits until something is so.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for !is() {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

// closed tells whether the other end has closed a connection, within a moment.
func closed(conn net.Conn) bool {
	_ = conn.SetReadDeadline(time.Now().Add(time.Millisecond)) // it is a connection
	_, err := conn.Read(make([]byte, 1))
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

func request(method, path string, headers ...string) string {
	text := fmt.Sprintf("%s %s HTTP/1.1\r\nHost: localhost\r\n", method, path)
	for _, h := range headers {
		text += h + "\r\n"
	}
	return text + "\r\n"
}
