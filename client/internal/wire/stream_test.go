package wire_test

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingot-ml/ingot/client/internal/wire"
	"github.com/ingot-ml/ingot/openapi"
)

// network answers every request with a body of two bytes.
type network struct{}

func (network) RoundTrip(q *http.Request) (*http.Response, error) {
	return &http.Response{StatusCode: http.StatusOK, ContentLength: 2, Body: &twoBytes{ctx: q.Context()}}, nil
}

// twoBytes gives one byte at a time, until the request has ended.
type twoBytes struct {
	ctx  context.Context
	read int
}

func (b *twoBytes) Read(p []byte) (int, error) {
	if b.read == 2 {
		return 0, io.EOF
	}
	b.read++
	return copy(p[:1], "x"), b.ctx.Err()
}

func (*twoBytes) Close() error { return nil }

// TestSlowReader has the caller do something for long between two reads: that the
// registry does not stall.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := wire.New(&url.URL{Scheme: "http", Host: "registry"}, wire.Config{HTTP: &http.Client{Transport: network{}}, UserAgent: "test", Patience: time.Second})
		asked := 0
		err := c.Call(t.Context(), get, func(a wire.Answer) error {
			asked++
			time.Sleep(time.Hour)
			if _, err := io.ReadFull(a.Body, make([]byte, 1)); err != nil {
				return err
			}
			time.Sleep(time.Hour)
			_, err := io.ReadAll(a.Body)
			return err
		})
		if err != nil || asked != 1 {
			t.Errorf("%v after %d requests", err, asked)
		}
	})
}

func TestOnce(t *testing.T) {
	n := 0
	c, _ := caller(t, time.Hour, func(w http.ResponseWriter, _ *http.Request) {
		n++
		fail(w, openapi.CodeBusy)
	})
	if err := c.Once(t.Context(), get, nil); !errors.Is(err, &openapi.Error{Code: openapi.CodeBusy}) || err.Error() != "no" || n != 1 {
		t.Errorf("%v after %d requests, want the registry's words after one", err, n)
	}
	c, s := caller(t, time.Hour, func(http.ResponseWriter, *http.Request) {})
	odd := errors.New("odd")
	if err := c.Once(t.Context(), get, func(wire.Answer) error { return odd }); err != odd {
		t.Errorf("got %v, want the reader's error as it is", err)
	}
	s.Close()
	if err := c.Once(t.Context(), get, nil); !errors.Is(err, wire.ErrUnreachable) {
		t.Errorf("got %v, want ErrUnreachable", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := c.Once(ctx, get, nil); !errors.Is(err, context.Canceled) || errors.Is(err, wire.ErrUnreachable) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

// FuzzEvents wants no event beyond its bound, and an end.
func FuzzEvents(f *testing.F) {
	for _, seed := range []string{"", "event: a\ndata: b\n\n", ": c\n\ndata\n\n", "data: a\r\ndata: b\r\n\r\nevent: x", strings.Repeat("\n", 10)} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		ends := 0
		for e, err := range wire.Events(strings.NewReader(text)) {
			switch {
			case err != nil:
				ends++
			case e.Type == "" || len(e.Data) == 0 || len(e.Data) > len(text):
				t.Errorf("event %q with %q", e.Type, e.Data)
			}
		}
		if ends != 1 {
			t.Errorf("ended %d times", ends)
		}
	})
}
