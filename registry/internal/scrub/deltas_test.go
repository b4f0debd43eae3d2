package scrub_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/name"
)

// changed returns plain with some bytes changed.
func changed(plain []byte, seed byte) []byte { return changedEvery(plain, seed, 97) }

func changedEvery(plain []byte, seed byte, n int) []byte {
	b, dice := slices.Clone(plain), rand.New(rand.NewPCG(uint64(seed), uint64(n)))
	for i := dice.IntN(n); i < len(b); i += 1 + dice.IntN(2*n) {
		b[i] += byte(1 + dice.IntN(255))
	}
	return b
}

// asDelta has a version store its chunk plain as a delta of base, as another version has
// that.
func (w *world) asDelta(repo name.Repo, v *version, plain []byte, from *version, base []byte) {
	w.t.Helper()
	move, err := w.StartMove(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	d, under := chunker.Sum(plain), chunker.Sum(base)
	found, err := move.Find(w.t.Context(), repo, []chunker.Digest{under}, versions.Source{Repo: repo.String(), Version: from.digest})
	if err != nil || found[0].Object == "" {
		w.t.Fatalf("base: %v, %v", found, err)
	}
	enc, ok := codec.AppendDelta(nil, plain, base, under, chunker.U8, len(plain))
	if !ok {
		w.t.Fatal("no delta")
	}
	entries, err := move.Put(w.t.Context(), []versions.Encoded{{Digest: d, Bytes: enc, Base: base}})
	if err != nil {
		w.t.Fatal(err)
	}
	w.point(move, repo, v, func(ref chunker.Ref, old placement.Entry) placement.Entry {
		if ref.Digest != d {
			return old
		}
		e := entries[0]
		e.Closure = append([]placement.Entry{{Object: found[0].Object, Offset: found[0].Offset, Length: found[0].Length}}, found[0].Closure...)
		return e
	})
}

func (w *world) point(move *versions.Move, repo name.Repo, v *version, to func(chunker.Ref, placement.Entry) placement.Entry) {
	w.t.Helper()
	ok, err := move.Point(w.t.Context(), repo, v.digest, func(_ int, ref chunker.Ref, old placement.Entry) placement.Entry { return to(ref, old) })
	if err != nil || !ok {
		w.t.Fatalf("point: %v, %v", ok, err)
	}
}

// ladder is three versions whose chunks are an anchor, a middle and a step.
type ladder struct {
	plains   [3][]byte
	versions [3]*version
}

func (w *world) ladder(plain []byte) (l ladder) {
	w.t.Helper()
	l.plains = [3][]byte{plain, changed(plain, 1), changed(changed(plain, 1), 2)}
	for i, p := range l.plains {
		l.versions[i] = newVersion(w.t, p, small(uint64(100+i)))
		w.push(model, l.versions[i], "", false)
		if i > 0 {
			w.asDelta(model, l.versions[i], p, l.versions[i-1], l.plains[i-1])
		}
	}
	w.collect() // the whole ones that were pushed
	return l
}

func TestVerifyDeltas(t *testing.T) {
	for what, plain := range map[string][]byte{"large": large(1), "small": small(1)} {
		w := newWorld(t)
		l := w.ladder(plain)
		w.sound(what)
		for _, v := range l.versions {
			w.check(model, v)
		}
		w.config.Places = 8 // in many parts
		w.sound(what + " in parts")
	}
}

// TestBadBase damages each chunk of a ladder: what is named is the damaged one, and
// every version that needs it.
func TestBadBase(t *testing.T) {
	for i := range 3 {
		w := newWorld(t)
		l := w.ladder(noise(1, 1<<20))
		var object string
		if i == 0 {
			object = w.chunkIn(l.plains[0])
			w.store.flip(object, 5000)
		} else { // deltas are small, and in bundles
			e := w.entryOf(model, l.versions[i], chunker.Sum(l.plains[i]))
			object = e.Object
			w.store.flip(object, int64(e.Offset)+70)
		}
		got := w.verify(true)
		if objectsOf(got.Bad) != object || len(got.Missing) != 0 || got.Healed != 0 {
			t.Errorf("chunk %d: %+v", i, got)
			continue
		}
		if n := len(got.Bad[0].Versions); n != 3-i {
			t.Errorf("chunk %d is needed by %v", i, got.Bad[0].Versions)
		}
		for j, v := range l.versions {
			w.restart()
			if err := w.read(model, v); (err != nil) != (j >= i) {
				t.Errorf("chunk %d is bad, version %d: %v", i, j, err)
			}
			if j >= i { // the next push heals it
				if n := w.push(model, v, "", false); n == 0 && j == i {
					t.Errorf("chunk %d: nothing is sent again", i)
				}
				w.check(model, v)
			}
		}
		w.collect()
		w.verify(true)
		w.sound("pushed again")
	}
}

// noise is a chunk that no encoding makes shorter.
func noise(seed uint64, n int) []byte { return plainOf(seed, n) }

// entryOf returns where a version has a chunk.
func (w *world) entryOf(repo name.Repo, v *version, d chunker.Digest) (e placement.Entry) {
	w.t.Helper()
	move, err := w.StartMove(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	_, err = move.Point(w.t.Context(), repo, v.digest, func(_ int, ref chunker.Ref, old placement.Entry) placement.Entry {
		if ref.Digest == d {
			e = old
		}
		return old
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return e
}

// TestHealThroughAnotherBase damages an anchor of which another namespace has a copy:
// that becomes the chunk of the version that has it, and what rests on it becomes whole.
func TestHealThroughAnotherBase(t *testing.T) {
	w := newWorld(t)
	l := w.ladder(large(1))
	object := w.chunkIn(l.plains[0])
	w.push(alien, newVersion(t, l.plains[0]), "main", true)
	w.store.flip(object, 5000)
	got := w.verify(true)
	if objectsOf(got.Bad) != object || got.Healed != 1 {
		t.Errorf("got %+v", got)
	}
	for i, v := range l.versions {
		w.check(model, v)
		if e := w.entryOf(model, v, chunker.Sum(l.plains[i])); len(e.Closure) != 0 {
			t.Errorf("version %d still has a base: %+v", i, e)
		}
	}
	w.collect()
	w.verify(true)
	w.sound("healed")
}

// TestWrongClosure gives versions bases that are sound, and not those that their deltas
// need.
func TestWrongClosure(t *testing.T) {
	for what, spoil := range map[string]func(placement.Entry, placement.Entry) placement.Entry{
		"none":    func(e, _ placement.Entry) placement.Entry { e.Closure = nil; return e },
		"too few": func(e, _ placement.Entry) placement.Entry { e.Closure = e.Closure[:1]; return e },
		"another": func(e, other placement.Entry) placement.Entry { e.Closure = []placement.Entry{other}; return e },
	} {
		w := newWorld(t)
		l := w.ladder(large(1))
		other := newVersion(t, large(9))
		w.push(model, other, "other", false)
		e := w.entryOf(model, other, chunker.Sum(large(9)))
		move, err := w.StartMove(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		w.point(move, model, l.versions[2], func(ref chunker.Ref, old placement.Entry) placement.Entry {
			if ref.Digest != chunker.Sum(l.plains[2]) {
				return old
			}
			return spoil(old, e)
		})
		got := w.verify(true)
		if len(got.Bad) != 1 || !strings.Contains(got.Bad[0].Reason, "needs") {
			t.Errorf("%s: %+v", what, got)
		}
		w.restart()
		w.push(model, l.versions[2], "", false)
		w.check(model, l.versions[2])
	}
}
