package collect_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/collect"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// TestCollect deletes what only a retired version needed.
func TestCollect(t *testing.T) {
	w := newWorld(t)
	base, variant := newVersion(t, 0, 2, 1, 3), newVersion(t, 0, 2, 4, 1, 5)
	w.push(base, "main")
	if sent := w.push(variant, "variant"); sent != 2 {
		t.Fatalf("the variant sent %d chunks, want 2", sent)
	}
	if got := w.collect(); got.Freed.Objects != 0 || got.Kept[openapi.KeptReferenced].Objects != got.Objects || got.Versions != 2 || got.Epoch != 0 {
		t.Errorf("nothing is garbage: %+v", got)
	}
	before := w.objects()
	w.remove(variant, "variant")
	got := w.collect()
	if got.Freed.Objects != 3 || got.Epoch != 1 { // a large chunk, a bundle of one, a body
		t.Errorf("collected %+v, want the three objects of the variant", got)
	}
	if now := w.objects(); now != before-3 || got.Objects != int64(before) {
		t.Errorf("%d objects are left of %d, the report says %+v", now, before, got)
	}
	w.check(base)
	if err := w.read(variant); err == nil {
		t.Error("a retired version can be read")
	}
	if sent := w.push(variant, "variant"); sent != 2 {
		t.Errorf("the variant that was collected sent %d chunks, want 2", sent)
	}
	w.check(base, variant)
	w.collect()
	w.check(base, variant)
}

// TestBundle keeps a bundle as long as one chunk of it is needed.
func TestBundle(t *testing.T) {
	w := newWorld(t)
	both, one := newVersion(t, 1, 3), newVersion(t, 1)
	w.push(both, "both")
	w.push(one, "one")
	w.remove(both, "both")
	if got := w.collect(); got.Freed.Objects != 1 { // the body
		t.Errorf("collected %+v, want one object", got)
	}
	w.check(one)
}

// TestBase keeps a chunk as long as another is stored as a delta of it.
func TestBase(t *testing.T) {
	w := newWorld(t)
	first := newVersion(t, 0)
	w.push(first, "first")
	var under chunker.Digest
	var plain []byte
	for d, enc := range first.chunks {
		decoded, err := codec.Decode(nil, enc)
		if err != nil {
			t.Fatal(err)
		}
		under, plain = d, decoded
	}
	changed := bytes.Clone(plain)
	changed[100]++
	second := versionOf(t, changed)
	enc, ok := codec.AppendDelta(nil, changed, plain, under, chunker.U8, small)
	push, err := w.StartPush(t.Context(), alice, repo)
	if !ok || err != nil {
		t.Fatalf("a delta: %v, %v", ok, err)
	}
	chunk := versions.Encoded{Digest: chunker.Sum(changed), Bytes: enc}
	src := versions.Source{Repo: repo.String(), Version: first.digest}
	if _, err := w.PutDeltas(t.Context(), alice, push.ID, []versions.Encoded{chunk}, src); err != nil {
		t.Fatal(err)
	}
	if _, err := w.commit(push.ID, second, "second"); err != nil {
		t.Fatal(err)
	}
	w.remove(first, "first")
	if got := w.collect(); got.Freed.Objects != 1 { // the body
		t.Errorf("collected %+v, want one object", got)
	}
	w.check(second)
	w.remove(second, "second")
	if got := w.collect(); got.Freed.Objects != 3 { // a body, the delta's bundle, the base
		t.Errorf("collected %+v, want three objects", got)
	}
}

// TestDryRun tells the same as a collection, and writes nothing.
func TestDryRun(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, 0, 1)
	w.push(v, "main")
	w.remove(v, "main")
	w.hooked.before = func(write string) error {
		t.Errorf("a dry run wrote: %s", write)
		return nil
	}
	zero := time.Duration(0)
	dry, err := collect.New(w.config).Run(t.Context(), collect.Options{DryRun: true, Grace: &zero})
	if err != nil {
		t.Fatal(err)
	}
	w.hooked.before = nil
	wet := w.collect()
	if dry.Freed != wet.Freed || dry.Freed.Objects != 3 || dry.Objects != wet.Objects || !dry.DryRun {
		t.Errorf("the dry run told %+v, the collection %+v", dry, wet)
	}
}

