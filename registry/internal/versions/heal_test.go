package versions_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// spoil takes an object out of use, through another replica than the test's.
func (w *world) spoil(object string, places ...uint32) {
	w.t.Helper()
	if err := versions.New(w.config).Quarantine(w.t.Context(), object, "bits have flipped", chunker.Digest{}, places); err != nil {
		w.t.Fatal(err)
	}
}

// TestNextPushHeals takes chunks of a version out of use: the next push of it
// uploads them again, and the version names those.
func TestNextPushHeals(t *testing.T) {
	for _, what := range []string{"c/", "u/", "b/"} {
		m := newMoved(t, large(1), large(2), small(3), small(4))
		want := map[string]int{"c/": 1, "u/": 2, "b/": 0}[what]
		bad := m.blobsOf(what)[0]
		m.spoil(bad)
		m.restart()
		if n := m.push(bob, model, m.v, ""); n != want {
			t.Errorf("%s: uploads %d chunks, want %d", what, n, want)
		}
		h := m.head()
		if h.Push == "" || h.Next != "" {
			t.Errorf("%s: the head is %+v", what, h)
		}
		m.store.delete(bad)
		m.restart()
		m.check(alice, model, m.v)
		if n := m.push(bob, model, m.v, ""); n != 0 {
			t.Errorf("%s: the push after that uploads %d chunks", what, n)
		}
	}
}

// TestLostBodyIsHealed loses a body that nobody has taken out of use: the push that
// finds the version of no use heals it.
func TestLostBodyIsHealed(t *testing.T) {
	m := newMoved(t, large(1), small(2))
	m.store.delete(m.head().Body)
	m.restart()
	if n := m.push(bob, model, m.v, ""); n != 2 {
		t.Errorf("uploads %d chunks, want all", n)
	}
	m.restart()
	m.check(alice, model, m.v)
}

// TestHealingNeedsTheChunks commits a version with a bad chunk without having it.
func TestHealingNeedsTheChunks(t *testing.T) {
	m := newMoved(t, large(1), large(2))
	m.spoil(m.objectOf(chunker.Sum(large(2))))
	id := m.start(bob, model)
	_, err := m.Commit(t.Context(), bob, id, m.v.doc, "", "")
	if e := failure(t, "commit", err, openapi.CodeMissingChunks); len(e.Missing) != 1 {
		t.Fatalf("missing %v, want 1", e.Missing)
	}
	m.upload(bob, id, m.v, m.missing(bob, id, m.v))
	done, err := m.Commit(t.Context(), bob, id, m.v.doc, "", "")
	if err != nil || done.Created {
		t.Errorf("got %+v, %v", done, err)
	}
	m.restart()
	m.check(alice, model, m.v)
}

// TestHealingMeetsACollection condemns what the push would heal the version with.
func TestHealingMeetsACollection(t *testing.T) {
	m := newMoved(t, large(1))
	first := m.objectOf(m.v.order[0])
	m.spoil(first)
	id := m.start(bob, model)
	m.upload(bob, id, m.v, m.missing(bob, id, m.v))
	m.atHeadWrite(1, func(record.Head) {
		for _, object := range m.blobsOf("c/") {
			if object != first {
				m.sweep(1, object)
			}
		}
	})
	if _, err := m.Commit(t.Context(), bob, id, m.v.doc, "", ""); err != nil {
		t.Error(err)
	}
	if h := m.head(); h.Next != "" {
		t.Errorf("the head is %+v", h)
	}
	m.restart()
	if n := m.push(bob, model, m.v, ""); n != 1 {
		t.Errorf("uploads %d chunks", n)
	}
	m.store.delete(first)
	m.restart()
	m.check(bob, model, m.v)
}

// TestOwnChunkGoesBad takes a chunk out of use that the push itself has uploaded.
func TestOwnChunkGoesBad(t *testing.T) {
	m := newMoved(t, small(1))
	v := newVersion(t, chunker.Digest{}, large(2))
	id := m.start(alice, model)
	m.upload(alice, id, v, v.order)
	bad := m.objectOf(v.order[0])
	m.spoil(bad)
	m.restart()
	if n := len(m.missing(alice, id, v)); n != 1 {
		t.Errorf("%d chunks are missing, want the bad one", n)
	}
	m.upload(alice, id, v, v.order)
	m.store.delete(bad)
	m.restart()
	if _, err := m.Commit(t.Context(), alice, id, v.doc, "", ""); err != nil {
		t.Fatal(err)
	}
	m.check(alice, model, v)
}

