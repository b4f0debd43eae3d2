package versions_test

import (
	"context"
	"slices"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// Knows implements versions.Known.
func (x *index) Knows(_ context.Context, repo string, version chunker.Digest) (bool, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, sources := range x.at {
		if slices.Contains(sources, versions.Source{Repo: repo, Version: version}) {
			return true, nil
		}
	}
	return false, nil
}

// replica returns another process on the same registers and blobs, with an index of
// its own.
func (w *world) replica() *world {
	r := *w
	r.index = &index{at: map[chunker.Digest][]versions.Source{}}
	r.config.Index, r.config.Known = r.index, r.index
	r.restart()
	return &r
}

// TestFreshIndex pushes through one replica what is like what another one has just
// committed: only what is new is sent.
func TestFreshIndex(t *testing.T) {
	w := newWorld(t)
	a, b := w.replica(), w.replica()
	base := newVersion(t, chunker.Digest{}, plainOf(1, 5000), plainOf(2, 5000))
	next := newVersion(t, base.digest, plainOf(1, 5000), plainOf(3, 5000))
	if n := a.push(alice, model, base, "main"); n != 2 {
		t.Errorf("the first push sent %d chunks, want 2", n)
	}
	if n := b.push(alice, model, next, "main"); n != 1 {
		t.Errorf("the push through the other replica sent %d chunks, want 1", n)
	}
}

// TestLearn tells an index of what has no tag or is in another repository, and looks
// at each head once.
func TestLearn(t *testing.T) {
	w := newWorld(t)
	a, b := w.replica(), w.replica()
	base := newVersion(t, chunker.Digest{}, plainOf(1, 5000), plainOf(2, 5000))
	a.push(alice, other, base, "")
	for range 2 {
		if err := b.Learn(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := b.push(alice, model, base, "main"); n != 0 {
		t.Errorf("sent %d chunks of a version that was learnt of, want 0", n)
	}
}
