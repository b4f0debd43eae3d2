package wire_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/client/internal/wire"
	"github.com/ingot-ml/ingot/openapi"
)

func caller(t *testing.T, patience time.Duration, h http.HandlerFunc) (*wire.Caller, *httptest.Server) {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	base, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	c := wire.New(base, wire.Config{UserAgent: "test", Patience: patience})
	t.Cleanup(c.Close)
	return c, s
}

var get = wire.Request{Method: http.MethodGet, Path: []string{"a b", "c/d"}, Query: url.Values{"q": {"1&2"}}}

func TestRequest(t *testing.T) {
	c, _ := caller(t, time.Second, func(w http.ResponseWriter, q *http.Request) {
		body, _ := io.ReadAll(q.Body)
		if q.URL.EscapedPath() != "/a%20b/c%2Fd" || q.URL.Query().Get("q") != "1&2" || q.Header.Get("User-Agent") != "test" ||
			q.Header.Get("Content-Type") != "x/y" || q.Header.Get("Accept") != "y/z" || string(body) != "body" || q.ContentLength != 4 {
			t.Errorf("%s %v %v %q", q.Method, q.URL, q.Header, body)
		}
		_, _ = w.Write([]byte("answer"))
	})
	q := get
	q.Method, q.Type, q.Accept, q.Body = http.MethodPost, "x/y", "y/z", []byte("body")
	var got []byte
	err := c.Call(t.Context(), q, func(a wire.Answer) (err error) {
		if a.Length != 6 || a.Status != http.StatusOK {
			t.Errorf("%+v", a)
		}
		got, err = io.ReadAll(a.Body)
		return err
	})
	if err != nil || string(got) != "answer" {
		t.Errorf("%q, %v", got, err)
	}
}

// TestStatuses counts how often each status is asked for again.
func TestStatuses(t *testing.T) {
	for status, again := range map[int]bool{
		400: false, 401: false, 403: false, 404: false, 405: false, 409: false, 410: false, 412: false, 413: false, 422: false,
		507: false, 501: false, 302: false, 408: true, 429: true, 500: true, 502: true, 503: true, 504: true,
	} {
		var n atomic.Int64
		c, _ := caller(t, time.Minute, func(w http.ResponseWriter, _ *http.Request) {
			if n.Add(1) == 1 {
				w.Header().Set("Location", "/elsewhere")
				w.WriteHeader(status)
			}
		})
		var tries int64
		q := get
		q.Attempt = func() { tries++ }
		err := c.Call(t.Context(), q, func(wire.Answer) error { return nil })
		if again != (err == nil) || again != (n.Load() == 2) || tries != n.Load() {
			t.Errorf("%d: %d requests, %v", status, n.Load(), err)
		}
	}
}

func TestRegistrysWords(t *testing.T) {
	c, _ := caller(t, time.Second, func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(http.StatusConflict)
		_, _ = w.Write([]byte(`{"error":{"code":"missing_chunks","message":"two\u001b[2J","missing":[1,2]}}`))
	})
	err := c.Call(t.Context(), get, nil)
	var e *openapi.Error
	if !errors.As(err, &e) || e.Code != openapi.CodeMissingChunks || e.Message != "two [2J" || len(e.Missing) != 2 {
		t.Errorf("got %#v", err)
	}
}

func TestNoRegistrysWords(t *testing.T) {
	for status, unreachable := range map[int]bool{404: false, 502: true} {
		c, s := caller(t, time.Millisecond, func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(status)
			_, _ = w.Write(bytes.Repeat([]byte("<html>"), 1<<20))
		})
		err := c.Call(t.Context(), get, nil)
		if err == nil || errors.Is(err, wire.ErrUnreachable) != unreachable || !strings.Contains(err.Error(), s.URL) || len(err.Error()) > 1000 {
			t.Errorf("%d: %.2000v", status, err)
		}
	}
}

func TestUnreachable(t *testing.T) {
	c, s := caller(t, time.Millisecond, nil)
	s.Close()
	err := c.Call(t.Context(), get, nil)
	if !errors.Is(err, wire.ErrUnreachable) || !strings.Contains(err.Error(), s.URL) || !strings.Contains(err.Error(), "refused") {
		t.Errorf("got %v", err)
	}
}

func TestRetryAfter(t *testing.T) {
	soon := time.Now().Add(time.Hour).UTC().Format(http.TimeFormat)
	for value, want := range map[string]func(d time.Duration) bool{
		"7":                             func(d time.Duration) bool { return d == 7*time.Second },
		"9999999":                       func(d time.Duration) bool { return d == time.Hour },
		soon:                            func(d time.Duration) bool { return d > 0 && d <= time.Hour },
		"":                              func(d time.Duration) bool { return d == 0 },
		"-5":                            func(d time.Duration) bool { return d == 0 },
		"later":                         func(d time.Duration) bool { return d == 0 },
		"Thu, 01 Jan 1970 00:00:00 GMT": func(d time.Duration) bool { return d == 0 },
	} {
		if got := wire.RetryAfter(value); !want(got) {
			t.Errorf("%q is %v", value, got)
		}
	}
}

