package scrub_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/scrub"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// compact compacts all that can be, in a process that remembers nothing.
func (w *world) compact() scrub.Compaction {
	w.t.Helper()
	w.restart()
	got, err := scrub.New(w.config).Compact(w.t.Context(), scrub.CompactOptions{Worth: 1})
	if err != nil {
		w.t.Fatal(err)
	}
	return got
}

// smalls returns chunks that are stored in one bundle.
func smalls(from, to uint64) (plains [][]byte) {
	for i := from; i < to; i++ {
		plains = append(plains, small(i))
	}
	return plains
}

func TestCompact(t *testing.T) {
	w := newWorld(t)
	all, some, few := newVersion(t, smalls(0, 20)...), newVersion(t, smalls(3, 8)...), newVersion(t, append(smalls(7, 9), large(1))...)
	w.push(model, all, "all", false)
	w.push(model, some, "some", false)
	w.push(other, few, "few", false)
	old := w.blobsOf("u/")
	if got := w.compact(); got != (scrub.Compaction{}) {
		t.Errorf("nothing is sparse: %+v", got)
	}
	w.remove(model, all, "all")
	got := w.compact()
	if got.Bundles != 1 || got.Chunks != 6 || got.Versions != 2 || got.Garbage < 13*1000 {
		t.Errorf("got %+v", got)
	}
	if again := w.compact(); again != (scrub.Compaction{}) {
		t.Errorf("again: %+v", again)
	}
	w.collect()
	w.check(model, some)
	w.check(other, few)
	now := w.blobsOf("u/")
	if len(now) != 1 || now[0] == old[0] {
		t.Errorf("bundles were %v, are %v", old, now)
	}
	w.sound("after the collection")
}

func TestCompactIsWorthIt(t *testing.T) {
	w := newWorld(t)
	all, some := newVersion(t, smalls(0, 20)...), newVersion(t, smalls(3, 8)...)
	w.push(model, all, "all", false)
	w.push(model, some, "some", false)
	w.remove(model, all, "all")
	for _, o := range []scrub.CompactOptions{{}, {Worth: 1, Share: 0.2}} {
		if got, err := scrub.New(w.config).Compact(t.Context(), o); err != nil || got != (scrub.Compaction{}) {
			t.Errorf("%+v: %+v, %v", o, got, err)
		}
	}
	w.config.ReadOnly = true
	if got := w.compact(); got != (scrub.Compaction{}) {
		t.Errorf("a registry that only reads: %+v", got)
	}
}

// TestCompactKeepsBases moves an anchor, a middle and a step, which lie in bundles that
// are mostly garbage, for versions that need all of them and for one that needs only
// what the others rest on.
func TestCompactKeepsBases(t *testing.T) {
	for kept := range 3 {
		w := newWorld(t)
		all := newVersion(t, append(smalls(0, 20), small(50))...)
		w.push(model, all, "all", false) // the anchor lies among what is to be garbage
		l := w.ladder(small(50))
		w.remove(model, all, "all")
		for _, v := range l.versions[:kept] {
			if err := w.Delete(t.Context(), alice, model, v.digest); err != nil {
				t.Fatal(err)
			}
		}
		before := w.blobsOf("u/")
		got := w.compact()
		if got.Bundles == 0 || got.Chunks == 0 || got.Versions != 3-kept {
			t.Errorf("%d retired: got %+v", kept, got)
		}
		w.collect()
		for _, v := range l.versions[kept:] {
			w.check(model, v)
			if n := len(w.entryOf(model, v, chunker.Sum(l.plains[2])).Closure); v == l.versions[2] && n != 2 {
				t.Errorf("%d retired: the step has %d bases", kept, n)
			}
		}
		if slices.Contains(w.blobsOf("u/"), before[0]) && slices.Equal(w.blobsOf("u/"), before) {
			t.Errorf("%d retired: bundles were %v, and are %v", kept, before, w.blobsOf("u/"))
		}
		if again := w.compact(); again != (scrub.Compaction{}) {
			t.Errorf("%d retired, again: %+v", kept, again)
		}
		w.sound("after the collection")
	}
}

// TestCompactOfTwoForms has one chunk whole in a bundle and as a delta in another, both
// mostly garbage: each version keeps a chunk that it can decode.
func TestCompactOfTwoForms(t *testing.T) {
	w := newWorld(t)
	l := w.ladder(small(50))
	foreign := newVersion(t, append(smalls(0, 20), l.plains[2])...)
	keep := newVersion(t, l.plains[2])
	w.push(alien, foreign, "all", true)
	w.push(alien, keep, "keep", false)
	w.remove(alien, foreign, "all")
	rest := newVersion(t, append(smalls(30, 50), l.plains[0])...)
	w.push(model, rest, "rest", true)
	w.compact()
	w.remove(model, rest, "rest")
	w.compact()
	w.collect()
	w.check(alien, keep)
	for _, v := range l.versions {
		w.check(model, v)
	}
	w.sound("after the collection")
}

