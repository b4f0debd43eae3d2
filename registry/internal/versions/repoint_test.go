package versions_test

import (
	"context"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers/registerstest"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// moved is a world over a store from which things can be deleted, with one version
// in it.
type moved struct {
	*world
	store *swept
	v     *version
}

func newMoved(t *testing.T, plains ...[]byte) *moved {
	t.Helper()
	w := newWorld(t)
	m := &moved{w, newSwept(w.store), newVersion(t, chunker.Digest{}, plains...)}
	w.config.Blobs = m.store
	w.restart()
	w.push(alice, model, m.v, "main")
	return m
}

func (m *moved) begin() *versions.Move {
	m.t.Helper()
	move, err := m.StartMove(m.t.Context())
	if err != nil {
		m.t.Fatal(err)
	}
	return move
}

// put stores all chunks of the version again.
func (m *moved) put(move *versions.Move) map[chunker.Digest]placement.Entry {
	m.t.Helper()
	var batch []versions.Encoded
	for _, d := range m.v.order {
		batch = append(batch, versions.Encoded{Digest: d, Bytes: m.v.chunks[d]})
	}
	entries, err := move.Put(m.t.Context(), batch)
	if err != nil {
		m.t.Fatal(err)
	}
	at := map[chunker.Digest]placement.Entry{}
	for i, d := range m.v.order {
		at[d] = entries[i]
	}
	return at
}

// point points the version at new copies of its chunks.
func (m *moved) point(move *versions.Move, at map[chunker.Digest]placement.Entry) (bool, error) {
	return move.Point(m.t.Context(), model, m.v.digest, func(_ int, ref chunker.Ref, _ placement.Entry) placement.Entry { return at[ref.Digest] })
}

// repoint is a whole round of protocol R.
func (m *moved) repoint() {
	m.t.Helper()
	move := m.begin()
	if changed, err := m.point(move, m.put(move)); err != nil || !changed {
		m.t.Fatalf("changed %v, %v", changed, err)
	}
}

func (m *moved) head() (h record.Head) {
	m.t.Helper()
	if _, err := (record.Book{Registers: m.engine.Engine}).Load(m.t.Context(), record.HeadKey(model, m.v.digest), &h); err != nil {
		m.t.Fatal(err)
	}
	return h
}

// sweep deletes names as a collection does that nobody has published against.
func (m *moved) sweep(epoch uint64, names ...string) {
	m.t.Helper()
	m.collect(epoch, "idle", names...)
	m.store.delete(names...)
}

// atHeadWrite calls f before the nth write of a head from now on.
func (m *moved) atHeadWrite(n int, f func(record.Head)) {
	m.engine.before = func(key string) {
		if !strings.HasPrefix(key, "m/") {
			return
		}
		if n--; n == 0 {
			m.engine.before = nil
			f(m.head())
		}
	}
}

// left counts the blobs of a prefix that are not swept.
func (m *moved) left(prefix string) (n int) {
	m.t.Helper()
	for _, err := range m.store.List(m.t.Context(), prefix, "") {
		if err != nil {
			m.t.Fatal(err)
		}
		n++
	}
	return n
}

func TestRepoint(t *testing.T) {
	m := newMoved(t, large(1), large(2), small(3), small(4))
	old := m.head()
	held := append(m.blobsOf("c/"), m.blobsOf("u/")...)
	var steps []record.Head
	m.engine.before = func(string) { steps = append(steps, m.head()) }
	m.repoint()
	m.engine.before = nil
	now := m.head()
	if now.Body == old.Body || now.Next != "" || now.V != 1 || now.Push != old.Push || !now.At.Equal(old.At) || now.Stored != old.Stored {
		t.Errorf("the head was %+v, is %+v", old, now)
	}
	// R2 publishes the next body and leaves the old one; R4 takes it.
	if len(steps) != 2 || steps[1].Body != old.Body || steps[1].Next != now.Body || steps[1].V != 2 {
		t.Errorf("the writes began at %+v", steps)
	}
	m.sweep(1, append(held, old.Body)...)
	m.restart()
	m.check(bob, model, m.v)
}

func TestPointLeavesWhatNeedsNothing(t *testing.T) {
	m := newMoved(t, large(1))
	old := m.head()
	keep := func(_ int, _ chunker.Ref, old placement.Entry) placement.Entry { return old }
	if changed, err := m.begin().Point(t.Context(), model, m.v.digest, keep); err != nil || changed || m.head() != old {
		t.Errorf("changed %v, %v", changed, err)
	}
	absent := newVersion(t, chunker.Digest{}, large(9))
	if changed, err := m.begin().Point(t.Context(), model, absent.digest, keep); err != nil || changed {
		t.Errorf("a version that is not there: changed %v, %v", changed, err)
	}
}

// TestNextIsChecked condemns and sweeps the new objects before R2, and after R0:
// what R1, R3 and R6 of the model get wrong.
func TestNextIsChecked(t *testing.T) {
	for _, when := range []string{"before the body", "before R2", "the body"} {
		m := newMoved(t, large(1))
		old := m.head()
		move := m.begin()
		at := m.put(move)
		chunk := at[m.v.order[0]].Object
		switch when {
		case "before the body":
			m.sweep(1, chunk)
		case "before R2":
			m.atHeadWrite(1, func(record.Head) { m.sweep(1, chunk) })
		case "the body":
			m.atHeadWrite(1, func(record.Head) {
				bodies := m.blobsOf("b/")
				m.sweep(1, slices.DeleteFunc(bodies, func(b string) bool { return b == old.Body })...)
			})
		}
		if changed, err := m.point(move, at); !errors.Is(err, versions.ErrCondemned) || changed {
			t.Errorf("%s: changed %v, %v", when, changed, err)
		}
		if now := m.head(); now.Body != old.Body || now.Next != "" || now.V != 1 {
			t.Errorf("%s: the head is %+v", when, now)
		}
		m.restart()
		m.check(bob, model, m.v)
		m.repoint()
		m.check(bob, model, m.v)
	}
}

// TestFoundIsChecked takes an entry of another version, which is retired and swept
// before R2.
func TestFoundIsChecked(t *testing.T) {
	m := newMoved(t, large(1), large(2))
	twin := newVersion(t, chunker.Digest{}, large(1))
	id := m.start(alice, other)
	m.upload(alice, id, twin, twin.order)
	if _, err := m.Commit(t.Context(), alice, id, twin.doc, "", ""); err != nil {
		t.Fatal(err)
	}
	m.index.at = map[chunker.Digest][]versions.Source{twin.order[0]: {{Repo: other.String(), Version: twin.digest}}}
	move := m.begin()
	found, err := move.Find(t.Context(), model, twin.order)
	if err != nil || found[0].Object == "" {
		t.Fatalf("found %+v, %v", found, err)
	}
	m.atHeadWrite(1, func(record.Head) {
		if err := versions.New(m.config).Delete(t.Context(), alice, other, twin.digest); err != nil {
			t.Error(err)
		}
		m.sweep(1, found[0].Object)
	})
	changed, err := move.Point(t.Context(), model, m.v.digest, func(_ int, ref chunker.Ref, old placement.Entry) placement.Entry {
		if ref.Digest == twin.order[0] {
			return found[0]
		}
		return old
	})
	if !errors.Is(err, versions.ErrCondemned) || changed {
		t.Errorf("changed %v, %v", changed, err)
	}
	m.restart()
	m.check(bob, model, m.v)
}

// TestActiveListCountsAsAbsent begins while a collection wants the only other copy.
func TestActiveListCountsAsAbsent(t *testing.T) {
	m := newMoved(t, large(1))
	m.collect(1, "condemned", m.objectOf(m.v.order[0]))
	if found, err := m.begin().Find(t.Context(), other, m.v.order); err != nil || found[0].Object != "" {
		t.Errorf("found %+v, %v", found, err)
	}
}

// TestKeptNamesNeedNoCheck condemns what both bodies hold: a collection that marks
// cannot sweep it.
func TestKeptNamesNeedNoCheck(t *testing.T) {
	m := newMoved(t, large(1), large(2))
	move := m.begin()
	at := m.put(move)
	m.collect(1, "condemned", m.objectOf(chunker.Sum(large(1))))
	changed, err := move.Point(t.Context(), model, m.v.digest, func(_ int, ref chunker.Ref, old placement.Entry) placement.Entry {
		if ref.Digest == chunker.Sum(large(1)) {
			return old
		}
		return at[ref.Digest]
	})
	if err != nil || !changed {
		t.Errorf("changed %v, %v", changed, err)
	}
}

// TestNextIsMarked runs a collection without patience between R2 and R4.
func TestNextIsMarked(t *testing.T) {
	m := newMoved(t, large(1), small(2))
	c := &collector{t: t, registers: m.engine.Engine, store: m.store}
	m.atHeadWrite(2, func(h record.Head) {
		if h.Next == "" {
			t.Error("the second write of the head is not R4")
		}
		c.collect()
	})
	m.repoint()
	c.collect()
	c.check()
	if c.deleted == 0 {
		t.Error("the collection found nothing")
	}
	m.restart()
	m.check(bob, model, m.v)
}

// TestNextIsNoSource asks for a chunk between R2 and R4 that only the next body has
// in a place that counts.
func TestNextIsNoSource(t *testing.T) {
	m := newMoved(t, large(1))
	m.collect(1, "condemned", m.objectOf(m.v.order[0]))
	asked := false
	m.atHeadWrite(2, func(record.Head) {
		replica := versions.New(m.config)
		push, err := replica.StartPush(t.Context(), alice, other)
		if err != nil {
			t.Error(err)
		}
		missing, err := replica.Missing(t.Context(), alice, push.ID, m.v.order)
		if err != nil || !missing[0] {
			t.Errorf("missing %v, %v: the place is not checked yet", missing, err)
		}
		asked = true
	})
	m.repoint()
	if n := len(m.missing(alice, m.start(alice, other), m.v)); n != 0 || !asked {
		t.Errorf("%d chunks are missing after R4", n)
	}
}

// TestRetiredBetween retires the version between R3 and R4.
func TestRetiredBetween(t *testing.T) {
	m := newMoved(t, large(1))
	if err := m.DeleteTag(t.Context(), alice, model, "main", ""); err != nil {
		t.Fatal(err)
	}
	m.atHeadWrite(2, func(record.Head) {
		if err := versions.New(m.config).Delete(t.Context(), alice, model, m.v.digest); err != nil {
			t.Error(err)
		}
	})
	move := m.begin()
	if changed, err := m.point(move, m.put(move)); err != nil || changed {
		t.Errorf("changed %v, %v", changed, err)
	}
	if h := m.head(); h.State != record.Dead || h.Next != "" || h.V != 1 {
		t.Errorf("the head is %+v", h)
	}
}

// TestNewPushSeesTheNewBody lets a replica remember the old body while its objects
// are swept.
func TestNewPushSeesTheNewBody(t *testing.T) {
	m := newMoved(t, large(1))
	old := []string{m.head().Body, m.objectOf(m.v.order[0])}
	m.check(bob, model, m.v)
	remembers := m.Service
	m.restart()
	m.repoint()
	m.sweep(1, old...)
	m.Service = remembers
	next := newVersion(t, m.v.digest, large(1), large(2))
	if n := m.push(alice, model, next, ""); n != 1 {
		t.Errorf("uploads %d chunks, want 1", n)
	}
	m.restart()
	m.check(bob, model, next)
}

// follower is a store that calls a hook before a chunk is opened.
type follower struct {
	blobs.Store
	before func()
}

func (f *follower) Open(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if f.before != nil && strings.HasPrefix(name, "c/") {
		f.before()
	}
	return f.Store.Open(ctx, name, off, n)
}

// TestReaderFollows re-points the version and sweeps what it had, each time that a
// reader is about to open a chunk: more than once.
func TestReaderFollowsEveryRound(t *testing.T) {
	m := newMoved(t, large(1))
	store := &follower{Store: m.store}
	reader := m.config
	reader.Blobs = store
	service := versions.New(reader)
	located, err := service.Chunks(t.Context(), bob, model, m.v.digest, []uint32{0})
	if err != nil {
		t.Fatal(err)
	}
	const times = 3
	epoch := uint64(0)
	store.before = func() {
		if epoch == times {
			return
		}
		old := append(m.blobsOf("c/"), m.head().Body)
		m.repoint()
		epoch++
		m.sweep(epoch, old...)
	}
	r, err := service.OpenChunk(t.Context(), located[0])
	if err != nil || epoch != times {
		t.Fatalf("after %d times: %v", epoch, err)
	}
	if enc, err := io.ReadAll(r); err != nil || string(enc) != string(m.v.chunks[m.v.order[0]]) {
		t.Errorf("read %d bytes, %v", len(enc), err)
	}
	m.store.delete(m.blobsOf("c/")...)
	if _, err := service.OpenChunk(t.Context(), located[0]); !errors.Is(err, blobs.ErrNotFound) {
		t.Errorf("a chunk that is gone: %v", err)
	}
}

// TestRepointOverLostAnswers loses the answers of writes.
func TestRepointOverLostAnswers(t *testing.T) {
	for seed := range uint64(20) {
		m := newMoved(t, large(seed), small(seed))
		m.config.Registers = registerstest.NewFlaky(m.engine, seed, 0.3)
		m.restart()
		old := append(m.blobsOf("c/"), m.head().Body)
		m.repoint()
		m.sweep(1, old...)
		m.restart()
		m.check(alice, model, m.v)
	}
}

// TestBadMoves gives a Move what it must not take.
func TestBadMoves(t *testing.T) {
	m := newMoved(t, large(1))
	move := m.begin()
	_, err := move.Put(t.Context(), []versions.Encoded{{Digest: m.v.order[0], Bytes: m.v.chunks[m.v.order[0]][1:]}})
	wants(t, "a damaged chunk", err, openapi.CodeBadChunk)
	if _, err := move.Rebuild(t.Context(), model, m.v.doc, nil); !errors.Is(err, placement.ErrInvalid) {
		t.Errorf("a body without entries: %v", err)
	}
	if changed, err := move.Rebuild(t.Context(), model, m.v.doc, make([]placement.Entry, 1)); err != nil || changed {
		t.Errorf("a body that can be read is rebuilt: %v, %v", changed, err)
	}
}

// TestBasesAreChecked gives a chunk a base, and condemns only that. A version that
// names it anyhow keeps it through a collection, and through another move.
func TestBasesAreChecked(t *testing.T) {
	m := newMoved(t, large(1), large(2))
	delta, base := chunker.Sum(large(1)), chunker.Sum(large(2))
	point := func(collect func(base string)) (bool, error) {
		move := m.begin()
		at := m.put(move)
		over := at[delta]
		over.Closure = []placement.Entry{at[base]}
		collect(at[base].Object)
		return move.Point(t.Context(), model, m.v.digest, func(_ int, ref chunker.Ref, old placement.Entry) placement.Entry {
			if ref.Digest == delta {
				return over
			}
			return old
		})
	}
	if changed, err := point(func(base string) { m.sweep(1, base) }); !errors.Is(err, versions.ErrCondemned) || changed {
		t.Errorf("changed %v, %v", changed, err)
	}
	if changed, err := point(func(string) {}); err != nil || !changed {
		t.Errorf("changed %v, %v", changed, err)
	}
	m.restart()
	c := &collector{t: t, registers: m.engine.Engine, store: m.store, epoch: 1}
	c.collect()
	c.check()
	if n := m.left("c/"); n != 3 {
		t.Errorf("%d chunks are left, want the delta, its base, and the other", n)
	}
	move := m.begin()
	again := m.put(move)[base]
	changed, err := move.Point(t.Context(), model, m.v.digest, func(_ int, ref chunker.Ref, old placement.Entry) placement.Entry {
		if ref.Digest == base {
			return again
		}
		return old
	})
	if err != nil || !changed {
		t.Errorf("changed %v, %v", changed, err)
	}
	c.collect()
	c.check()
	if n := m.left("c/"); n != 3 {
		t.Errorf("%d chunks are left, want the delta, its base, and the other", n)
	}
}