// TestRepublished takes a chunk that somebody commits after the first mark out of
// what is deleted.
func TestRepublished(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, 0, 2)
	id, _, err := w.upload(v)
	if err != nil {
		t.Fatal(err)
	}
	w.once("cas "+record.CollectionKey+" "+record.Publishing, func() {
		if again, err := w.commit(id, v, "main"); err != nil || again != 0 {
			t.Errorf("commit between G1 and G2: %v, %d sent again", err, again)
		}
	})
	if got := w.collect(); got.Kept[openapi.KeptRepublished].Objects != 2 || got.Freed.Objects != 0 {
		t.Errorf("collected %+v, want two objects republished", got)
	}
	w.check(v)
}

// once calls do before the first write of that kind.
func (w *world) once(write string, do func()) {
	w.hooked.before = func(got string) error {
		if strings.HasPrefix(got, write) {
			w.hooked.before = nil
			do()
		}
		return nil
	}
}

// TestPushMeetsCollection commits at every step of a collection what the
// collection wants to delete.
func TestPushMeetsCollection(t *testing.T) {
	for _, at := range []string{
		"put gl/", "cas g/state " + record.Publishing, "cas g/state " + record.Sweeping, "delete", "cas g/state " + record.Idle,
	} {
		t.Run(at, func(t *testing.T) {
			w := newWorld(t)
			old, v := newVersion(t, 0, 1), newVersion(t, 0, 1, 2)
			w.push(old, "old")
			id, _, err := w.upload(v) // the chunks of old are hits
			if err != nil {
				t.Fatal(err)
			}
			w.remove(old, "old")
			again := -1
			w.once(at, func() { again, err = w.commit(id, v, "main") })
			w.collect()
			if err != nil || again < 0 {
				t.Fatalf("commit: %v, %d sent again", err, again)
			}
			w.check(v)
			w.collect()
			w.check(v)
			if n := w.objects(); n > len(v.chunks)+1 {
				t.Errorf("%d objects are left, want those of one version", n)
			}
		})
	}
}

// TestTakeOver ends a collector at each of its writes. The next one finishes, and
// nothing is lost or left.
func TestTakeOver(t *testing.T) {
	for stop := 0; ; stop++ {
		w := newWorld(t)
		keep, gone := newVersion(t, 0, 1), newVersion(t, 0, 2, 3)
		w.push(keep, "keep")
		w.push(gone, "gone")
		w.remove(gone, "gone")
		n := 0
		died := errors.New("died")
		w.hooked.before = func(string) error {
			if n++; n > stop {
				return died
			}
			return nil
		}
		_, err := w.collectAfter(0)
		if err != nil && !errors.Is(err, died) {
			t.Fatal(err)
		}
		w.hooked.before = nil
		w.collect()
		w.check(keep)
		if left := w.objects(); left != len(keep.chunks)+1 {
			t.Errorf("stopped at write %d: %d objects are left, want %d", stop, left, len(keep.chunks)+1)
		}
		if err == nil {
			if stop < 6 {
				t.Errorf("a collection makes %d writes, want at least 6", stop)
			}
			return
		}
	}
}

// TestLateUpload deletes again what a late request has made again.
func TestLateUpload(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, 0)
	w.push(v, "main")
	w.remove(v, "main")
	deletions := 0
	w.hooked.after = func(names []string) {
		if deletions++; deletions > 1 {
			return
		}
		for _, object := range names {
			if strings.HasPrefix(object, "c/") {
				if err := w.hooked.Put(t.Context(), object, []byte("late")); err != nil {
					t.Error(err)
				}
			}
		}
	}
	w.collect()
	if n := w.objects(); n != 0 {
		t.Errorf("%d objects are left", n)
	}
	if deletions != 2 {
		t.Errorf("%d deletions, want 2", deletions)
	}
}

// TestParts marks in as many passes as its memory asks for.
func TestParts(t *testing.T) {
	w := newWorld(t)
	var kept []*version
	for i := range uint64(8) {
		v := newVersion(t, 8*i+1, 8*i+3, 8*i+5, 8*i+2)
		w.push(v, fmt.Sprintf("t%d", i))
		if i%2 == 0 {
			w.remove(v, fmt.Sprintf("t%d", i))
		} else {
			kept = append(kept, v)
		}
	}
	w.config.Names = 5
	got := w.collect()
	if got.Freed.Objects != 12 || got.Objects != 24 || got.Versions != 4 {
		t.Errorf("collected %+v, want 12 of 24 objects freed", got)
	}
	w.check(kept...)
	if n := w.objects(); n != 12 {
		t.Errorf("%d objects are left, want 12", n)
	}
}

