package wire_test

import (
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/client/internal/wire"
	"github.com/ingot-ml/ingot/openapi"
)

// sent is a registry that sends whoever allows it elsewhere, and counts.
type sent struct {
	caller        *wire.Caller
	address       string
	asked, direct atomic.Int64
}

func sending(t *testing.T) *sent {
	t.Helper()
	s := &sent{}
	s.caller, _ = caller(t, time.Millisecond, func(w http.ResponseWriter, q *http.Request) {
		s.asked.Add(1)
		if q.URL.Query().Get("direct") == openapi.Yes {
			s.direct.Add(1)
			w.Header().Set("Location", s.address)
			w.WriteHeader(http.StatusTemporaryRedirect)
			return
		}
		_, _ = io.WriteString(w, "registry")
	})
	return s
}

// read makes one call and returns the body.
func (s *sent) read(t *testing.T) string {
	t.Helper()
	var body string
	q := get
	q.Direct = true
	err := s.caller.Call(t.Context(), q, func(a wire.Answer) error {
		b, err := io.ReadAll(a.Body)
		body = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return body
}

func TestDirect(t *testing.T) {
	s := sending(t)
	store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if len(q.Header) > 1 || q.Header.Get("User-Agent") != "test" || q.URL.Query().Get("X-Amz-Signature") != "secret" {
			t.Errorf("the store gets %s with %v", q.URL, q.Header)
		}
		_, _ = io.WriteString(w, "store")
	}))
	defer store.Close()
	s.address = store.URL + "/bucket/c/1?X-Amz-Signature=secret"
	q := get
	q.Direct, q.Accept = true, "y/z"
	if got := s.read(t); got != "store" || s.asked.Load() != 1 {
		t.Errorf("%q after %d requests", got, s.asked.Load())
	}

	// What the reader refuses is refused, from wherever it came.
	odd := errors.New("odd")
	if err := s.caller.Call(t.Context(), q, func(wire.Answer) error { return odd }); !errors.Is(err, odd) || s.asked.Load() != 2 {
		t.Errorf("%v after %d requests, want the reader's error", err, s.asked.Load())
	}
	q.Direct = false
	if err := s.caller.Call(t.Context(), q, func(wire.Answer) error { return nil }); err != nil || s.direct.Load() != 2 {
		t.Errorf("%v, and %d requests that may be sent elsewhere", err, s.direct.Load())
	}
}

// TestDirectFails has the store fail in every way: the answer comes from the
// registry, and after some of that nobody is sent away.
func TestDirectFails(t *testing.T) {
	broken := map[string]http.HandlerFunc{
		"expired":   func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusForbidden) },
		"slow down": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) },
		"part":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusPartialContent) },
		"on and on": func(w http.ResponseWriter, q *http.Request) { http.Redirect(w, q, "/further", http.StatusFound) },
		"cut short": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			_, _ = io.WriteString(w, "st")
		},
		"reset": func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
	}
	for what, h := range broken {
		t.Run(what, func(t *testing.T) {
			s, asked := sending(t), int64(0)
			store := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
				asked++
				h(w, q)
			}))
			s.address = store.URL
			for range 5 {
				if got := s.read(t); got != "registry" {
					t.Errorf("read %q", got)
				}
			}
			store.Close()
			if s.direct.Load() != 3 || s.asked.Load() != 8 || asked != 3 {
				t.Errorf("%d requests, %d of them to be sent elsewhere, %d there: want 8, 3, 3", s.asked.Load(), s.direct.Load(), asked)
			}
		})
	}
}

// TestAddresses are those that nobody is to follow.
func TestAddresses(t *testing.T) {
	for _, address := range []string{"", "/relative", "file:///etc/passwd", "http://", "http://who:secret@127.0.0.1:1/", "ftp://127.0.0.1/", "http://127.0.0.1:1/?secret"} {
		s := sending(t)
		s.address = address
		if got := s.read(t); got != "registry" {
			t.Errorf("%q: read %q", address, got)
		}
	}
}

// TestSecretAddress has both fail: the error is that of the registry.
func TestSecretAddress(t *testing.T) {
	c, s := caller(t, time.Millisecond, func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Query().Get("direct") != "" {
			w.Header().Set("Location", "http://127.0.0.1:1/?secret")
			w.WriteHeader(http.StatusTemporaryRedirect)
			return
		}
		fail(w, openapi.CodeNotFound)
	})
	q := get
	q.Direct = true
	err := c.Call(t.Context(), q, nil)
	if !errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) || strings.Contains(err.Error(), "secret") || s == nil {
		t.Errorf("got %v", err)
	}
}
