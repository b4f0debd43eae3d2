//go:build linux

package ram_test

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/ram"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
)

const (
	modelBudget  = 24 * mib
	modelSegment = 8 * mib
	modelChunks  = 24 // that there are, in each domain
)

// known is a chunk that the model has: being filled, or published with bytes of
// one value.
type known struct {
	claim     *ram.Claim
	published bool
	value     byte
}

// walk is a tier, and beside it the simple model of what it holds.
type walk struct {
	*testing.T
	r       *rand.Rand
	tier    *ram.Tier
	domains [2]*ram.Domain
	sizes   [modelChunks]uint32
	chunks  [2]map[uint64]*known
	panes   []*ram.Pane
	filled  int64  // bytes of pages that were written, of what is held
	buffer  []byte // to read to
	device  *device
}

// TestRandom claims, publishes, abandons and drops at random.
func TestRandom(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			w := newWalk(t, seed)
			for range 200 {
				w.step()
				w.check()
			}
			w.end()
		})
	}
}

func newWalk(t *testing.T, seed uint64) *walk {
	w := &walk{
		T: t, r: rand.New(rand.NewPCG(seed, 2)), buffer: make([]byte, 0, 2*mib),
		tier: open(t, ram.Config{Budget: modelBudget, Segment: modelSegment}),
	}
	for i := range w.domains {
		w.domains[i] = w.tier.Domain(fmt.Sprint(i))
		w.chunks[i] = map[uint64]*known{}
	}
	for i := range w.sizes {
		w.sizes[i] = w.size()
	}
	w.device = newDevice(t, w.tier)
	return w
}

// size is that of some chunk: 2 MiB, small, or anything.
func (w *walk) size() uint32 {
	switch w.r.IntN(4) {
	case 0, 1:
		return 2 * mib
	case 2:
		return 1 + w.r.Uint32N(20*kib)
	default:
		return 1 + w.r.Uint32N(2*mib)
	}
}

func (w *walk) ref(id uint64) chunker.Ref { return ref(id, w.sizes[id]) }

// step does one thing.
func (w *walk) step() {
	which := w.r.IntN(2)
	switch w.r.IntN(9) {
	case 0, 1, 2:
		w.claim(which)
	case 3, 4:
		w.publish(which)
	case 5, 6:
		w.leave(which)
	case 7:
		w.device.pinSome(w.r.IntN(3))
	default:
		w.window(which)
	}
}

func (w *walk) claim(which int) {
	d, have := w.domains[which], w.chunks[which]
	ids := make([]uint64, 1+w.r.IntN(5))
	refs := make([]chunker.Ref, len(ids))
	need, fresh := int64(0), map[uint64]bool{}
	for i := range ids {
		ids[i] = w.r.Uint64N(modelChunks)
		refs[i] = w.ref(ids[i])
		if have[ids[i]] == nil && !fresh[ids[i]] {
			fresh[ids[i]] = true
			need += d.Cost(refs[i].Size)
		}
	}
	full := w.tier.Used()+need > modelBudget
	claims, err := d.Claim([][]chunker.Ref{refs[:len(refs)/2], refs[len(refs)/2:]})
	if errors.Is(err, tier.ErrFull) != full || err != nil && !full {
		w.Fatalf("claim of %d bytes with %d used: %v", need, w.tier.Used(), err)
	}
	for i, c := range claims {
		if c.Mine() != fresh[ids[i]] {
			w.Fatalf("chunk %d is Mine: %v", ids[i], c.Mine())
		}
		if c.Mine() {
			have[ids[i]] = &known{claim: c}
		}
		delete(fresh, ids[i])
	}
}

// some returns a chunk of the domain, if there is one that is published, or not.
func (w *walk) some(which int, published bool) (uint64, bool) {
	ids := slices.Sorted(maps.Keys(w.chunks[which]))
	ids = slices.DeleteFunc(ids, func(id uint64) bool { return w.chunks[which][id].published != published })
	if len(ids) == 0 {
		return 0, false
	}
	return ids[w.r.IntN(len(ids))], true
}

func (w *walk) publish(which int) {
	id, ok := w.some(which, false)
	if !ok {
		return
	}
	k := w.chunks[which][id]
	k.published, k.value = true, 1+byte(w.r.IntN(255))
	publish(k.claim, k.value)
	w.filled += w.tier.Cost(w.sizes[id])
}

// leave drops a chunk that is published, or abandons one that is not.
func (w *walk) leave(which int) {
	published := w.r.IntN(3) > 0
	id, ok := w.some(which, published)
	if !ok {
		return
	}
	if published {
		w.domains[which].Drop(w.ref(id).Digest)
		w.filled -= w.tier.Cost(w.sizes[id])
	} else {
		w.domains[which].Drop(w.ref(id).Digest) // is its filler's
		w.chunks[which][id].claim.Abandon()
	}
	delete(w.chunks[which], id)
}

