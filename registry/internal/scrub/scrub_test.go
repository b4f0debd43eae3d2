package scrub_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/scrub"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

func TestVerifySound(t *testing.T) {
	w := newWorld(t)
	w.sound("nothing is stored")
	a, b := newVersion(t, large(1), large(2), small(3), small(4)), newVersion(t, large(1), small(3), small(5))
	w.push(model, a, "a", false)
	w.push(other, b, "b", false)
	var phases []string
	w.restart()
	for _, deep := range []bool{false, true} {
		got, err := scrub.New(w.config).Verify(t.Context(), deep, func(p openapi.VerifyProgress) { phases = append(phases, p.Phase) })
		if err != nil || got.Versions != 2 || got.Chunks != 5 || got.Objects != 6 || got.Bytes == 0 || len(got.Bad)+len(got.Missing) != 0 {
			t.Errorf("deep %v: %+v, %v", deep, got, err)
		}
		if raw, err := json.Marshal(got); err != nil || strings.Contains(string(raw), "null") {
			t.Errorf("the report is %s, %v", raw, err)
		}
	}
	if len(phases) == 0 {
		t.Error("no progress was told")
	}
	if len(w.quarantined()) != 0 {
		t.Errorf("quarantined: %+v", w.quarantined())
	}
}

// TestFlippedBits flips a bit in each kind of object, at its begin, in the middle
// and at its end. Deep verification finds it, takes it out of use, and the next push
// heals the version.
func TestFlippedBits(t *testing.T) {
	for _, prefix := range []string{"c/", "u/", "b/"} {
		for _, where := range []float64{0, 0.4, 1} {
			w := newWorld(t)
			v := newVersion(t, large(1), large(2), small(3), small(4), small(5))
			w.push(model, v, "main", false)
			object := w.blobsOf(prefix)[0]
			info, err := w.store.Stat(t.Context(), object)
			if err != nil {
				t.Fatal(err)
			}
			at := int64(where * float64(info.Size-1))
			what := fmt.Sprintf("byte %d of %d of %s", at, info.Size, object)
			w.store.flip(object, at)
			w.restart()
			got := w.verify(true)
			table := prefix == "u/" && where == 0 // the chunks themselves are sound, and copied
			if objectsOf(got.Bad) != object || len(got.Missing) != 0 || got.Bad[0].Reason == "" || (got.Healed == 1) != table {
				t.Fatalf("%s: %+v", what, got)
			}
			if list := got.Bad[0].Versions; len(list) != 1 || list[0] != v.ref(model) {
				t.Errorf("%s is needed by %v", what, list)
			}
			if err := w.read(model, v); (err == nil) != table {
				t.Errorf("%s: everything can be read", what)
			}
			w.push(model, v, "main", false)
			w.check(model, v)
			w.collect()
			w.check(model, v)
			if w.verify(true); len(w.quarantined()) != 0 {
				t.Errorf("%s: in quarantine after all: %+v", what, w.quarantined())
			}
			w.sound(what)
			if left := w.blobsOf(object); len(left) != 0 {
				t.Errorf("%s is not collected", what)
			}
		}
	}
}

// TestOtherBytes replaces an object by another of the same length and a good
// checksum.
func TestOtherBytes(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, large(1), large(2))
	w.push(model, v, "main", false)
	object := w.chunkIn(large(1))
	if err := w.store.Memory.Delete(t.Context(), []string{object}); err != nil {
		t.Fatal(err)
	}
	if err := w.store.Put(t.Context(), object, v.chunks[chunker.Sum(large(2))]); err != nil {
		t.Fatal(err)
	}
	if got := w.verify(false); len(got.Bad) != 0 {
		t.Errorf("a shallow verification reads chunks: %+v", got)
	}
	if got := w.verify(true); objectsOf(got.Bad) != object {
		t.Errorf("got %+v", got)
	}
}

// TestWrongOnce reads wrong bytes once: that is the way's fault, not the object's.
func TestWrongOnce(t *testing.T) {
	w := newWorld(t)
	w.push(model, newVersion(t, large(1), small(2)), "main", false)
	for _, prefix := range []string{"c/", "u/", "b/"} {
		w.store.once[w.blobsOf(prefix)[0]] = 1
	}
	w.sound("each object is read wrong once")
}

// TestStoreDown verifies while the store fails: now and then, and for good.
func TestStoreDown(t *testing.T) {
	v := newVersion(t, large(1), small(2)) // encoders must not be made in a bubble
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.push(model, v, "main", false)
		w.store.down = 2
		w.sound("two reads fail")
		w.store.down = 1 << 30
		w.restart()
		if got, err := scrub.New(w.config).Verify(t.Context(), true, nil); !errors.Is(err, errDown) || len(got.Bad)+len(got.Missing) != 0 {
			t.Errorf("the store is down: %+v, %v", got, err)
		}
		w.store.down = 0
		if len(w.quarantined()) != 0 {
			t.Errorf("quarantined: %+v", w.quarantined())
		}
	})
}

