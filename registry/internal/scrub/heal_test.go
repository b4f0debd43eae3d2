package scrub_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/scrub"
)

// TestHealedByAnotherVersion damages a chunk that another version has in a copy of
// its own: the version is pointed at that, also when the index knows nothing.
func TestHealedByAnotherVersion(t *testing.T) {
	for _, index := range []bool{true, false} {
		for what, plain := range map[string][]byte{"c/": large(1), "u/": small(2)} {
			w := newWorld(t)
			v, twin := newVersion(t, large(1), small(2), small(3)), newVersion(t, large(1), small(2), small(4))
			w.push(model, v, "main", false)
			object := w.blobsOf(what)[0]
			w.push(alien, twin, "main", true)
			info, err := w.store.Stat(t.Context(), object)
			if err != nil {
				t.Fatal(err)
			}
			if !index {
				w.index.forget()
			}
			at := info.Size / 2
			if what == "u/" {
				at = w.offsetIn(object, plain) + 5
			}
			w.store.flip(object, at)
			got := w.verify(true)
			if objectsOf(got.Bad) != object || got.Healed != 1 {
				t.Errorf("%s, index %v: %+v", what, index, got)
			}
			w.check(model, v)
			w.check(alien, twin)
			w.collect()
			w.verify(true)
			w.sound(what)
			w.check(model, v)
			if n := len(w.quarantined()); n != 0 || len(w.blobsOf(object)) != 0 {
				t.Errorf("%s: %d objects in quarantine, and %v", what, n, w.blobsOf(object))
			}
		}
	}
}

// offsetIn returns where a chunk begins in a bundle.
func (w *world) offsetIn(bundle string, plain []byte) int64 {
	w.t.Helper()
	r, err := w.store.Memory.Open(w.t.Context(), bundle, 0, -1)
	if err != nil {
		w.t.Fatal(err)
	}
	raw := make([]byte, 1<<20)
	n, _ := r.Read(raw) // all of it is in memory
	enc := newVersion(w.t, plain).chunks[chunker.Sum(plain)]
	for i := range n - len(enc) + 1 {
		if string(raw[i:i+len(enc)]) == string(enc) {
			return int64(i)
		}
	}
	w.t.Fatalf("%s has no such chunk", bundle)
	return 0
}

// TestGoodPartsMove damages one chunk of a bundle: the others are copied out of it,
// so that it can be collected once the bad one is pushed again.
func TestGoodPartsMove(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, small(1), small(2), small(3))
	w.push(model, v, "main", false)
	bundle := w.blobsOf("u/")[0]
	w.store.flip(bundle, w.offsetIn(bundle, small(2))+40)
	got := w.verify(true)
	if objectsOf(got.Bad) != bundle || got.Healed != 0 || got.Bad[0].Digest != chunker.Sum(small(2)).String() {
		t.Errorf("got %+v", got)
	}
	if list := w.quarantined(); len(list) != 1 || len(list[0].Places) != 1 {
		t.Errorf("in quarantine: %+v, want one place", list)
	}
	if n := len(w.blobsOf("u/")); n != 2 {
		t.Errorf("%d bundles, want the bad one and the copy of what is good", n)
	}
	w.restart()
	if n := w.push(model, v, "main", false); n != 1 {
		t.Errorf("uploads %d chunks, want the bad one", n)
	}
	w.check(model, v)
	w.collect()
	w.verify(true)
	w.sound("after the collection")
	if names := w.blobsOf(bundle); len(names) != 0 {
		t.Errorf("%v is left", names)
	}
}

// TestBodyFromATwin loses a body that the same version has in another repository,
// and one that a process still remembers.
func TestBodyFromATwin(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, large(1), small(2))
	w.push(model, v, "main", false)
	w.push(alien, v, "main", false)
	body := w.blobsOf("b/acme/")[0]
	w.store.flip(body, 100)
	if got := w.verify(false); objectsOf(got.Bad) != body || got.Healed != 1 {
		t.Errorf("got %+v", got)
	}
	w.check(model, v)
	w.collect()
	w.verify(true)
	w.sound("after the collection")

	twin := w.blobsOf("b/guest/")[0]
	for _, object := range append(w.blobsOf("b/acme/"), twin) {
		w.store.flip(object, 100)
	}
	if got := w.verify(false); len(got.Bad) != 2 || got.Healed != 0 {
		t.Errorf("both are lost: %+v", got)
	}
}

