package client_test

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"iter"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry"
	"github.com/ingot-ml/ingot/registry/name"
)

// real returns a client of a registry on an empty folder. front is asked about
// every request first, as that of a fake is; it may be nil. It gets the registry.
func real(t *testing.T, front func(h http.Handler, w http.ResponseWriter, q *http.Request) bool) *client.Registry {
	t.Helper()
	reg, err := registry.Open(t.Context(), registry.Config{Data: filepath.Join(t.TempDir(), "data"), Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := reg.Close(); err != nil {
			t.Error(err)
		}
	})
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if front == nil || !front(reg.Handler(), w, q) {
			reg.Handler().ServeHTTP(w, q)
		}
	}))
	t.Cleanup(s.Close)
	return dial(t, s.URL, client.Options{Patience: 5 * time.Second})
}

func all[T any](t *testing.T, list iter.Seq2[T, error]) (entries []T) {
	t.Helper()
	for entry, err := range list {
		if err != nil {
			t.Fatal(err)
		}
		entries = append(entries, entry)
	}
	return entries
}

// TestRealRegistry goes through the life of two versions.
func TestRealRegistry(t *testing.T) {
	noLeaks(t)
	r, base, variant := real(t, nil), model(t), model(t, synth.ReplaceHead(2))
	first := push(t, r, base, "acme/llama:base", client.PushOptions{Expect: openapi.ExpectNone})
	again := push(t, r, base, "acme/llama:base", client.PushOptions{})
	if first.ChunksNew != first.ChunksTotal || again.BytesSent != 0 || again.BytesStored != 0 || again.Digest != first.Digest {
		t.Errorf("first push: %+v, second: %+v", first, again)
	}
	second := push(t, r, variant, "acme/llama:variant", client.PushOptions{})
	if second.BytesSent == 0 || second.BytesSent > first.BytesSent/4 {
		t.Errorf("push of another head: %+v", second)
	}
	target := t.TempDir()
	if got := pull(t, r, "acme/llama:base", target, client.PullOptions{}); got.BytesReceived != first.BytesSent {
		t.Errorf("pull: %+v", got)
	}
	sameTree(t, target, base)
	if got := pull(t, r, "acme/llama:variant", target, client.PullOptions{Delete: true}); got.BytesReceived != second.BytesSent {
		t.Errorf("pull over the base: %+v", got)
	}
	sameTree(t, target, variant)
	for _, ref := range []name.Ref{ref(t, "acme/llama:base"), ref(t, "acme/llama@"+second.Digest)} {
		if got, err := r.Verify(t.Context(), ref, client.VerifyOptions{}); err != nil || got.Chunks != first.ChunksTotal {
			t.Errorf("verify %s: %+v, %v", ref, got, err)
		}
	}
}

// TestRealRegistryFails cuts every connection of uploads now and then.
func TestRealRegistryFails(t *testing.T) {
	var n atomic.Int64
	r := real(t, func(_ http.Handler, w http.ResponseWriter, _ *http.Request) bool {
		if n.Add(1)%4 != 0 {
			return false
		}
		hangUp(w)
		return true
	})
	dir, target := model(t), t.TempDir()
	push(t, r, dir, "acme/llama", client.PushOptions{Journal: t.TempDir()})
	pull(t, r, "acme/llama", target, client.PullOptions{})
	sameTree(t, target, dir)
}

