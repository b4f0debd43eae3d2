package disk_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/disk"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
)

// Many put, read and drop the same chunks at once, in less room than they need.
// What is read is right, nothing counts as damaged, and in the end the account is
// what the folder takes and what is there is found again.
func TestConcurrent(t *testing.T) {
	for _, form := range []disk.Form{disk.Plain, disk.Encoded} {
		t.Run(fmt.Sprint(form), func(t *testing.T) {
			c := config(t.TempDir())
			c.Form, c.Budget = form, 40<<10
			s := open(t, c)
			samples := make([]sample, 8)
			for i := range samples {
				samples[i] = newSample(uint64(i), 1+i*2000)
			}
			var all sync.WaitGroup
			for worker := range uint64(4) {
				rnd := rand.New(rand.NewPCG(worker, 0))
				all.Go(func() {
					for range 200 {
						walk(t, s, samples[rnd.IntN(len(samples))], rnd.IntN(3))
					}
				})
			}
			all.Wait()
			if s.Used() != taken(t, c.Dir, "chunks") || s.Used() > c.Budget || s.Stats().Damaged != 0 {
				t.Errorf("%d bytes are used, %d are taken, %+v", s.Used(), taken(t, c.Dir, "chunks"), s.Stats())
			}
			found := map[chunker.Digest]uint32{}
			for d, size := range s.Chunks() {
				found[d] = size
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			s = open(t, c)
			for d, size := range s.Chunks() {
				if found[d] != size {
					t.Errorf("a chunk of %d bytes came back with %d", found[d], size)
				}
				delete(found, d)
			}
			if len(found) != 0 {
				t.Errorf("%d chunks are not found again", len(found))
			}
		})
	}
}

// walk does one thing with one chunk.
func walk(t *testing.T, s *disk.Store, one sample, what int) {
	switch what {
	case 0:
		if err := s.Put(t.Context(), one.ref, one.plain, one.enc); err != nil && !errors.Is(err, tier.ErrFull) {
			t.Error(err)
		}
	case 1:
		got, err := read(s, one)
		if err != nil && !errors.Is(err, tier.ErrAbsent) {
			t.Error(err)
		}
		if err == nil && chunker.Sum(got) != one.ref.Digest {
			t.Error("wrong bytes")
		}
	case 2:
		s.Drop(one.ref.Digest)
	}
	if s.Used() > 40<<10 {
		t.Errorf("%d bytes are used", s.Used())
	}
}