// TestMissing loses objects of each kind.
func TestMissing(t *testing.T) {
	for _, prefix := range []string{"c/", "u/", "b/"} {
		w := newWorld(t)
		v, second := newVersion(t, large(1), small(3), small(4)), newVersion(t, large(1), small(3), small(5))
		w.push(model, v, "main", false)
		w.push(other, second, "main", false)
		object := w.blobsOf(prefix)[0]
		if err := w.store.Memory.Delete(t.Context(), []string{object}); err != nil {
			t.Fatal(err)
		}
		rule := "objects older than 30 days are deleted"
		w.config.Rules = func(context.Context) ([]string, error) { return []string{rule}, nil }
		got := w.verify(false)
		if objectsOf(got.Missing) != object || len(got.Bad) != 0 || len(got.Missing[0].Versions) == 0 || !strings.Contains(got.Missing[0].Reason, rule) {
			t.Errorf("%s: %+v", prefix, got)
		}
		if len(got.Foreign) != 1 || got.Foreign[0] != rule {
			t.Errorf("foreign: %v", got.Foreign)
		}
		w.config.Rules = nil
		if again := w.verify(false); objectsOf(again.Missing) != object {
			t.Errorf("%s, again: %+v", prefix, again)
		}
		w.push(model, v, "main", false)
		w.push(other, second, "main", false)
		w.check(model, v)
		w.check(other, second)
		w.verify(false)
		if len(w.quarantined()) != 0 {
			t.Errorf("%s: in quarantine after all: %+v", prefix, w.quarantined())
		}
		w.collect()
		w.sound(prefix)
	}
}

// TestRestoredObject puts an object back that was lost, as from a backup.
func TestRestoredObject(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, large(1))
	w.push(model, v, "main", false)
	object := w.chunkIn(large(1))
	if err := w.store.Memory.Delete(t.Context(), []string{object}); err != nil {
		t.Fatal(err)
	}
	w.verify(false)
	if n := len(w.quarantined()); n != 1 {
		t.Fatalf("%d objects in quarantine", n)
	}
	if err := w.store.Put(t.Context(), object, v.chunks[v.order[0]]); err != nil {
		t.Fatal(err)
	}
	w.sound("the object is back")
	if n := len(w.quarantined()); n != 0 {
		t.Errorf("%d objects in quarantine", n)
	}
}

// TestCutShort cuts objects off.
func TestCutShort(t *testing.T) {
	for _, prefix := range []string{"c/", "u/", "b/"} {
		w := newWorld(t)
		v := newVersion(t, large(1), small(3), small(4))
		w.push(model, v, "main", false)
		object := w.blobsOf(prefix)[0]
		r, err := w.store.Memory.Open(t.Context(), object, 0, 60)
		if err != nil {
			t.Fatal(err)
		}
		head := make([]byte, 60)
		if _, err := r.Read(head); err != nil {
			t.Fatal(err)
		}
		if err := w.store.Memory.Delete(t.Context(), []string{object}); err != nil {
			t.Fatal(err)
		}
		if err := w.store.Put(t.Context(), object, head); err != nil {
			t.Fatal(err)
		}
		if got := w.verify(false); objectsOf(got.Bad) != object || len(got.Bad[0].Versions) != 1 {
			t.Errorf("%s: %+v", prefix, got)
		}
		w.push(model, v, "main", false)
		w.check(model, v)
	}
}