// TestReadingWhatIsBad reads a chunk that is out of use: from another version if
// one has it, else with an error that says why.
func TestReadingWhatIsBad(t *testing.T) {
	m := newMoved(t, small(1), small(2), small(3))
	table, err := m.Chunks(t.Context(), bob, model, m.v.digest, []uint32{0, 1, 2})
	if err != nil {
		t.Fatal(err)
	}
	bundle := m.blobsOf("u/")[0]
	// The second chunk begins behind a header of 12 bytes and three times 44, and
	// the first chunk.
	second := uint32(12 + 3*44 + table[0].Length)
	m.spoil(bundle, second)
	if _, err := m.Quarantined(t.Context()); err != nil {
		t.Fatal(err)
	}
	bad := 0
	for i := range uint32(3) {
		_, err := m.Chunks(t.Context(), bob, model, m.v.digest, []uint32{i})
		if err != nil {
			wants(t, fmt.Sprintf("chunk %d", i), err, openapi.CodeUnavailable)
			bad++
		}
	}
	if bad != 1 {
		t.Errorf("%d chunks cannot be read, want the second of the bundle", bad)
	}
	twin := newVersion(t, chunker.Digest{}, small(1), small(2), small(3), small(4))
	id := m.start(alice, other)
	m.upload(alice, id, twin, twin.order)
	if _, err := m.Commit(t.Context(), alice, id, twin.doc, "", ""); err != nil {
		t.Fatal(err)
	}
	m.store.delete(bundle) // so that what is read is not from there
	if _, err := m.Chunks(t.Context(), bob, model, m.v.digest, []uint32{0, 1, 2}); err != nil {
		t.Errorf("another version has the chunk: %v", err)
	}
	m.spoil(bundle)
	if _, err := m.Quarantined(t.Context()); err != nil {
		t.Fatal(err)
	}
	m.check(bob, model, m.v)
}

func TestQuarantine(t *testing.T) {
	w := newWorld(t)
	look := func() []*record.Quarantine {
		list, err := w.Quarantined(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	w.spoil("u/push/nonce", 9, 3)
	w.spoil("c/abc/abc.push.0")
	list := look()
	if len(list) != 2 || list[0].Object != "c/abc/abc.push.0" || list[1].Covers(4) || !list[1].Covers(3) || !list[1].Covers(9) {
		t.Fatalf("got %+v", list)
	}
	swaps := w.engine.swaps.Load()
	w.spoil("u/push/nonce", 3)
	if n := w.engine.swaps.Load() - swaps; n != 0 {
		t.Errorf("the same again is written %d times", n)
	}
	w.spoil("u/push/nonce", 5)
	if list = look(); !list[1].Covers(3) || !list[1].Covers(5) || list[1].Covers(4) {
		t.Errorf("got %+v", list[1])
	}
	w.spoil("u/push/nonce")
	w.spoil("u/push/nonce", 5)
	if list = look(); !list[1].Covers(4) {
		t.Errorf("what is bad as a whole became better: %+v", list[1])
	}
	for range 2 {
		if err := w.ClearQuarantine(t.Context(), "u/push/nonce"); err != nil {
			t.Fatal(err)
		}
	}
	if list = look(); len(list) != 1 || list[0].Object != "c/abc/abc.push.0" {
		t.Errorf("got %+v", list)
	}
	w.spoil("u/push/nonce", 7)
	if list = look(); len(list) != 2 || list[1].Covers(4) || !list[1].Covers(7) {
		t.Errorf("got %+v", list)
	}
}

// TestQuarantineIsReadOnce counts what a push reads of it.
func TestQuarantineIsReadOnce(t *testing.T) {
	m := newMoved(t, large(1), large(2))
	for i := range 50 {
		m.spoil(fmt.Sprintf("c/abc/abc.push.%d", i))
	}
	counts := &counting{Engine: m.engine}
	m.config.Registers = counts
	m.restart()
	for i, want := range []int{50, 0} {
		counts.lists, counts.gets = 0, 0
		m.push(bob, model, m.v, "")
		if counts.lists != 1 || counts.gets != want {
			t.Errorf("push %d: %d lists and %d reads of the quarantine, want 1 and %d", i, counts.lists, counts.gets, want)
		}
	}
}

// counting counts what is read of the quarantine.
type counting struct {
	registers.Engine
	lists, gets int
}

func (c *counting) List(ctx context.Context, prefix, after string, n int) ([]registers.Entry, error) {
	if strings.HasPrefix(prefix, record.QuarantinePrefix) {
		c.lists++
	}
	return c.Engine.List(ctx, prefix, after, n)
}

func (c *counting) Get(ctx context.Context, key string) ([]byte, registers.Version, error) {
	if strings.HasPrefix(key, record.QuarantinePrefix) {
		c.gets++
	}
	return c.Engine.Get(ctx, key)
}

// TestQuarantineIsBounded takes more objects out of use than there is room for.
func TestQuarantineIsBounded(t *testing.T) {
	w := newWorld(t)
	for i := range versions.MaxQuarantine {
		if err := w.Quarantine(t.Context(), fmt.Sprintf("c/%d", i), "lost", chunker.Digest{}, nil); err != nil {
			t.Fatal(err)
		}
	}
	err := w.Quarantine(t.Context(), "c/more", "lost", chunker.Digest{}, nil)
	if !errors.Is(err, versions.ErrQuarantineFull) {
		t.Errorf("got %v", err)
	}
	if err := w.Quarantine(t.Context(), "c/7", "lost", chunker.Digest{}, nil); err != nil {
		t.Errorf("one that is in it: %v", err)
	}
	if err := w.ClearQuarantine(t.Context(), "c/7"); err != nil {
		t.Fatal(err)
	}
	if err := w.Quarantine(t.Context(), "c/more", "lost", chunker.Digest{}, nil); err != nil {
		t.Errorf("after one was cleared: %v", err)
	}
}
