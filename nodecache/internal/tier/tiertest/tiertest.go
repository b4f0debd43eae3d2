// Package tiertest owns the tests and benchmarks that every tier passes.
package tiertest

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
)

// Budget is the budget in bytes of the stores that Run asks for: room for a few of
// the largest chunks.
const Budget = 16 << 20

// Config is how a store is made.
type Config struct {
	// Open returns an empty store with a budget of Budget; what it opened it closes
	// by t.Cleanup.
	Open func(t testing.TB) tier.Store
	// Damage changes a byte of a chunk that the store holds; nil for a store whose
	// bytes nobody can change.
	Damage func(t testing.TB, s tier.Store, d chunker.Digest)
}

// Run holds a store to the contract of package tier.
func Run(t *testing.T, c Config) {
	tests := []struct {
		name string
		run  func(t *testing.T, s tier.Store)
	}{
		{"Sizes", testSizes},
		{"Absent", testAbsent},
		{"PutTwice", testPutTwice},
		{"Drop", testDrop},
		{"Full", testFull},
		{"FullTogether", testFullTogether},
		{"Used", testUsed},
		{"Together", testTogether},
		{"DropWhileRead", testDropWhileRead},
		{"Context", testContext},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) { tt.run(t, c.Open(t)) })
	}
	if c.Damage != nil {
		t.Run("Damage", func(t *testing.T) {
			s := c.Open(t)
			testDamage(t, s, func(d chunker.Digest) { c.Damage(t, s, d) })
		})
	}
}

// sizes are lengths around those at which a store changes what it does.
var sizes = []int{1, 2, 4095, 4096, 4097, 256 << 10, 1<<20 + 1, 2<<20 - 4096, 2<<20 - 1, 2 << 20}

// chunk returns the chunk of a size that seed makes.
func chunk(seed uint64, size int) (chunker.Ref, []byte) {
	plain := make([]byte, size)
	key := [32]byte{31: byte(size)}
	binary.LittleEndian.PutUint64(key[:], seed)
	_, _ = rand.NewChaCha8(key).Read(plain) // never fails
	return chunker.Ref{Digest: chunker.Sum(plain), Size: uint32(size)}, plain
}

func put(t testing.TB, s tier.Store, ref chunker.Ref, plain []byte) {
	t.Helper()
	if err := s.Put(t.Context(), ref, plain, nil); err != nil {
		t.Fatalf("put %d bytes: %v", len(plain), err)
	}
}

// holds checks that a chunk is there, and right.
func holds(t testing.TB, s tier.Store, ref chunker.Ref, plain []byte) {
	t.Helper()
	dst := make([]byte, 3, ref.Size+3) // what is in it is written over
	got, err := s.Read(context.Background(), ref, dst)
	if err != nil {
		t.Fatalf("read %d bytes: %v", ref.Size, err)
	}
	if !bytes.Equal(got, plain) {
		t.Fatalf("read %d other bytes than were put", len(got))
	}
	if &got[0] != &dst[0] {
		t.Fatal("read to memory other than was given")
	}
	if !s.Has(ref.Digest) {
		t.Fatal("what can be read is not there")
	}
}

// lacks checks that a chunk is not there.
func lacks(t testing.TB, s tier.Store, ref chunker.Ref) {
	t.Helper()
	if s.Has(ref.Digest) {
		t.Fatal("chunk is there")
	}
	if _, err := s.Read(context.Background(), ref, make([]byte, 0, ref.Size)); !errors.Is(err, tier.ErrAbsent) {
		t.Fatalf("read: %v, want ErrAbsent", err)
	}
}

func testSizes(t *testing.T, s tier.Store) {
	for _, size := range sizes {
		ref, plain := chunk(1, size)
		lacks(t, s, ref)
		given := slices.Clone(plain)
		put(t, s, ref, given)
		clear(given) // it is the caller's again
		holds(t, s, ref, plain)
	}
}

func testAbsent(t *testing.T, s tier.Store) {
	ref, _ := chunk(1, 100)
	lacks(t, s, ref)
	s.Drop(ref.Digest)
	lacks(t, s, ref)
	if used := s.Used(); used != 0 {
		t.Errorf("an empty store uses %d bytes", used)
	}
}

