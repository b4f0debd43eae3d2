package ram

import (
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
)

// place is memory for one chunk.
type place struct {
	segment   *segment
	page      int
	size      uint32
	populated bool          // its filler's
	sum       uint32        // CRC-32C of the chunk; set before it is published
	done      chan struct{} // closed when it is published or abandoned; nil without a name
	published bool
	dropped   bool // freed when readers is 0
	readers   int
	quiet     chan struct{} // closed when readers is 0, of a place that was exchanged
}

// pagesOf is how many pages a chunk of size bytes takes.
func pagesOf(size uint32) int { return (int(size) + pageSize - 1) / pageSize }

func (p *place) offset() int64 { return int64(p.page) * pageSize }

func (p *place) bytes() []byte {
	at := p.offset()
	return p.segment.data[at : at+int64(p.size) : at+int64(p.size)]
}

// memory is all pages of the place.
func (p *place) memory() []byte {
	at := p.offset()
	return p.segment.data[at : at+int64(pagesOf(p.size))*pageSize]
}

// room is bytes, to fill. Its pages are made resident in one call, instead of a
// fault for each; a huge page is only taken for a place that is all of it.
func (p *place) room(huge bool) []byte {
	if !p.populated {
		p.populated = true
		if huge && pagesOf(p.size) == perSlot {
			wantHuge(p.memory(), true)
		}
		populate(p.memory())
	}
	return p.bytes()
}

func (p *place) at() (segment uint64, offset, length int64) {
	return p.segment.id, p.offset(), int64(p.size)
}

// take takes pages for chunks of these sizes. After an error it returns what it
// has taken till then. t.mu is held.
func (t *Tier) take(d *Domain, sizes []uint32) (places []*place, err error) {
	for len(sizes) > 0 {
		n := together(sizes, int(t.config.Segment/pageSize))
		run, err := t.takeRun(d, sizes[:n])
		if err != nil {
			return places, err
		}
		places = append(places, run...)
		sizes = sizes[n:]
	}
	return places, nil
}

// together returns how many of the chunks can lie behind each other, in so many
// pages: whole slots, and one at the end that may be shorter.
func together(sizes []uint32, most int) int {
	n := 0
	for n < len(sizes) && (n+1)*perSlot <= most {
		n++
		if sizes[n-1] != slotSize {
			break
		}
	}
	return n
}

// takeRun takes pages for chunks that lie behind each other. t.mu is held.
func (t *Tier) takeRun(d *Domain, sizes []uint32) ([]*place, error) {
	pages := 0
	for _, size := range sizes {
		pages += pagesOf(size)
	}
	if budget := t.config.Budget / pageSize; t.used+int64(pages) > budget {
		return nil, fmt.Errorf("%d pages of memory, of %d are %d free: %w", pages, budget, budget-t.used, tier.ErrFull)
	}
	g, at, err := t.find(d, pages)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", err, tier.ErrFull)
	}
	g.mark(at, pages, true)
	t.used += int64(pages)
	places := make([]*place, len(sizes))
	for i, size := range sizes {
		places[i] = &place{segment: g, page: at, size: size}
		at += pagesOf(size)
	}
	return places, nil
}

// find finds free pages that lie together, in a new segment if need be: in the
// oldest that has them, so that the newer ones become empty. t.mu is held.
func (t *Tier) find(d *Domain, pages int) (*segment, int, error) {
	for _, g := range d.segments {
		if at := g.find(pages); at >= 0 {
			return g, at, nil
		}
	}
	g, err := t.grow(d)
	return g, 0, err
}

// free gives the memory of a place back to the system, and its segment if that
// was the last.
func (t *Tier) free(p *place) {
	t.leave(p)
	p.segment.punch(p.offset(), int64(len(p.memory())))
	if t.config.Huge && pagesOf(p.size) == perSlot {
		wantHuge(p.memory(), false)
	}
	t.mu.Lock()
	t.forget(p)
	t.mu.Unlock()
	_ = t.bury() // its memory is gone already
}

// forget notes that places are not used any more, which hold nothing. t.mu is
// held; bury comes when it is not.
func (t *Tier) forget(places ...*place) {
	for _, p := range places {
		g, n := p.segment, pagesOf(p.size)
		g.mark(p.page, n, false)
		t.used -= int64(n)
		t.stir(g) // what lay beside it is a piece now
		if g.taken == 0 && t.segments[g.id] == g {
			t.shrink(g)
		}
	}
}

// sweep gives back what the pages of no place take: the system gives memory to a
// page that a client reads through its mapping, even if nothing is there. t.mu is
// held.
func (t *Tier) sweep() {
	for _, g := range t.segments {
		g.sweep()
	}
}

// check refuses sizes that no chunk has.
func check(size uint32) error {
	if size == 0 || size > chunker.MaxSize {
		return fmt.Errorf("chunk of %d bytes: want 1 to %d", size, chunker.MaxSize)
	}
	return nil
}
