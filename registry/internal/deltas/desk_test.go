package deltas_test

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/deltas"
	"github.com/ingot-ml/ingot/registry/internal/placement"
)

// shelf is a store of chunks that become more different.
type shelf struct {
	blobs.Store
	plains  [][]byte
	entries []placement.Entry // every one a delta of the one before
}

func newShelf(t *testing.T, n int) *shelf {
	t.Helper()
	s := &shelf{Store: blobs.NewMemory()}
	plain := make([]byte, 20_000)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(plain) // never fails
	enc := codec.Append(nil, plain, chunker.BF16)
	for i := range n {
		if i > 0 {
			base := plain
			plain = bytes.Clone(plain)
			for at := i; at < len(plain); at += 500 {
				plain[at]++
			}
			var ok bool
			if enc, ok = codec.AppendDelta(nil, plain, base, chunker.Sum(base), chunker.BF16, len(plain)); !ok {
				t.Fatal("no delta")
			}
		}
		name := "c/" + string(rune('a'+i))
		if err := s.Put(t.Context(), name, enc); err != nil {
			t.Fatal(err)
		}
		e := placement.Entry{Object: name, Length: uint32(len(enc))}
		if i > 0 {
			e.Closure = deltas.ChainOf(&s.entries[i-1])
		}
		s.plains, s.entries = append(s.plains, plain), append(s.entries, e)
	}
	return s
}

func TestPlain(t *testing.T) {
	s := newShelf(t, 5)
	for i := range s.entries {
		got, err := deltas.Plain(t.Context(), s, &s.entries[i], chunker.Sum(s.plains[i]), nil)
		if err != nil || !bytes.Equal(got, s.plains[i]) {
			t.Errorf("with %d bases: %v", i, err)
		}
	}
	e := s.entries[2]
	e.Closure = []placement.Entry{e.Closure[1]}
	if _, err := deltas.Plain(t.Context(), s, &e, chunker.Sum(s.plains[2]), nil); !errors.Is(err, codec.ErrCorrupt) {
		t.Errorf("without the base that it needs: %v", err)
	}
	e.Closure = nil
	if _, err := deltas.Plain(t.Context(), s, &e, chunker.Sum(s.plains[2]), nil); !errors.Is(err, codec.ErrBase) {
		t.Errorf("without bases: %v", err)
	}
	e = s.entries[1]
	if _, err := deltas.Plain(t.Context(), s, &e, chunker.Sum(s.plains[2]), nil); !errors.Is(err, codec.ErrCorrupt) {
		t.Errorf("another chunk: %v", err)
	}
	e.Length = 1 << 31
	if _, err := deltas.Plain(t.Context(), s, &e, chunker.Sum(s.plains[1]), nil); !errors.Is(err, codec.ErrCorrupt) {
		t.Errorf("a length that no chunk has: %v", err)
	}
	e.Object, e.Length = "c/none", 9
	if _, err := deltas.Plain(t.Context(), s, &e, chunker.Sum(s.plains[1]), nil); !errors.Is(err, blobs.ErrNotFound) {
		t.Errorf("an object that is gone: %v", err)
	}
}

