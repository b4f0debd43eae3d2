package client_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
)

// upkeep answers every request with that text, and keeps the last one's path and body.
func upkeep(t *testing.T, text string) (r *client.Registry, path, body *string) {
	t.Helper()
	path, body = new(string), new(string)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		b, err := io.ReadAll(q.Body)
		if err != nil || q.Header.Get("Content-Type") != "application/json" {
			t.Errorf("request of %s: %v", q.Header.Get("Content-Type"), err)
		}
		*path, *body = q.Method+" "+q.URL.Path, string(b)
		w.Header().Set("Content-Type", openapi.MediaLines)
		_, _ = io.WriteString(w, text)
	}))
	t.Cleanup(server.Close)
	return dial(t, server.URL, client.Options{Patience: time.Hour}), path, body
}

func TestCollectGarbage(t *testing.T) {
	r, path, body := upkeep(t, `{"progress":{"phase":"mark","epoch":2,"done":1,"total":9}}`+"\n"+
		`{"of another release":1}`+"\n"+
		`{"report":{"epoch":2,"freed":{"objects":3,"bytes":4},"kept":{"young":{"objects":1,"bytes":1}}}}`+"\n")
	var seen []openapi.GCProgress
	grace := int64(60)
	got, err := r.CollectGarbage(t.Context(), openapi.GCRequest{DryRun: true, GraceSeconds: &grace}, func(p openapi.GCProgress) { seen = append(seen, p) })
	if err != nil || got.Epoch != 2 || got.Freed.Bytes != 4 || got.Kept[openapi.KeptYoung].Objects != 1 {
		t.Errorf("%+v, %v", got, err)
	}
	if want := []openapi.GCProgress{{Phase: "mark", Epoch: 2, Done: 1, Total: 9}}; !slices.Equal(seen, want) {
		t.Errorf("progress %+v", seen)
	}
	if *path != "POST /v1/gc" || *body != `{"dry_run":true,"grace_seconds":60}` {
		t.Errorf("asked %s with %s", *path, *body)
	}
}

func TestVerifyStore(t *testing.T) {
	r, path, body := upkeep(t, `{"progress":{"phase":"read"}}`+"\n"+`{"report":{"chunks":5,"bad":[{"object":"c/1"}]}}`+"\n")
	got, err := r.VerifyStore(t.Context(), true, nil)
	if err != nil || got.Chunks != 5 || len(got.Bad) != 1 || *path != "POST /v1/verify" || *body != `{"deep":true}` {
		t.Errorf("%+v, %v of %s with %s", got, err, *path, *body)
	}
}

func TestCompact(t *testing.T) {
	r, path, body := upkeep(t, `{"progress":{"phase":"versions","bytes_gained":3}}`+"\n"+`{"report":{"chunks":5,"bytes_gained":7}}`+"\n")
	var seen []openapi.CompactProgress
	got, err := r.Compact(t.Context(), "acme/llama", func(p openapi.CompactProgress) { seen = append(seen, p) })
	if err != nil || got.Chunks != 5 || got.BytesGained != 7 || *path != "POST /v1/compact" || *body != `{"repo":"acme/llama"}` {
		t.Errorf("%+v, %v of %s with %s", got, err, *path, *body)
	}
	if len(seen) != 1 || seen[0].Gained != 3 {
		t.Errorf("progress %+v", seen)
	}
}

// TestWorkThatFails reads answers that end in other ways. None is asked for twice.
func TestWorkThatFails(t *testing.T) {
	const progress = `{"progress":{"phase":"mark"}}` + "\n"
	var syntax *json.SyntaxError
	for text, is := range map[string]func(error) bool{
		"":                              func(err error) bool { return errors.Is(err, client.ErrUnreachable) },
		progress:                        func(err error) bool { return errors.Is(err, client.ErrUnreachable) },
		progress + `{"report":{"epoch"`: func(err error) bool { return errors.Is(err, client.ErrUnreachable) },
		progress + "<html>\n":           func(err error) bool { return errors.As(err, &syntax) },
		progress + `{"error":{"code":"unavailable","message":"stops\u001b[2J"}}` + "\n": func(err error) bool {
			return errors.Is(err, &openapi.Error{Code: openapi.CodeUnavailable}) && !strings.Contains(err.Error(), "\x1b")
		},
	} {
		r, _, _ := upkeep(t, text)
		if _, err := r.CollectGarbage(t.Context(), openapi.GCRequest{}, nil); err == nil || !is(err) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestWorkIsGivenUp ends the request with its context.
func TestWorkIsGivenUp(t *testing.T) {
	noLeaks(t)
	gone := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		_, _ = io.WriteString(w, `{"progress":{"phase":"mark"}}`+"\n")
		_ = http.NewResponseController(w).Flush()
		<-q.Context().Done()
		close(gone)
	}))
	defer server.Close()
	r := dial(t, server.URL, client.Options{})
	ctx, cancel := context.WithCancel(t.Context())
	_, err := r.CollectGarbage(ctx, openapi.GCRequest{}, func(openapi.GCProgress) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
	<-gone
}
