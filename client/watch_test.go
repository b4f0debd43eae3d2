package client_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// streaming answers every request with that text, and ends.
func streaming(t *testing.T, text string) (*client.Registry, *[]string) {
	t.Helper()
	var matches []string
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		matches = q.URL.Query()["match"]
		w.Header().Set("Content-Type", "text/event-stream")
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(server.Close)
	return dial(t, server.URL, client.Options{Patience: time.Hour}), &matches
}

// watch writes down what Watch calls.
func watch(ctx context.Context, r *client.Registry, match ...string) (calls []string, err error) {
	err = r.Watch(ctx, match, func() { calls = append(calls, "ready") }, func(e openapi.TagEvent) {
		calls = append(calls, fmt.Sprintf("%s:%s=%s", e.Repo, e.Tag, e.Digest))
	})
	return calls, err
}

func TestWatch(t *testing.T) {
	r, matches := streaming(t, ": hello\n\nevent: ready\ndata: {}\n\n"+
		"event: tag\ndata: {\"repo\":\"acme/x\",\"tag\":\"main\",\ndata: \"digest\":\"1\"}\n\n"+
		": still here\n\nevent: of another release\ndata: x\n\nretry: 5\r\nevent: tag\r\ndata:{\"repo\":\"acme/y\",\"tag\":\"t\"}\r\n\r\n"+
		"event: reset\ndata: {}\n\ndata: a message\n\n")
	got, err := watch(t.Context(), r, "acme/*", "corp/x")
	if want := []string{"ready", "acme/x:main=1", "acme/y:t=", "ready"}; !slices.Equal(got, want) {
		t.Errorf("called %q, want %q", got, want)
	}
	// A registry that ends the stream is about to go, and patience is not for that.
	if !errors.Is(err, client.ErrUnreachable) {
		t.Errorf("got %v, want ErrUnreachable", err)
	}
	if want := []string{"acme/*", "corp/x"}; !slices.Equal(*matches, want) {
		t.Errorf("asked for %q, want %q", *matches, want)
	}
}

func TestWatchOfRubbish(t *testing.T) {
	for what, text := range map[string]string{
		"a long line":  "event: ready\ndata: {}\n\ndata: " + strings.Repeat("x", 1<<20),
		"a long event": "event: ready\ndata: {}\n\n" + strings.Repeat("data: "+strings.Repeat("x", 1000)+"\n", 1000),
		"no JSON":      "event: ready\ndata: {}\n\nevent: tag\ndata: {\n\n",
	} {
		r, _ := streaming(t, text)
		if got, err := watch(t.Context(), r, "*"); !errors.Is(err, client.ErrCorrupt) || len(got) != 1 {
			t.Errorf("%s: called %q, %v, want ErrCorrupt", what, got, err)
		}
	}
	r, _ := streaming(t, "event: tag\ndata: {\"repo\":\"acme/x\"}\n") // is cut short
	if got, err := watch(t.Context(), r, "*"); !errors.Is(err, client.ErrUnreachable) || len(got) != 0 {
		t.Errorf("cut short: called %q, %v, want ErrUnreachable", got, err)
	}
}

func TestWatchRefused(t *testing.T) {
	f := newFake(t)
	f.front = func(w http.ResponseWriter, _ *http.Request) bool {
		f.count("asked")
		fail(w, openapi.Errorf(openapi.CodeBusy, "no"))
		return true
	}
	_, err := watch(t.Context(), f.client(), "*")
	if !errors.Is(err, &openapi.Error{Code: openapi.CodeBusy}) || f.requests("asked") != 1 {
		t.Errorf("got %v, want busy at the first request", err)
	}
}

func TestWatchEndsWithContext(t *testing.T) {
	noLeaks(t)
	f := newFake(t)
	f.front = func(w http.ResponseWriter, q *http.Request) bool {
		_, _ = io.WriteString(w, "event: ready\ndata: {}\n\n")
		_ = http.NewResponseController(w).Flush() // else there is no answer
		<-q.Context().Done()
		return true
	}
	ctx, cancel := context.WithCancel(t.Context())
	err := f.client().Watch(ctx, []string{"*"}, cancel, func(openapi.TagEvent) {})
	if !errors.Is(err, context.Canceled) || errors.Is(err, client.ErrUnreachable) {
		t.Errorf("got %v, want context.Canceled", err)
	}
}

func TestNodeNames(t *testing.T) {
	r := newFake(t).client()
	for _, err := range []error{r.Report(t.Context(), "a/b", openapi.NodeReport{}), r.Forget(t.Context(), "")} {
		if !errors.Is(err, name.ErrName) {
			t.Errorf("got %v, want ErrName", err)
		}
	}
}