// TestForeignObjects puts things beside the registry's.
func TestForeignObjects(t *testing.T) {
	w := newWorld(t)
	w.push(model, newVersion(t, large(1)), "main", false)
	for _, object := range []string{"notes.txt", "c/abc/readme", "b/acme/model/latest"} {
		if err := w.store.Put(t.Context(), object, []byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	w.config.Foreign = func(context.Context, int) ([]string, error) { return []string{"meta/.DS_Store"}, nil }
	got := w.verify(true)
	if fmt.Sprint(got.Foreign) != "[b/acme/model/latest c/abc/readme notes.txt meta/.DS_Store]" || len(got.Bad)+len(got.Missing) != 0 {
		t.Errorf("got %+v", got)
	}
}

// TestRegisters damages what is no object.
func TestRegisters(t *testing.T) {
	w := newWorld(t)
	a, b := newVersion(t, large(1)), newVersion(t, small(2))
	w.push(model, a, "a", false)
	w.push(model, b, "b", false)
	if err := w.HashPending(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.sound("nothing is damaged")
	hashes := w.blobsOf("h/")[0]
	w.store.flip(hashes, 0)
	head := record.HeadKey(model, b.digest)
	_, at, err := w.engine.Get(t.Context(), head)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.engine.CAS(t.Context(), head, at, []byte(`{"v":1,"state":"dead"}`)); err != nil {
		t.Fatal(err)
	}
	if _, err := w.engine.CAS(t.Context(), "t/acme/model/bad", "", []byte(`{"v":9}`)); err != nil {
		t.Fatal(err)
	}
	got := w.verify(true)
	if want := hashes + " t/acme/model/b t/acme/model/bad"; objectsOf(got.Bad) != want && objectsOf(got.Bad) != "t/acme/model/b t/acme/model/bad" || got.Healed != 0 {
		t.Errorf("got %+v, want %s", got, want)
	}
	if n := len(w.quarantined()); n != 0 {
		t.Errorf("%d registers in quarantine", n)
	}
	list, err := w.FileHashes(t.Context(), alice, model, a.digest)
	if err != nil || len(list.Files) != 1 {
		t.Errorf("hashes: %+v, %v", list, err)
	}
	if _, err := w.engine.CAS(t.Context(), head, mustVersion(t, w, head), []byte(`no record`)); err != nil {
		t.Fatal(err)
	}
	if got := w.verify(true); !strings.Contains(objectsOf(got.Bad), head) {
		t.Errorf("got %+v, want %s", got, head)
	}
}

// TestManyPasses has room for few places, and finds the same.
func TestManyPasses(t *testing.T) {
	w := newWorld(t)
	var plains [][]byte
	for i := range uint64(200) {
		plains = append(plains, plainOf(i, 40))
	}
	v := newVersion(t, append(plains, large(1))...)
	w.push(model, v, "main", false)
	object := w.chunkIn(large(1))
	if err := w.store.Memory.Delete(t.Context(), []string{object}); err != nil {
		t.Fatal(err)
	}
	w.config.ReadOnly = true // so that the second finds what the first did
	whole := w.verify(false)
	w.config.Places = 40
	parts := w.verify(false)
	parts.Seconds = whole.Seconds
	if fmt.Sprint(whole) != fmt.Sprint(parts) || objectsOf(whole.Missing) != object || whole.Chunks != 200 {
		t.Errorf("in one pass %+v, in many %+v", whole, parts)
	}
	if n := len(w.quarantined()); n != 0 {
		t.Errorf("a registry that only reads has %d objects in quarantine", n)
	}
}

// TestRepointedMeanwhile points a version elsewhere and collects what it had, between
// the reading of its body and the looking for its objects: that is no damage.
func TestRepointedMeanwhile(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, large(1), small(2))
	w.push(model, v, "main", false)
	moved := false
	w.restart()
	got, err := scrub.New(w.config).Verify(t.Context(), true, func(p openapi.VerifyProgress) {
		if p.Phase == "versions" && !moved {
			moved = true
			w.repoint(v)
			w.collect()
		}
	})
	if err != nil || !moved || len(got.Bad)+len(got.Missing) != 0 {
		t.Errorf("got %+v, %v", got, err)
	}
	// The same, when an object is looked for that is lost.
	object := w.chunkIn(large(1))
	if err := w.store.Memory.Delete(t.Context(), []string{object}); err != nil {
		t.Fatal(err)
	}
	w.store.stat = func(looked string) {
		if looked == object {
			w.store.stat = nil
			w.repoint(v)
		}
	}
	if got := w.verify(false); len(got.Bad)+len(got.Missing) != 0 || w.store.stat != nil {
		t.Errorf("got %+v", got)
	}
}

// repoint points a version at new copies of its chunks.
func (w *world) repoint(v *version) {
	w.t.Helper()
	move, err := w.StartMove(w.t.Context())
	if err != nil {
		w.t.Fatal(err)
	}
	at := map[chunker.Digest]placement.Entry{}
	for _, d := range v.order {
		entries, err := move.Put(w.t.Context(), []versions.Encoded{{Digest: d, Bytes: v.chunks[d]}})
		if err != nil {
			w.t.Fatal(err)
		}
		at[d] = entries[0]
	}
	changed, err := move.Point(w.t.Context(), model, v.digest, func(_ int, ref chunker.Ref, _ placement.Entry) placement.Entry { return at[ref.Digest] })
	if err != nil || !changed {
		w.t.Errorf("changed %v, %v", changed, err)
	}
}

func mustVersion(t *testing.T, w *world, key string) registers.Version {
	t.Helper()
	_, v, err := w.engine.Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	return v
}