// TestManyCollectors pushes, deletes and reads while several collect.
func TestManyCollectors(t *testing.T) {
	w := newWorld(t)
	const rounds, pushers, collectors = 6, 3, 3
	var all, pushing sync.WaitGroup
	stop := make(chan struct{})
	for range collectors {
		all.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				_, err := w.collectAfter(0)
				var busy *openapi.Error
				if err != nil && !errors.As(err, &busy) {
					t.Error(err)
					return
				}
			}
		})
	}
	last := make([]*version, pushers)
	for p := range pushers {
		pushing.Go(func() {
			for round := range uint64(rounds) {
				v := newVersion(t, 0, 1, 2, 10+2*(round%3), 21+2*uint64(p))
				id, _, err := w.upload(v)
				if err == nil {
					_, err = w.commit(id, v, fmt.Sprintf("p%d", p))
				}
				var closed *openapi.Error
				if errors.As(err, &closed) && (closed.Code == openapi.CodeConflict || closed.Code == openapi.CodeUnavailable) {
					continue // others were faster all the time: nothing was acknowledged
				}
				if err != nil {
					t.Errorf("push: %v", err)
					return
				}
				if err := w.read(v); err != nil {
					t.Errorf("pusher %d reads what it has pushed: %v", p, err)
				}
				last[p] = v
			}
		})
	}
	pushing.Wait()
	close(stop)
	all.Wait()
	for _, v := range last {
		if v == nil {
			t.Error("a pusher never came through")
			continue
		}
		w.check(v)
	}
	w.collect()
	dry := w.collect()
	if dry.Freed.Objects != 0 || dry.Kept[openapi.KeptReferenced].Objects != dry.Objects {
		t.Errorf("after all is quiet: %+v", dry)
	}
}

// TestDamagedBody deletes nothing while it is not known what a version needs.
func TestDamagedBody(t *testing.T) {
	w := newWorld(t)
	v, gone := newVersion(t, 0), newVersion(t, 2)
	w.push(v, "main")
	w.push(gone, "gone")
	w.remove(gone, "gone")
	for info, err := range w.hooked.List(t.Context(), "b/acme/model/"+v.digest.String(), "") {
		if err = errors.Join(err, w.hooked.Memory.Delete(t.Context(), []string{info.Name})); err != nil {
			t.Fatal(err)
		}
	}
	before := w.objects()
	_, err := w.collectAfter(0)
	if err == nil || !strings.Contains(err.Error(), v.digest.Short()) || w.objects() != before {
		t.Errorf("collection over a missing body: %v, %d of %d objects are left", err, w.objects(), before)
	}
	w.remove(v, "main")
	w.collect()
	if n := w.objects(); n != 0 {
		t.Errorf("%d objects are left after the version was removed", n)
	}
}

// TestUnknownBody keeps a body that no register knows, and all it names: registers
// that were restored from an old copy look like that.
func TestUnknownBody(t *testing.T) {
	w := newWorld(t)
	w.push(newVersion(t, 0, 1, 2), "main")
	before := w.objects()
	w.config.Registers = registers.NewMemory()
	got := w.collect()
	if got.Freed.Objects != 0 || len(got.Anomalies) != 1 || w.objects() != before {
		t.Errorf("collected %+v, %d of %d objects are left", got, w.objects(), before)
	}
}

// TestForeign keeps what the registry did not name.
func TestForeign(t *testing.T) {
	w := newWorld(t)
	for _, object := range []string{"c/backup.tar", "b/notes", "x/y", "u/push/nonce/more"} {
		if err := w.hooked.Put(t.Context(), object, []byte("mine")); err != nil {
			t.Fatal(err)
		}
	}
	if got := w.collect(); got.Kept[openapi.KeptForeign].Objects != 3 || w.objects() != 4 {
		t.Errorf("collected %+v", got)
	}
}

// TestHashes keeps the hashes of versions that are there, and frees the others.
func TestHashes(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, 0)
	w.push(v, "main")
	want, err := w.FileHashes(t.Context(), alice, repo, v.digest)
	if err != nil {
		t.Fatal(err)
	}
	if got := w.collect(); got.Freed.Objects != 0 {
		t.Errorf("collected %+v", got)
	}
	w.remove(v, "main")
	if got := w.collect(); got.Freed.Objects != 3 {
		t.Errorf("collected %+v, want chunk, body and hashes", got)
	}
	w.push(v, "main")
	got, err := w.FileHashes(t.Context(), alice, repo, v.digest)
	if err != nil || !slices.Equal(got.Files, want.Files) {
		t.Errorf("hashes of the version that was pushed again: %+v, %v", got, err)
	}
}

// TestCancel ends a collection with its context.
func TestCancel(t *testing.T) {
	w := newWorld(t)
	w.push(newVersion(t, 0), "main")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := collect.New(w.config).Run(ctx, collect.Options{}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}