// window takes panes, or frees one.
func (w *walk) window(which int) {
	if len(w.panes) > 0 && w.r.IntN(3) > 0 {
		i := w.r.IntN(len(w.panes))
		w.freePane(i)
		return
	}
	panes, err := w.domains[which].Window([]uint32{w.size(), w.size()})
	if err != nil && !errors.Is(err, tier.ErrFull) {
		w.Fatal(err)
	}
	for _, p := range panes {
		fill(p.Bytes(), 0xee)
		w.filled += w.tier.Cost(uint32(len(p.Bytes())))
	}
	w.panes = append(w.panes, panes...)
}

func (w *walk) freePane(i int) {
	p := w.panes[i]
	w.filled -= w.tier.Cost(uint32(len(p.Bytes())))
	p.Free()
	w.panes = slices.Delete(w.panes, i, i+1)
}

// span is where a place lies.
type span struct {
	segment         uint64
	offset, through int64
}

// check compares the tier with the model: no places overlap, the system has
// resident what was filled, and published chunks hold their bytes.
func (w *walk) check() {
	var spans []span
	add := func(segment uint64, offset, length int64) {
		spans = append(spans, span{segment, offset, offset + w.tier.Cost(uint32(length))})
	}
	for which, chunks := range w.chunks {
		for id, k := range chunks {
			add(k.claim.Place())
			if got := w.domains[which].Has(w.ref(id).Digest); got != k.published {
				w.Fatalf("chunk %d of %d is there: %v", id, which, got)
			}
		}
		if id, ok := w.some(which, true); ok {
			w.read(which, id)
		}
	}
	for _, p := range w.panes {
		add(p.Place())
	}
	slices.SortFunc(spans, func(a, b span) int {
		return cmp.Or(cmp.Compare(a.segment, b.segment), cmp.Compare(a.offset, b.offset))
	})
	var used int64
	for i, s := range spans {
		used += s.through - s.offset
		if i > 0 && spans[i-1].segment == s.segment && spans[i-1].through > s.offset {
			w.Fatalf("%+v and %+v overlap", spans[i-1], s)
		}
	}
	w.checkPins()
	got := w.tier.Stats()
	want := ram.Stats{Segments: got.Segments, Chunks: len(w.chunks[0]) + len(w.chunks[1]), Used: used, Resident: w.filled}
	if got != want || used > modelBudget {
		w.Fatalf("%+v, want %+v, of at most %d bytes", got, want, modelBudget)
	}
}

// read checks the bytes of a chunk.
func (w *walk) read(which int, id uint64) {
	size := w.sizes[id]
	got, err := w.domains[which].Read(w.Context(), w.ref(id), w.buffer)
	if err != nil {
		w.Fatal(err)
	}
	k := w.chunks[which][id]
	if uint32(len(got)) != size || got[0] != k.value || got[size/2] != k.value || got[size-1] != k.value {
		w.Fatalf("chunk %d of %d does not hold what was written", id, which)
	}
}

// end gives all back.
func (w *walk) end() {
	for which, chunks := range w.chunks {
		for id, k := range chunks {
			if !k.published {
				k.claim.Abandon()
				continue
			}
			w.read(which, id)
			w.domains[which].Drop(w.ref(id).Digest)
		}
	}
	for len(w.panes) > 0 {
		w.freePane(0)
	}
	empty(w.T, w.tier)
	w.device.nothing()
}

// TestTogether has many claim, fill, abandon, read and drop the same few chunks.
func TestTogether(t *testing.T) {
	r := open(t, ram.Config{Budget: 64 * mib, Segment: 4 * mib})
	d := r.Domain("acme")
	var wg sync.WaitGroup
	for worker := range uint64(8) {
		wg.Go(func() {
			random := rand.New(rand.NewPCG(worker, 3))
			for range 100 {
				together(t, d, random)
			}
		})
	}
	wg.Wait()
	for id := range uint64(10) {
		d.Drop(ref(id, 0).Digest)
	}
	empty(t, r)
}

// together does what one of many does: all that it claims ends, and then it waits
// for what others fill.
func together(t *testing.T, d *ram.Domain, r *rand.Rand) {
	size := func(id uint64) uint32 { return uint32(1000 + id*50_000) }
	first := r.Uint64N(8)
	claims, err := d.Claim([][]chunker.Ref{{ref(first, size(first)), ref(first+1, size(first+1))}, {ref(first+2, size(first+2))}})
	if err != nil {
		t.Error(err)
		return
	}
	for i, c := range claims {
		switch {
		case c.Mine() && r.IntN(4) == 0:
			c.Abandon()
		case c.Mine():
			publish(c, byte(first)+byte(i))
		}
	}
	for i, c := range claims {
		if err := c.Wait(t.Context()); err != nil && !errors.Is(err, ram.ErrAbandoned) {
			t.Error(err)
		}
		id := first + uint64(i)
		got, err := d.Read(t.Context(), ref(id, size(id)), make([]byte, 0, size(id)))
		if err == nil && (got[0] != byte(id) || got[len(got)-1] != byte(id)) || err != nil && !errors.Is(err, tier.ErrAbsent) {
			t.Errorf("read: %v", err)
		}
	}
	d.Drop(ref(first, 0).Digest)
}