// TestEncode has a desk choose forms on the bases of every depth, and reads what it made.
func TestEncode(t *testing.T) {
	s := newShelf(t, 4)
	desks := deltas.NewDesks(1)
	for depth := range 3 {
		desk, err := desks.Take(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		chain := deltas.ChainOf(&s.entries[depth])
		if err := desk.Open(t.Context(), s, chain, chunker.Sum(s.plains[depth])); err != nil {
			t.Fatal(err)
		}
		plain := s.plains[depth+1]
		given, ok := desk.Delta(plain, chunker.BF16, len(plain))
		if !ok {
			t.Fatal("no delta")
		}
		if back, err := desk.Decode(bytes.Clone(given)); err != nil || !bytes.Equal(back, plain) {
			t.Fatalf("depth %d: decoded to others, %v", depth, err)
		}
		form := desk.Encode(plain, chunker.BF16, bytes.Clone(given))
		if len(form.Closure) == 0 || len(form.Closure) > deltas.MaxDepth || form.Base.IsZero() {
			t.Fatalf("depth %d: %d bases", depth, len(form.Closure))
		}
		e := placement.Entry{Object: "c/new" + string(rune('a'+depth)), Length: uint32(len(form.Bytes)), Closure: form.Closure}
		if err := s.Put(t.Context(), e.Object, form.Bytes); err != nil {
			t.Fatal(err)
		}
		if whole := desk.Whole(plain, chunker.BF16); whole.Closure != nil || !whole.Base.IsZero() {
			t.Errorf("whole: %+v", whole.Closure)
		}
		desks.Return(desk)
		if got, err := deltas.Plain(t.Context(), s, &e, chunker.Sum(plain), nil); err != nil || !bytes.Equal(got, plain) {
			t.Errorf("depth %d: %v", depth, err)
		}
	}
	desk, err := desks.Take(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if form := desk.Encode(s.plains[0], chunker.BF16, nil); form.Closure != nil {
		t.Errorf("a chunk that is like nothing lies on %+v", form.Closure)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := desks.Take(ended); !errors.Is(err, context.Canceled) {
		t.Errorf("a second desk of one: %v", err)
	}
}

func TestBudget(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	b := deltas.NewBudget(deltas.Cost{CPU: time.Second, Bytes: 1000}, func() time.Time { return now })
	take := func(subject string, c deltas.Cost, want bool) {
		t.Helper()
		if got := b.Take(subject, c); got != want {
			t.Errorf("%s takes %+v: %v", subject, c, got)
		}
	}
	take("a", deltas.Cost{Bytes: 999}, true)
	take("a", deltas.Cost{Bytes: 2001}, true)
	take("a", deltas.Cost{}, false)
	take("b", deltas.Cost{CPU: time.Second}, true)
	take("b", deltas.Cost{}, false)
	now = now.Add(time.Minute)
	take("a", deltas.Cost{}, false)
	take("b", deltas.Cost{}, true)
	now = now.Add(2 * time.Minute)
	take("a", deltas.Cost{}, true)
	if b := deltas.NewBudget(deltas.Cost{Bytes: 1}, func() time.Time { return now }); b.Take("a", deltas.Cost{}) {
		t.Error("something may be done in no time")
	}
	if c := deltas.CostOf(1000, 2, 1); c.Bytes != 1000 || c.CPU != 2*time.Microsecond {
		t.Errorf("cost %+v", c)
	}
}

func TestBudgetForgets(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	b := deltas.NewBudget(deltas.Cost{CPU: time.Second, Bytes: 1000}, func() time.Time { return now })
	refused := 0
	for i := range 20_000 {
		if !b.Take(string(rune('a'+i)), deltas.Cost{Bytes: 1}) {
			refused++
		}
	}
	if refused == 0 {
		t.Error("any number of subjects is remembered")
	}
	now = now.Add(time.Minute)
	if !b.Take("new", deltas.Cost{Bytes: 1}) {
		t.Error("those who have spent nothing for a minute are remembered")
	}
}

func TestRecent(t *testing.T) {
	r := deltas.NewRecent(16 << 10)
	pair := func(i int) deltas.Pair { return deltas.Pair{Chunk: chunker.Sum([]byte{byte(i)})} }
	for i := range 30 {
		r.Put(pair(i), bytes.Repeat([]byte{byte(i)}, 1000))
		if i > 0 {
			if got, ok := r.Get(pair(0)); !ok || len(got) != 1000 { // so that it stays
				t.Fatalf("after %d: %v", i, ok)
			}
		}
	}
	kept := 0
	for i := range 30 {
		if got, ok := r.Get(pair(i)); ok {
			kept++
			if got[0] != byte(i) {
				t.Errorf("%d is another's", i)
			}
		}
	}
	if kept != 13 {
		t.Errorf("%d are kept, want 13 of 1256 bytes in 16 KiB", kept)
	}
	r.Put(pair(99), make([]byte, 10_000))
	if _, ok := r.Get(pair(99)); ok {
		t.Error("one takes most of the room")
	}
}