func testPutTwice(t *testing.T, s tier.Store) {
	ref, plain := chunk(1, 5000)
	put(t, s, ref, plain)
	used := s.Used()
	put(t, s, ref, plain)
	holds(t, s, ref, plain)
	if s.Used() != used {
		t.Errorf("the same chunk again takes %d bytes", s.Used()-used)
	}
}

func testDrop(t *testing.T, s tier.Store) {
	a, plainA := chunk(1, 5000)
	b, plainB := chunk(2, 5000)
	put(t, s, a, plainA)
	put(t, s, b, plainB)
	s.Drop(a.Digest)
	lacks(t, s, a)
	holds(t, s, b, plainB)
	put(t, s, a, plainA)
	holds(t, s, a, plainA)
	s.Drop(a.Digest)
	s.Drop(b.Digest)
	if used := s.Used(); used != 0 {
		t.Errorf("%d bytes are used after all chunks were dropped", used)
	}
}

// testFull puts chunks until there is no room. Then what is there is as it was,
// and there is room again when something was dropped.
func testFull(t *testing.T, s tier.Store) {
	var refs []chunker.Ref
	var plains [][]byte
	for seed := uint64(0); ; seed++ {
		ref, plain := chunk(seed, 2<<20)
		err := s.Put(t.Context(), ref, plain, nil)
		if errors.Is(err, tier.ErrFull) {
			lacks(t, s, ref)
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if refs, plains = append(refs, ref), append(plains, plain); s.Used() > Budget {
			t.Fatalf("%d bytes are used, the budget is %d", s.Used(), Budget)
		}
	}
	if len(refs) < Budget/(2<<20)-2 {
		t.Errorf("only %d chunks of 2 MiB found room in %d bytes", len(refs), Budget)
	}
	for i, ref := range refs {
		holds(t, s, ref, plains[i])
	}
	s.Drop(refs[0].Digest)
	ref, plain := chunk(1000, 2<<20)
	put(t, s, ref, plain)
	holds(t, s, ref, plain)
}

// testFullTogether has many put, at a time, more than there is room for: who is
// told that a chunk is kept finds it, and the budget holds.
func testFullTogether(t *testing.T, s tier.Store) {
	const chunks, size = 24, 1 << 20
	var errs [chunks]error
	var wg sync.WaitGroup
	for i := range uint64(chunks) {
		wg.Go(func() {
			ref, plain := chunk(i, size)
			errs[i] = s.Put(t.Context(), ref, plain, nil)
		})
	}
	wg.Wait()
	if s.Used() > Budget {
		t.Errorf("%d bytes are used, the budget is %d", s.Used(), Budget)
	}
	kept := 0
	for i, err := range errs {
		ref, plain := chunk(uint64(i), size)
		switch {
		case err == nil:
			holds(t, s, ref, plain)
			kept++
		case errors.Is(err, tier.ErrFull):
			lacks(t, s, ref)
		default:
			t.Errorf("put: %v", err)
		}
		s.Drop(ref.Digest)
	}
	if kept == 0 {
		t.Error("nothing found room")
	}
	if used := s.Used(); used != 0 {
		t.Errorf("%d bytes are used after all chunks were dropped", used)
	}
}

// testUsed checks that nothing takes more than Cost says.
func testUsed(t *testing.T, s tier.Store) {
	for i, size := range sizes {
		ref, plain := chunk(uint64(i), size)
		before := s.Used()
		put(t, s, ref, plain)
		took, cost := s.Used()-before, s.Cost(ref.Size)
		if took <= 0 || took > cost {
			t.Errorf("%d bytes took %d, Cost says %d", size, took, cost)
		}
		s.Drop(ref.Digest)
		if s.Used() != before {
			t.Errorf("%d bytes are left of a chunk of %d that was dropped", s.Used()-before, size)
		}
	}
}

// testTogether has many put, read and drop the same few chunks.
func testTogether(t *testing.T, s tier.Store) {
	const chunks, workers, rounds = 6, 8, 60
	var wg sync.WaitGroup
	for w := range workers {
		wg.Go(func() {
			r := rand.New(rand.NewPCG(uint64(w), 1))
			for range rounds {
				ref, plain := chunk(r.Uint64N(chunks), 50_000)
				switch r.IntN(4) {
				case 0:
					s.Drop(ref.Digest)
				case 1:
					if err := s.Put(t.Context(), ref, plain, nil); err != nil {
						t.Error(err)
					}
				default:
					got, err := s.Read(t.Context(), ref, make([]byte, 0, ref.Size))
					if err == nil && !bytes.Equal(got, plain) || err != nil && !errors.Is(err, tier.ErrAbsent) {
						t.Errorf("read: %v", err)
					}
				}
			}
		})
	}
	wg.Wait()
	for seed := range uint64(chunks) {
		ref, _ := chunk(seed, 50_000)
		s.Drop(ref.Digest)
	}
	if used := s.Used(); used != 0 {
		t.Errorf("%d bytes are used after all chunks were dropped", used)
	}
}

// testDropWhileRead drops a chunk that others read: they get its bytes or nothing.
func testDropWhileRead(t *testing.T, s tier.Store) {
	ref, plain := chunk(1, 2<<20)
	for range 10 {
		put(t, s, ref, plain)
		var wg sync.WaitGroup
		for range 4 {
			wg.Go(func() {
				got, err := s.Read(t.Context(), ref, make([]byte, 0, ref.Size))
				if err == nil && !bytes.Equal(got, plain) || err != nil && !errors.Is(err, tier.ErrAbsent) {
					t.Errorf("read: %v", err)
				}
			})
		}
		s.Drop(ref.Digest)
		wg.Wait()
	}
	if used := s.Used(); used != 0 {
		t.Errorf("%d bytes are used after the chunk was dropped", used)
	}
}

func testContext(t *testing.T, s tier.Store) {
	ref, plain := chunk(1, 5000)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.Put(ctx, ref, plain, nil); !errors.Is(err, context.Canceled) {
		t.Errorf("put after the end: %v", err)
	}
	lacks(t, s, ref)
	put(t, s, ref, plain)
	if _, err := s.Read(ctx, ref, make([]byte, 0, ref.Size)); !errors.Is(err, context.Canceled) {
		t.Errorf("read after the end: %v", err)
	}
}

// testDamage changes a byte: the chunk is dropped, never returned, and can be put
// again.
func testDamage(t *testing.T, s tier.Store, damage func(chunker.Digest)) {
	for _, size := range sizes {
		ref, plain := chunk(3, size)
		put(t, s, ref, plain)
		damage(ref.Digest)
		if _, err := s.Read(t.Context(), ref, make([]byte, 0, ref.Size)); !errors.Is(err, tier.ErrDamaged) {
			t.Fatalf("read of a damaged chunk of %d bytes: %v, want ErrDamaged", size, err)
		}
		lacks(t, s, ref)
		put(t, s, ref, plain)
		holds(t, s, ref, plain)
	}
}

// Bench measures reading and putting chunks of 2 MiB, and, beside them, copying
// as much.
func Bench(b *testing.B, c Config) {
	const chunks = 4
	refs, plains := make([]chunker.Ref, chunks), make([][]byte, chunks)
	for i := range chunks {
		refs[i], plains[i] = chunk(uint64(i), 2<<20)
	}
	dst := make([]byte, 0, 2<<20)
	b.Run("Copy", func(b *testing.B) {
		b.SetBytes(2 << 20)
		for i := range b.N {
			dst = append(dst[:0], plains[i%chunks]...)
		}
	})
	b.Run("Put", func(b *testing.B) {
		s := c.Open(b)
		b.SetBytes(2 << 20)
		for i := range b.N {
			if err := s.Put(b.Context(), refs[i%chunks], plains[i%chunks], nil); err != nil {
				b.Fatal(err)
			}
			s.Drop(refs[i%chunks].Digest)
		}
	})
	b.Run("Read", func(b *testing.B) {
		s := c.Open(b)
		for i := range chunks {
			put(b, s, refs[i], plains[i])
		}
		b.SetBytes(2 << 20)
		b.ResetTimer()
		for i := range b.N {
			if _, err := s.Read(b.Context(), refs[i%chunks], dst); err != nil {
				b.Fatal(err)
			}
		}
	})
}