// TestCompactLeavesBadChunks compacts a bundle in which a needed chunk is bad.
func TestCompactLeavesBadChunks(t *testing.T) {
	w := newWorld(t)
	all, some := newVersion(t, smalls(0, 20)...), newVersion(t, smalls(3, 8)...)
	w.push(model, all, "all", false)
	w.push(model, some, "some", false)
	w.remove(model, all, "all")
	bundle := w.blobsOf("u/")[0]
	w.store.flip(bundle, w.offsetIn(bundle, small(5))+50)
	if got := w.compact(); got.Chunks != 4 {
		t.Errorf("got %+v", got)
	}
	w.collect()
	got := w.verify(true)
	if objectsOf(got.Bad) != bundle {
		t.Errorf("got %+v", got)
	}
	w.restart()
	if n := w.push(model, some, "some", false); n != 1 {
		t.Errorf("uploads %d chunks", n)
	}
	w.check(model, some)
}

// TestCompactOfAnOpenPush leaves a bundle alone as long as its push is open: what
// looks like garbage may be named in a moment.
func TestCompactOfAnOpenPush(t *testing.T) {
	w := newWorld(t)
	all, some := newVersion(t, smalls(0, 20)...), newVersion(t, smalls(3, 8)...)
	push, err := w.StartPush(t.Context(), alice, model)
	if err != nil {
		t.Fatal(err)
	}
	var batch []versions.Encoded
	for _, d := range all.order {
		batch = append(batch, versions.Encoded{Digest: d, Bytes: all.chunks[d]})
	}
	if _, err := w.PutBatch(t.Context(), alice, push.ID, batch); err != nil {
		t.Fatal(err)
	}
	w.engine = &closed{w.engine}
	w.versions.Registers = w.engine
	w.restart()
	if _, err := w.Commit(t.Context(), alice, push.ID, some.doc, "some", ""); err != nil {
		t.Fatal(err)
	}
	if got := w.compact(); got != (scrub.Compaction{}) {
		t.Errorf("got %+v", got)
	}
	if _, err := w.Commit(t.Context(), alice, push.ID, all.doc, "all", ""); err != nil {
		t.Fatal(err)
	}
	w.check(model, all)
}

// closed is an engine that a process cannot close its pushes in.
type closed struct{ registers.Engine }

func (c *closed) CAS(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
	if strings.HasPrefix(key, "p/") {
		return registers.Absent, errDown
	}
	return c.Engine.CAS(ctx, key, want, val)
}

// TestCompactInManyPasses has room for few places.
func TestCompactInManyPasses(t *testing.T) {
	w := newWorld(t)
	var kept []*version
	for i := range uint64(4) {
		all, some := newVersion(t, smalls(i*1000, i*1000+90)...), newVersion(t, smalls(i*1000, i*1000+30)...)
		w.push(model, all, "all", false)
		w.push(model, some, fmt.Sprintf("some-%d", i), false)
		w.remove(model, all, "all")
		kept = append(kept, some)
	}
	w.config.Places = 40
	if got := w.compact(); got.Bundles != 4 || got.Chunks != 120 || got.Versions != 4 {
		t.Errorf("got %+v", got)
	}
	w.collect()
	for _, v := range kept {
		w.check(model, v)
	}
	w.sound("after the collection")
}

// TestRandomCompactions pushes, retires, damages, compacts and collects in any order.
func TestRandomCompactions(t *testing.T) {
	moved := 0
	for seed := range uint64(3) {
		w := newWorld(t)
		dice := rand.New(rand.NewPCG(seed, 4))
		live := map[int]*version{}
		for i := range 40 {
			switch dice.IntN(5) {
			case 0, 1:
				from := dice.Uint64N(30)
				live[i] = newVersion(t, append(smalls(from, from+1+dice.Uint64N(20)), fmt.Appendf(nil, "%d", i))...)
				w.push(model, live[i], fmt.Sprintf("v%d", i), dice.IntN(3) == 0)
			case 2:
				for j := range 40 {
					if v := live[j]; v != nil && dice.IntN(3) == 0 {
						w.remove(model, v, fmt.Sprintf("v%d", j))
						delete(live, j)
						break
					}
				}
			case 3:
				moved += w.compact().Chunks
			case 4:
				w.collect()
			}
		}
		w.compact()
		w.collect()
		for j := range 40 {
			if live[j] != nil {
				w.check(model, live[j])
			}
		}
		w.sound(fmt.Sprintf("seed %d", seed))
	}
	if moved == 0 {
		t.Error("no compaction moved anything")
	}
}
