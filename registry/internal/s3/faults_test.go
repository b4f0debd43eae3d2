package s3_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/ingot-ml/ingot/registry/internal/s3"
)

// fault is what becomes of a request. next sends it.
type fault func(req *http.Request, next http.RoundTripper) (*http.Response, error)

// wire is a transport that notes every request, and has some go wrong as told.
type wire struct {
	next http.RoundTripper

	mu       sync.Mutex // protects what follows; not held across a request
	script   []fault    // of the next requests that match
	match    func(*http.Request) bool
	requests []*http.Request
}

func newWire(t testing.TB) *wire {
	t.Helper()
	next, err := s3.NewTransport()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(next.CloseIdleConnections)
	return &wire{next: next}
}

// fail lets the next requests that match go wrong, in this order.
func (w *wire) fail(match func(*http.Request) bool, script ...fault) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.match, w.script, w.requests = match, script, nil
}

// count returns how many requests that match were sent since fail.
func (w *wire) count(match func(*http.Request) bool) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, req := range w.requests {
		if match(req) {
			n++
		}
	}
	return n
}

// sent returns all requests since fail, as METHOD PATH?QUERY.
func (w *wire) sent() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	var all []string
	for _, req := range w.requests {
		all = append(all, req.Method+" "+req.URL.RequestURI())
	}
	return all
}

// left returns how many faults have not happened.
func (w *wire) left() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.script)
}

// RoundTrip implements http.RoundTripper.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	if now := w.take(req); now != nil {
		return now(req, w.next)
	}
	return w.next.RoundTrip(req)
}

func (w *wire) take(req *http.Request) fault {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.requests = append(w.requests, req)
	if w.match == nil || !w.match(req) || len(w.script) == 0 {
		return nil
	}
	now := w.script[0]
	w.script = w.script[1:]
	return now
}

func method(names ...string) func(*http.Request) bool {
	return func(req *http.Request) bool { return slices.Contains(names, req.Method) }
}

func every(*http.Request) bool { return true }

// errReset is how a connection breaks.
var errReset = fmt.Errorf("read tcp: %w", syscall.ECONNRESET)

// fine sends the request as it is.
func fine(req *http.Request, next http.RoundTripper) (*http.Response, error) {
	return next.RoundTrip(req)
}

// reset breaks the connection before the store has seen anything.
func reset(*http.Request, http.RoundTripper) (*http.Response, error) { return nil, errReset }

// lost has the request happen, and loses the answer.
func lost(req *http.Request, next http.RoundTripper) (*http.Response, error) {
	resp, err := next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	_, err = io.Copy(io.Discard, resp.Body)
	return nil, errors.Join(errReset, err, resp.Body.Close())
}

// but has the request happen, and answers that it failed.
func but(code int) fault {
	return func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		if _, err := lost(req, next); !errors.Is(err, errReset) {
			return nil, err
		}
		return page(code, "")(&http.Request{}, nil)
	}
}

// status answers without the store, in its name.
func status(code int, name string) fault {
	return page(code, "<?xml version=\"1.0\"?><Error><Code>"+name+"</Code><Message>a\nmessage</Message></Error>")
}

// page answers without the store.
func page(code int, body string) fault {
	return func(req *http.Request, _ http.RoundTripper) (*http.Response, error) {
		if req.Body != nil {
			_, _ = io.Copy(io.Discard, req.Body) // what a server does
		}
		return &http.Response{
			Status: http.StatusText(code), StatusCode: code, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: req,
			Header: http.Header{}, ContentLength: int64(len(body)), Body: io.NopCloser(strings.NewReader(body)),
		}, nil
	}
}

// twice sends the request again after its answer, as a proxy may, and answers with
// what comes of that.
func twice(req *http.Request, next http.RoundTripper) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	again := req.Clone(req.Context())
	req.Body, again.Body = io.NopCloser(bytes.NewReader(body)), io.NopCloser(bytes.NewReader(body))
	if _, err := lost(req, next); !errors.Is(err, errReset) {
		return nil, err
	}
	return next.RoundTrip(again)
}

// cut ends the body of the answer after n bytes, by an error or as if that were all.
func cut(n int64, end error) fault {
	return func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		resp, err := next.RoundTrip(req)
		if err != nil {
			return nil, err
		}
		resp.Body = &short{resp.Body, io.LimitReader(resp.Body, n), end}
		return resp, nil
	}
}

type short struct {
	io.Closer
	rest io.Reader
	end  error
}

func (s *short) Read(p []byte) (int, error) {
	n, err := s.rest.Read(p)
	if err == io.EOF {
		err = s.end
	}
	return n, err
}

// flip changes a bit of the body on its way.
func flip(req *http.Request, next http.RoundTripper) (*http.Response, error) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return nil, err
	}
	body[len(body)/2] ^= 1
	req.Body = io.NopCloser(bytes.NewReader(body))
	return next.RoundTrip(req)
}

// object answers with a whole object, whatever was asked for.
func object(body string) fault {
	return func(req *http.Request, next http.RoundTripper) (*http.Response, error) {
		resp, err := page(http.StatusOK, body)(req, next)
		resp.Header.Set("Content-Length", strconv.Itoa(len(body)))
		resp.Header.Set("Last-Modified", "Fri, 02 Jan 2026 03:04:05 GMT")
		resp.Header.Set("ETag", `"1"`)
		return resp, err
	}
}

// wired opens a prefix of a new bucket of MinIO over a wire.
func wired(t testing.TB) (*s3.Space, *wire) {
	t.Helper()
	w := newWire(t)
	return dial(t, stores.MinIO(t), s3.Options{Transport: w}), w
}

// many repeats a fault.
func many(n int, f fault) []fault { return slices.Repeat([]fault{f}, n) }
