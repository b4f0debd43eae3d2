package versions_test

import (
	"context"
	"iter"
	"sync/atomic"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
)

// asked counts what a store is asked.
type asked struct {
	blobs.Store
	times atomic.Int64
}

func (a *asked) Stat(ctx context.Context, name string) (blobs.Info, error) {
	a.times.Add(1)
	return a.Store.Stat(ctx, name)
}

func (a *asked) List(ctx context.Context, prefix, after string) iter.Seq2[blobs.Info, error] {
	a.times.Add(1)
	return a.Store.List(ctx, prefix, after)
}

// TestFreshPush asks for chunks through a replica that knows nothing: of a push that
// says that it is fresh the store is asked nothing, of another whether it has the
// chunks.
func TestFreshPush(t *testing.T) {
	w := newWorld(t)
	store := &asked{Store: w.store}
	w.config.Blobs = store
	w.restart()
	v := newVersion(t, chunker.Digest{}, large(1), large(2), plainOf(3, 5000))
	id := w.start(alice, model)
	w.upload(alice, id, v, v.order[:2])
	w.restart()
	missing, err := w.MissingFresh(t.Context(), alice, id, v.order)
	if n := store.times.Load(); err != nil || n != 0 {
		t.Errorf("a fresh push: %v, the store was asked %d times", err, n)
	}
	for i, m := range missing {
		if !m {
			t.Errorf("chunk %d is said to be there, which nobody can know", i)
		}
	}
	if got := w.missing(alice, id, v); len(got) != 1 || got[0] != v.order[2] || store.times.Load() == 0 {
		t.Errorf("a push that may have uploaded before lacks %d chunks, want the last one", len(got))
	}
}