func TestBodyFromMemory(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, large(1), small(2))
	w.push(model, v, "main", false)
	if err := w.read(model, v); err != nil {
		t.Fatal(err)
	}
	body := w.blobsOf("b/")[0]
	if err := w.store.Memory.Delete(t.Context(), []string{body}); err != nil {
		t.Fatal(err)
	}
	got, err := scrub.New(w.config).Verify(t.Context(), false, nil)
	if err != nil || objectsOf(got.Missing) != body || got.Healed != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	w.check(model, v)
	w.verify(false)
	w.sound("after that")
}

// TestRandomDamage damages and loses objects at random, verifies, collects and
// pushes in any order: nothing wrong is ever read, every version can be read after
// it was pushed again, and at last no bad object remains.
func TestRandomDamage(t *testing.T) {
	for seed := range uint64(2) {
		w := newWorld(t)
		dice := rand.New(rand.NewPCG(seed, 3))
		var all []*version
		for i := range uint64(4) {
			all = append(all, newVersion(t, large(i%2), small(i), small(i+1), small(i+2)))
			w.push(model, all[i], fmt.Sprintf("v%d", i), dice.IntN(2) == 0)
			w.push(other, all[i], fmt.Sprintf("v%d", i), dice.IntN(2) == 0)
		}
		for range 25 {
			switch dice.IntN(6) {
			case 0, 1:
				w.damage(dice)
			case 2:
				w.verify(dice.IntN(2) == 0)
			case 3:
				w.collectIfItCan()
			case 4:
				i := dice.IntN(len(all))
				w.restart()
				w.push(model, all[i], fmt.Sprintf("v%d", i), false)
			case 5:
				w.restart()
				_ = w.read(other, all[dice.IntN(len(all))]) // wrong bytes fail the test
			}
		}
		w.verify(true)
		for i, v := range all {
			w.restart()
			w.push(model, v, fmt.Sprintf("v%d", i), false)
			w.check(model, v)
		}
		w.verify(true)
		for i, v := range all {
			w.restart()
			w.push(other, v, fmt.Sprintf("v%d", i), false)
			w.check(other, v)
		}
		w.verify(true)
		w.collect()
		w.verify(true)
		w.sound(fmt.Sprintf("seed %d", seed))
		if n := len(w.quarantined()); n != 0 {
			t.Errorf("seed %d: %d objects in quarantine", seed, n)
		}
	}
}

// damage damages or loses a random object.
func (w *world) damage(dice *rand.Rand) {
	all := append(append(w.blobsOf("c/"), w.blobsOf("u/")...), w.blobsOf("b/")...)
	object := all[dice.IntN(len(all))]
	if dice.IntN(3) == 0 {
		if err := w.store.Delete(w.t.Context(), []string{object}); err != nil {
			w.t.Fatal(err)
		}
		return
	}
	info, err := w.store.Stat(w.t.Context(), object)
	if err != nil {
		w.t.Fatal(err)
	}
	w.store.flip(object, dice.Int64N(info.Size))
}

// TestShallowKeepsQuarantine looks at a bad chunk without reading it: it stays out of
// use, and is told of.
func TestShallowKeepsQuarantine(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, large(1), small(2))
	w.push(model, v, "main", false)
	object := w.chunkIn(large(1))
	w.store.flip(object, 5000)
	w.verify(true)
	got := w.verify(false)
	if objectsOf(got.Bad) != object || len(got.Bad[0].Versions) != 1 || len(w.quarantined()) != 1 {
		t.Errorf("got %+v, in quarantine %+v", got, w.quarantined())
	}
	w.remove(model, v, "main")
	w.collect()
	if w.verify(false); len(w.quarantined()) != 0 {
		t.Errorf("what is gone is in quarantine: %+v", w.quarantined())
	}
}
