package versions_test

import (
	"context"
	"fmt"
	"io"
	"iter"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// swept is a store from which a collection has deleted blobs.
type swept struct {
	blobs.Store
	gone map[string]bool
}

func (s *swept) Open(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if s.gone[name] {
		return nil, fmt.Errorf("open %s: %w", name, blobs.ErrNotFound)
	}
	return s.Store.Open(ctx, name, off, n)
}

func (s *swept) Stat(ctx context.Context, name string) (blobs.Info, error) {
	if s.gone[name] {
		return blobs.Info{}, fmt.Errorf("stat %s: %w", name, blobs.ErrNotFound)
	}
	return s.Store.Stat(ctx, name)
}

func (s *swept) List(ctx context.Context, prefix, after string) iter.Seq2[blobs.Info, error] {
	return func(yield func(blobs.Info, error) bool) {
		for info, err := range s.Store.List(ctx, prefix, after) {
			if !s.gone[info.Name] && !yield(info, err) {
				return
			}
		}
	}
}

// TestReplicaMissesACollection lets one replica take part in a push, then miss a
// whole collection that another replica learns of, and then commit: what it
// remembers from before is gone from the store.
func TestReplicaMissesACollection(t *testing.T) {
	w := newWorld(t)
	store := &swept{w.store, map[string]bool{}}
	w.config.Blobs = store
	w.restart()
	old := newVersion(t, chunker.Digest{}, large(1))
	w.push(alice, model, old, "")
	next := newVersion(t, chunker.Digest{}, large(1), large(2), small(3))
	id := w.start(alice, model)

	first, second := versions.New(w.config), versions.New(w.config)
	for _, w.Service = range []*versions.Service{first, second} {
		w.upload(alice, id, next, w.missing(alice, id, next))
		if n := len(w.missing(alice, id, next)); n != 0 {
			t.Fatalf("%d chunks are missing after the upload", n)
		}
	}
	if err := w.Delete(t.Context(), alice, model, old.digest); err != nil {
		t.Fatal(err)
	}
	condemned := []string{w.objectOf(chunker.Sum(large(1))), w.objectOf(chunker.Sum(large(2)))}
	w.collect(1, "idle", condemned...)
	for _, name := range condemned {
		store.gone[name] = true
	}

	w.Service = first
	_, err := w.Commit(t.Context(), alice, id, next.doc, "main", "")
	if e := wants(t, "the first replica's commit", err, openapi.CodeMissingChunks); len(e.Missing) != 2 {
		t.Fatalf("missing %v, want 2", e.Missing)
	}
	w.upload(alice, id, next, w.missing(alice, id, next))
	w.Service = second
	if _, err := w.Commit(t.Context(), alice, id, next.doc, "main", ""); err != nil {
		t.Fatal(err)
	}
	w.check(alice, model, next)
	w.restart()
	w.check(bob, model, next)
}

// TestTakenBackTagFindsItsVersion retires the version that a tag moves to, and,
// while no tag is on it, the one that it comes from: the tag is then on neither.
func TestTakenBackTagFindsItsVersion(t *testing.T) {
	w := newWorld(t)
	a, b := newVersion(t, chunker.Digest{}, small(1)), newVersion(t, chunker.Digest{}, small(2))
	w.push(alice, model, a, "prod")
	w.push(alice, model, b, "")
	retire := []*version{b, a} // before the tag is written, and before it is taken back
	w.engine.before = func(key string) {
		if key == "t/acme/model/prod" && len(retire) > 0 {
			v := retire[0]
			retire = retire[1:]
			if err := versions.New(w.config).Delete(t.Context(), bob, model, v.digest); err != nil {
				t.Error(err)
			}
		}
	}
	_, err := w.SetTag(t.Context(), alice, model, "prod", openapi.SetTag{Digest: b.digest})
	wants(t, "tag", err, openapi.CodeConflict)
	got, err := w.Tag(t.Context(), alice, model, "prod")
	wants(t, "a tag without a version, at "+got.Digest.Short(), err, openapi.CodeNotFound)
}

// cut is an engine that a process does not reach any more for some keys.
type cut struct {
	registers.Engine
	prefix string
}

func (c *cut) CAS(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
	if c.prefix != "" && strings.HasPrefix(key, c.prefix) {
		return registers.Absent, fmt.Errorf("write %s: no connection", key)
	}
	return c.Engine.CAS(ctx, key, want, val)
}

// TestCommitAgainWithoutParent loses the process before it closes the push, and
// the parent is retired before the client asks again: the version is there.
func TestCommitAgainWithoutParent(t *testing.T) {
	w := newWorld(t)
	parent := newVersion(t, chunker.Digest{}, small(1))
	w.push(alice, model, parent, "")
	v := newVersion(t, parent.digest, small(2))
	id := w.start(alice, model)
	w.upload(alice, id, v, v.order)
	engine := &cut{w.engine, "p/"}
	w.config.Registers = engine
	w.restart()
	for range 2 {
		done, err := w.Commit(t.Context(), alice, id, v.doc, "main", "")
		if err != nil || !done.Created || done.Tag == nil {
			t.Fatalf("got %+v, %v", done, err)
		}
		if err := w.Delete(t.Context(), alice, model, parent.digest); err != nil {
			wants(t, "retire again", err, openapi.CodeNotFound)
		}
	}
	engine.prefix = ""
	if _, err := w.Commit(t.Context(), alice, id, v.doc, "", ""); err != nil {
		t.Fatal(err)
	}
	if push, err := w.Push(t.Context(), alice, id); err != nil || push.State != openapi.PushDone {
		t.Errorf("got %+v, %v", push, err)
	}
}