func TestRealCalls(t *testing.T) {
	ctx, r, dir := t.Context(), real(t, nil), t.TempDir()
	repo := ref(t, "acme/x").Repo
	put(t, filepath.Join(dir, "a"), "1")
	one := push(t, r, dir, "acme/x:one", client.PushOptions{})
	put(t, filepath.Join(dir, "a"), "two")
	two := push(t, r, dir, "acme/x:two", client.PushOptions{})

	if h, err := r.Health(ctx); err != nil || h.Status != "ok" {
		t.Errorf("health: %+v, %v", h, err)
	}
	if s, err := r.Stats(ctx, "acme"); err != nil || s.Versions != 2 || s.Total != 4 {
		t.Errorf("stats: %+v, %v", s, err)
	}
	if got := all(t, r.Repos(ctx, "")); len(got) != 1 || got[0].Name != "acme/x" || got[0].Versions != 2 {
		t.Errorf("repos: %+v", got)
	}
	if got := all(t, r.Versions(ctx, repo)); len(got) != 2 {
		t.Errorf("versions: %+v", got)
	}
	if got := all(t, r.Tags(ctx, repo)); len(got) != 2 || got[1].Name != "two" || got[1].Digest.String() != two.Digest {
		t.Errorf("tags: %+v", got)
	}
	d, err := r.Diff(ctx, ref(t, "acme/x:one"), ref(t, "acme/x@"+two.Digest))
	if err != nil || len(d.Files.Changed) != 1 || d.BytesNew != 3 {
		t.Errorf("diff: %+v, %v", d, err)
	}
	sum := sha256.Sum256([]byte("two"))
	h, err := r.FileHashes(ctx, ref(t, "acme/x:two"))
	if err != nil || !slices.Equal(h.Files, []openapi.FileHash{{Path: "a", Size: 3, SHA256: hex.EncodeToString(sum[:])}}) {
		t.Errorf("hashes: %+v, %v", h, err)
	}

	tag, err := r.Tag(ctx, repo, "one")
	if err != nil || tag.Digest.String() != one.Digest {
		t.Fatalf("tag: %+v, %v", tag, err)
	}
	if err := r.DeleteVersion(ctx, repo, tag.Digest); !errors.Is(err, &openapi.Error{Code: openapi.CodeConflict}) {
		t.Errorf("delete a tagged version: %v", err)
	}
	if _, err := r.SetTag(ctx, repo, "new", openapi.SetTag{Digest: tag.Digest, Expect: two.Digest}); !errors.Is(err, &openapi.Error{Code: openapi.CodeTagMoved}) {
		t.Errorf("set a tag that is elsewhere: %v", err)
	}
	if set, err := r.SetTag(ctx, repo, "one", openapi.SetTag{Digest: all(t, r.Tags(ctx, repo))[1].Digest, Expect: one.Digest}); err != nil || set.Digest.String() != two.Digest {
		t.Errorf("move a tag: %+v, %v", set, err)
	}
	if err := r.DeleteTag(ctx, repo, "one", one.Digest); !errors.Is(err, &openapi.Error{Code: openapi.CodeTagMoved}) {
		t.Errorf("delete a tag that moved: %v", err)
	}
	if err := errors.Join(r.DeleteTag(ctx, repo, "one", two.Digest), r.DeleteVersion(ctx, repo, tag.Digest)); err != nil {
		t.Error(err)
	}
	if _, _, err := r.Manifest(ctx, ref(t, "acme/x@"+one.Digest)); !errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
		t.Errorf("a deleted version: %v", err)
	}
	if _, err := r.Tag(ctx, repo, "../../x"); !errors.Is(err, name.ErrName) {
		t.Errorf("a tag that is none: %v", err)
	}
}

// TestLostAnswerOfDelete has the first answer go astray.
func TestLostAnswerOfDelete(t *testing.T) {
	var lost atomic.Bool
	r := real(t, func(h http.Handler, w http.ResponseWriter, q *http.Request) bool {
		if q.Method != http.MethodDelete || lost.Swap(true) {
			return false
		}
		h.ServeHTTP(httptest.NewRecorder(), q)
		hangUp(w)
		return true
	})
	dir := t.TempDir()
	put(t, filepath.Join(dir, "a"), "1")
	push(t, r, dir, "acme/x", client.PushOptions{})
	if err := r.DeleteTag(t.Context(), ref(t, "acme/x").Repo, "main", ""); err != nil || !lost.Load() {
		t.Error(err)
	}
	if err := r.DeleteTag(t.Context(), ref(t, "acme/x").Repo, "main", ""); !errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
		t.Errorf("got %v, want not_found", err)
	}
}

func TestNewRefuses(t *testing.T) {
	for _, base := range []string{"", "localhost:8080", "ftp://host", "http://", "http://a b", "http://[::1"} {
		if _, err := client.New(base, client.Options{}); err == nil {
			t.Errorf("%q was accepted", base)
		}
	}
}
