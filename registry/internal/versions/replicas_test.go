package versions_test

import (
	"context"
	"fmt"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// TestReplicaMissesACollection lets one replica take part in a push, then miss a
// whole collection that another replica learns of, and then commit: what it
// remembers from before is gone from the store.
func TestReplicaMissesACollection(t *testing.T) {
	w := newWorld(t)
	store := newSwept(w.store)
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
	store.delete(condemned...)

	w.Service = first
	_, err := w.Commit(t.Context(), alice, id, next.doc, "main", "")
	if e := failure(t, "the first replica's commit", err, openapi.CodeMissingChunks); len(e.Missing) != 2 {
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

// TestOvertaken lets another push publish and commit the same version between P4
// and P5. What that one names is what collections mark, so it stays.
func TestOvertaken(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, chunker.Digest{}, large(1))
	slow, fast := w.start(alice, model), w.start(alice, model)
	w.upload(alice, slow, v, v.order)
	w.upload(alice, fast, v, v.order)
	writes := 0
	w.engine.before = func(key string) {
		if !strings.HasPrefix(key, "m/") {
			return
		}
		if writes++; writes == 2 { // P5
			w.engine.before = nil
			done, err := versions.New(w.config).Commit(t.Context(), alice, fast, v.doc, "", "")
			if err != nil || !done.Created {
				t.Errorf("the fast commit: %+v, %v", done, err)
			}
		}
	}
	done, err := w.Commit(t.Context(), alice, slow, v.doc, "main", "")
	if err != nil || done.Created || done.Tag == nil {
		t.Errorf("the slow commit: %+v, %v", done, err)
	}
	w.check(bob, model, v)
}

// TestNameWrittenAgain uploads a chunk again that a collection has deleted, under
// the same name, before the push knows of the collection. The collection may delete
// it again at any time, so nothing may name it.
func TestNameWrittenAgain(t *testing.T) {
	w := newWorld(t)
	store := newSwept(w.store)
	w.config.Blobs = store
	w.restart()
	v := newVersion(t, chunker.Digest{}, large(1))
	id := w.start(alice, model)
	w.upload(alice, id, v, v.order)
	first := w.objectOf(v.order[0])
	w.collect(1, "idle", first)
	store.delete(first)
	w.restart()
	if n := len(w.missing(alice, id, v)); n != 1 {
		t.Fatalf("%d chunks are missing, want the deleted one", n)
	}
	w.upload(alice, id, v, v.order)
	_, err := w.Commit(t.Context(), alice, id, v.doc, "main", "")
	wants(t, "commit", err, openapi.CodeMissingChunks)
	w.restart()
	if n := len(w.missing(alice, id, v)); n != 1 {
		t.Fatalf("%d chunks are missing, want 1: the name is one that a collection deletes", n)
	}
	w.upload(alice, id, v, v.order)
	if _, err := w.Commit(t.Context(), alice, id, v.doc, "main", ""); err != nil {
		t.Fatal(err)
	}
	store.delete(first)
	w.restart()
	w.check(bob, model, v)
}

// TestCondemnedBody condemns the body of a commit before its head names it.
func TestCondemnedBody(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, chunker.Digest{}, large(1))
	w.push(alice, model, v, "")
	if err := w.Delete(t.Context(), alice, model, v.digest); err != nil {
		t.Fatal(err)
	}
	store := newSwept(w.store)
	w.config.Blobs = store
	w.restart()
	id := w.start(alice, model)
	w.upload(alice, id, v, v.order)
	w.engine.before = func(key string) {
		if strings.HasPrefix(key, "m/") { // P3
			w.engine.before = nil
			bodies := w.blobsOf("b/")
			w.collect(1, "idle", bodies...)
			store.delete(bodies...)
		}
	}
	if _, err := w.Commit(t.Context(), alice, id, v.doc, "main", ""); err != nil {
		t.Fatal(err)
	}
	w.restart()
	w.check(bob, model, v)
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
