//go:build linux

package mover_test

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/cuda/cudatest"
	"github.com/ingot-ml/ingot/cuda/ptx"
	"github.com/ingot-ml/ingot/nodecache/internal/mover"
	"github.com/ingot-ml/ingot/nodecache/internal/ram"
)

// pinned is a world with a RAM tier that is pinned for its mover.
type pinned struct {
	*world
	tier   *ram.Tier
	domain *ram.Domain
	pins   *mover.Pins
}

func newPinned(t *testing.T, c ram.Config) *pinned {
	t.Helper()
	p := &pinned{world: newWorld(t, cudatest.Options{})}
	var err error
	if p.tier, err = ram.Open(c); err != nil {
		t.Fatal(err)
	}
	config := p.config()
	config.Segment = p.tier.SegmentFile
	p.startAs(config)
	p.pins = mover.PinAll(p.tier, []*mover.Mover{p.mover}, config.Logger)
	p.domain = p.tier.Domain("acme")
	t.Cleanup(func() {
		p.pins.Close()
		if err := p.tier.Close(); err != nil {
			t.Error(err)
		}
		if n := p.mover.Pinned(); n != 0 {
			t.Errorf("%d bytes are pinned when the tier is closed", n)
		}
	})
	return p
}

// put keeps a chunk with bytes of one value.
func (p *pinned) put(id, size int, value byte) chunker.Ref {
	p.Helper()
	ref := chunker.Ref{Digest: chunker.Sum(fmt.Append(nil, id, value)), Size: uint32(size)}
	if err := p.domain.Put(p.Context(), ref, bytes.Repeat([]byte{value}, size), nil); err != nil {
		p.Fatal(err)
	}
	return ref
}

// upload copies a chunk to the beginning of slab 1.
func (p *pinned) upload(ref chunker.Ref) mover.Moved {
	p.Helper()
	segment, offset, length, ok := p.domain.Place(ref.Digest)
	if !ok {
		p.Fatalf("chunk %s is not there", ref.Digest.Short())
	}
	return p.copies(mover.Copy{Slab: 1, Length: length, Source: segment, At: offset})
}

// TestPinsFake pins what is published, and what comes where something else was: the
// device never reads what was there before.
func TestPinsFake(t *testing.T) {
	p := newPinned(t, ram.Config{Budget: 32 * mib, Segment: 8 * mib})
	p.addSlab(1, 2*mib)
	first := p.put(1, mib, 1)
	p.until("the first chunk to be pinned", func() bool { return p.mover.Pinned() == mib })
	p.fake.Reset("")
	if moved := p.upload(first); moved.Staged != 0 || moved.Copies != 1 {
		t.Errorf("what is pinned: %+v", moved)
	}
	small := p.put(2, 10*kib, 2) // too little to pin
	if moved := p.upload(small); moved.Staged != 10*kib {
		t.Errorf("what is not pinned: %+v", moved)
	}
	for value := byte(3); value < 9; value++ {
		p.domain.Drop(first.Digest)
		first = p.put(1, mib, value) // where the last one was
		if segment, offset, _, _ := p.domain.Place(first.Digest); segment != 1 || offset != 0 {
			t.Fatalf("the chunk is in segment %d at %d", segment, offset)
		}
		if value%2 == 0 { // with the small one beside it
			p.until("it to be pinned again", func() bool { return p.mover.Pinned() == mib+12*kib })
		}
		p.upload(first)
		p.holds(1, 0, bytes.Repeat([]byte{value}, mib))
	}
	p.domain.Drop(first.Digest)
	p.domain.Drop(small.Digest)
	if p.mover.Pinned() != 0 || p.fake.Registered(0) != mib { // the staging ring
		t.Errorf("%d bytes are pinned, %d registered, when all is dropped", p.mover.Pinned(), p.fake.Registered(0))
	}
}

// TestPinsTogetherFake drops, fills and copies at the same time.
func TestPinsTogetherFake(t *testing.T) {
	p := newPinned(t, ram.Config{Budget: 32 * mib, Segment: 4 * mib})
	const workers = 3
	var all sync.WaitGroup
	for worker := range workers {
		id := uint64(worker + 1)
		p.addSlab(id, 2*mib)
		all.Go(func() {
			random := rand.New(rand.NewPCG(id, 5))
			for round := range 30 {
				size := 300*kib + random.IntN(mib)
				ref := p.put(worker, size, byte(1+round))
				segment, offset, length, ok := p.domain.Place(ref.Digest)
				if !ok {
					t.Error("a chunk is not there")
					return
				}
				list := []mover.Copy{{Slab: id, Length: length, Source: segment, At: offset}}
				if _, err := p.mover.Copy(t.Context(), list, nil); err != nil {
					t.Error(err)
					return
				}
				sums, err := p.mover.Sum(t.Context(), []mover.Range{{Slab: id, Length: length}})
				if want := sumOf(byte(1+round), size); err != nil || sums[0] != want {
					t.Errorf("worker %d in round %d: %x, want %x, %v", worker, round, sums, want, err)
				}
				p.domain.Drop(ref.Digest)
			}
		})
	}
	all.Wait()
	if p.mover.Pinned() != 0 {
		t.Errorf("%d bytes are pinned at the end", p.mover.Pinned())
	}
}

// sumOf is the checksum of bytes of one value.
func sumOf(value byte, n int) uint64 { return ptx.Sum64(bytes.Repeat([]byte{value}, n)) }
