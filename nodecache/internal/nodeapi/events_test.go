package nodeapi_test

import (
	"context"
	"errors"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/nodecache/internal/nodeapi"
	"github.com/ingot-ml/ingot/openapi"
)

func TestEvents(t *testing.T) {
	n := newFakeNode(t, newModel(t, false))
	_, a := start(t, n)
	events, err := a.Events(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	sent := []openapi.NodeEvent{
		{Seq: 1, Type: openapi.EventLoading, Ref: modelRef, Bytes: 5, Total: 9},
		{Seq: 2, Type: openapi.EventLoaded, Ref: modelRef, Tier: openapi.TierRAM, Message: "two\nlines"},
	}
	for _, e := range sent {
		n.events <- e
	}
	close(n.events) // the reader is too slow from now on
	var got []openapi.NodeEvent
	var last error
	for e, err := range events {
		if last = err; err == nil {
			got = append(got, e)
		}
	}
	if len(got) != 2 || got[0] != sent[0] || got[1] != sent[1] {
		t.Errorf("heard %+v, want %+v", got, sent)
	}
	if !errors.Is(last, agent.ErrMissed) {
		t.Errorf("at the end: %v, want ErrMissed", last)
	}
}

// TestEventsEnd by the reader and by the agent.
func TestEventsEnd(t *testing.T) {
	n := newFakeNode(t, newModel(t, false))
	s, a := start(t, n)
	ctx, cancel := context.WithCancel(t.Context())
	events, err := a.Events(ctx)
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	for _, err := range events {
		t.Errorf("after its context has ended: %v", err)
	}
	if events, err = a.Events(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.api.Drain()
	var last error
	for _, err := range events {
		last = err
	}
	if !errors.Is(last, agent.ErrLost) {
		t.Errorf("after the agent has gone: %v, want ErrLost", last)
	}
}

// TestQuietStreamIsAlive counts what is sent while nothing happens.
func TestQuietStreamIsAlive(t *testing.T) {
	n := newFakeNode(t, newTinyModel(t, 1))
	synctest.Test(t, func(t *testing.T) {
		n.events = make(chan openapi.NodeEvent) // of this bubble
		api := nodeapi.New(nodeapi.Config{Node: n})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute+time.Second)
		defer cancel()
		got := httptest.NewRecorder()
		api.ServeHTTP(got, httptest.NewRequestWithContext(ctx, "GET", "/v1/events", nil))
		if n := strings.Count(got.Body.String(), ":\n\n"); n != 4 {
			t.Errorf("%d comments in a minute, want 4: %q", n, got.Body)
		}
		if media := got.Header().Get("Content-Type"); media != "text/event-stream" {
			t.Errorf("the stream is %q", media)
		}
	})
}

// TestLimitOfStreams opens as many as there may be, and one more.
func TestLimitOfStreams(t *testing.T) {
	n := newFakeNode(t, newTinyModel(t, 1))
	_, a := start(t, n)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	for range 256 {
		if _, err := a.Events(ctx); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := a.Events(ctx); !errors.Is(err, &openapi.Error{Code: openapi.CodeBusy}) {
		t.Errorf("one more: %v, want busy", err)
	}
}
