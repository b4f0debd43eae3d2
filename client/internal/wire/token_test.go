package wire_test

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/client/internal/wire"
	"github.com/ingot-ml/ingot/openapi"
)

const secret = "hf_thisIsTheTokenOfTheTests"

func always(context.Context) (string, error) { return secret, nil }

// showing returns a caller that shows a token to a registry.
func showing(t *testing.T, base string, c wire.Config) *wire.Caller {
	t.Helper()
	u, err := url.Parse(base)
	if err != nil {
		t.Fatal(err)
	}
	c.UserAgent = "test"
	caller := wire.New(u, c)
	t.Cleanup(caller.Close)
	return caller
}

// TestTokenOfEachAttempt has a token renewed while a registry is tried again.
func TestTokenOfEachAttempt(t *testing.T) {
	var shown []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if shown = append(shown, q.Header.Get("Authorization")); len(shown) == 1 {
			fail(w, openapi.CodeBusy)
		}
	}))
	defer s.Close()
	n := 0
	c := showing(t, s.URL, wire.Config{Patience: time.Minute, Token: func(context.Context) (string, error) {
		n++
		return "t" + strconv.Itoa(n), nil
	}})
	err := c.Call(t.Context(), get, func(wire.Answer) error { return nil })
	if err != nil || strings.Join(shown, ",") != "Bearer t1,Bearer t2" {
		t.Errorf("%v after %v", err, shown)
	}
}

func TestNoToken(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		if len(q.Header["Authorization"]) > 0 {
			t.Error("a token came from nowhere")
		}
	}))
	defer s.Close()
	c := showing(t, s.URL, wire.Config{Token: func(context.Context) (string, error) { return "", nil }})
	if err := c.Call(t.Context(), get, func(wire.Answer) error { return nil }); err != nil {
		t.Error(err)
	}
}

// TestTokenThatCannotBeHad asks for it once, and sends nothing.
func TestTokenThatCannotBeHad(t *testing.T) {
	lost, asked := errors.New("lost"), 0
	c := showing(t, "http://127.0.0.1:1", wire.Config{
		HTTP: &http.Client{Transport: refuse{t}}, Patience: time.Hour,
		Token: func(context.Context) (string, error) { asked++; return "", lost },
	})
	if err := c.Call(t.Context(), get, nil); !errors.Is(err, lost) || asked != 1 {
		t.Errorf("%v after %d", err, asked)
	}
}

// refuse is a network on which nothing may be sent.
type refuse struct{ t *testing.T }

func (r refuse) RoundTrip(q *http.Request) (*http.Response, error) {
	r.t.Errorf("%s %s was sent", q.Method, q.URL)
	return nil, errors.New("refused")
}

// TestTokenInPlainText: whoever is on the way could read it, and does not get it.
func TestTokenInPlainText(t *testing.T) {
	for _, base := range []string{"http://registry.example:7070", "http://192.0.2.1", "http://[2001:db8::1]", "http://localhost.example", "http://127.0.0.1.example"} {
		c := showing(t, base, wire.Config{HTTP: &http.Client{Transport: refuse{t}}, Token: always, Patience: time.Hour})
		err := c.Call(t.Context(), get, nil)
		if !errors.Is(err, wire.ErrPlain) || strings.Contains(err.Error(), secret) || !strings.Contains(err.Error(), "https") {
			t.Errorf("%s: %v", base, err)
		}
	}
	for base, insecure := range map[string]bool{
		"http://registry.example": true, "https://registry.example": false, "http://localhost:1": false, "http://127.0.0.2": false, "http://[::1]": false,
	} {
		var got atomic.Value
		c := showing(t, base, wire.Config{Token: always, Insecure: insecure, HTTP: &http.Client{Transport: answering(func(q *http.Request) {
			got.Store(q.Header.Get("Authorization"))
		})}})
		if err := c.Call(t.Context(), get, func(wire.Answer) error { return nil }); err != nil || got.Load() != "Bearer "+secret {
			t.Errorf("%s: %v, shown %v", base, err, got.Load())
		}
	}
}

// answering is a network on which every request is answered.
type answering func(*http.Request)

func (a answering) RoundTrip(q *http.Request) (*http.Response, error) {
	a(q)
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader("")), Request: q}, nil
}

// TestTokenStays follows a redirect of a registry with the client of somebody who
// follows them, to places that the library takes for the same.
func TestTokenStays(t *testing.T) {
	for target, want := range map[string]string{
		"https://registry.example:7443/x":   "Bearer " + secret,
		"https://registry.example/x":        "",
		"https://registry.example:7444/x":   "",
		"https://a.registry.example:7443/x": "",
		"http://registry.example:7443/x":    "",
		"https://evil.example/x":            "",
	} {
		got := "nothing was sent"
		c := showing(t, "https://registry.example:7443", wire.Config{Token: always, HTTP: &http.Client{Transport: moving{target, &got}}})
		if err := c.Call(t.Context(), get, func(wire.Answer) error { return nil }); err != nil || got != want {
			t.Errorf("%s: %v, shown %q, want %q", target, err, got, want)
		}
	}
}

// moving sends every first request elsewhere.
type moving struct {
	target string
	shown  *string // at the target
}

func (m moving) RoundTrip(q *http.Request) (*http.Response, error) {
	if q.URL.Path == "/x" {
		*m.shown = q.Header.Get("Authorization")
		return answering(func(*http.Request) {}).RoundTrip(q)
	}
	return &http.Response{
		StatusCode: http.StatusFound, Header: http.Header{"Location": {m.target}},
		Body: io.NopCloser(strings.NewReader("")), Request: q,
	}, nil
}

// TestTokenAndTheStore: a store to which a registry sends is not the registry.
func TestTokenAndTheStore(t *testing.T) {
	store := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		if len(q.Header["Authorization"]) > 0 {
			t.Error("the store gets the token of the registry")
		}
	}))
	defer store.Close()
	var shown []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		shown = append(shown, q.Header.Get("Authorization"))
		w.Header().Set("Location", store.URL)
		w.WriteHeader(http.StatusTemporaryRedirect)
	}))
	defer s.Close()
	q := get
	q.Direct = true
	c := showing(t, s.URL, wire.Config{Token: always})
	if err := c.Call(t.Context(), q, func(wire.Answer) error { return nil }); err != nil || len(shown) != 1 || shown[0] != "Bearer "+secret {
		t.Errorf("%v, shown %v", err, shown)
	}
}

// TestNotTheRegistry asks once whoever cannot show that it is the registry, and does not
// show it the token.
func TestNotTheRegistry(t *testing.T) {
	s := httptest.NewTLSServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was asked") }))
	defer s.Close()
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	asked := 0
	q := get
	q.Attempt = func() { asked++ }
	err := showing(t, s.URL, wire.Config{Token: always, Patience: time.Hour}).Call(t.Context(), q, nil)
	if !errors.Is(err, wire.ErrUnreachable) || asked != 1 {
		t.Errorf("%v after %d", err, asked)
	}
}