// TestLastWords wants the registry's error when patience has ended.
func TestLastWords(t *testing.T) {
	c, _ := caller(t, time.Millisecond, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "3000")
		fail(w, openapi.CodeUnavailable)
	})
	err := c.Call(t.Context(), get, nil)
	if !errors.Is(err, &openapi.Error{Code: openapi.CodeUnavailable}) || err.Error() != "no" {
		t.Errorf("got %v", err)
	}
}

func fail(w http.ResponseWriter, code openapi.Code) {
	w.WriteHeader(code.Status())
	_, _ = w.Write([]byte(`{"error":{"code":"` + string(code) + `","message":"no"}}`))
}

func TestTruncatedBody(t *testing.T) {
	var n atomic.Int64
	c, _ := caller(t, time.Minute, func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", "10")
		if n.Add(1) > 2 {
			_, _ = w.Write(make([]byte, 10))
		}
	})
	var got []byte
	err := c.Call(t.Context(), get, func(a wire.Answer) (err error) {
		got, err = io.ReadAll(a.Body)
		return err
	})
	if err != nil || len(got) != 10 || n.Load() != 3 {
		t.Errorf("%d bytes after %d requests: %v", len(got), n.Load(), err)
	}
}

// TestTruncatedRefusal asks again when the registry's words are cut short: a
// "not found" is an answer, half of one is not.
func TestTruncatedRefusal(t *testing.T) {
	var n atomic.Int64
	c, _ := caller(t, time.Minute, func(w http.ResponseWriter, _ *http.Request) {
		if n.Add(1) <= 2 {
			w.Header().Set("Content-Length", "1000")
		}
		fail(w, openapi.CodeNotFound)
	})
	err := c.Call(t.Context(), get, nil)
	if !errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) || n.Load() != 3 {
		t.Errorf("%v after %d requests", err, n.Load())
	}
}

func TestReaderErrorsArePermanent(t *testing.T) {
	var n atomic.Int64
	c, _ := caller(t, time.Minute, func(http.ResponseWriter, *http.Request) { n.Add(1) })
	odd := errors.New("odd")
	if err := c.Call(t.Context(), get, func(wire.Answer) error { return odd }); !errors.Is(err, odd) || n.Load() != 1 {
		t.Errorf("%v after %d requests", err, n.Load())
	}
}

func TestStalledBody(t *testing.T) {
	release := make(chan struct{})
	var n atomic.Int64
	c, _ := caller(t, time.Minute, func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Content-Length", "2")
		_, _ = w.Write([]byte("1"))
		if n.Add(1) > 1 {
			_, _ = w.Write([]byte("2"))
			return
		}
		_ = http.NewResponseController(w).Flush() // else there is no answer
		<-release
	})
	t.Cleanup(func() { close(release) })
	c.SetStall(50 * time.Millisecond)
	err := c.Call(t.Context(), get, func(a wire.Answer) error {
		_, err := io.ReadAll(a.Body)
		return err
	})
	if err != nil || n.Load() < 2 {
		t.Errorf("%v after %d requests", err, n.Load())
	}
}

func TestCancelled(t *testing.T) {
	for name, handle := range map[string]func(cancel func(), w http.ResponseWriter, q *http.Request){
		"while it waits for an answer": func(cancel func(), _ http.ResponseWriter, q *http.Request) {
			cancel()
			<-q.Context().Done()
		},
		"between two attempts": func(cancel func(), w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Retry-After", "3000")
			fail(w, openapi.CodeBusy)
			cancel()
		},
	} {
		t.Run(name, func(t *testing.T) {
			ctx, cancel := context.WithCancel(t.Context())
			c, _ := caller(t, time.Hour, func(w http.ResponseWriter, q *http.Request) { handle(cancel, w, q) })
			if err := c.Call(ctx, get, nil); !errors.Is(err, context.Canceled) || errors.Is(err, wire.ErrUnreachable) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// TestEarlyAnswer has the race detector see whether the transport still reads a
// body that the caller got back.
func TestEarlyAnswer(t *testing.T) {
	c, _ := caller(t, time.Millisecond, func(w http.ResponseWriter, _ *http.Request) {
		fail(w, openapi.CodeForbidden)
	})
	body := make([]byte, 8<<20)
	for i := range 5 {
		q := wire.Request{Method: http.MethodPut, Body: body}
		if err := c.Call(t.Context(), q, nil); err == nil {
			t.Error("no error")
		}
		for j := range body {
			body[j] = byte(i)
		}
	}
}
