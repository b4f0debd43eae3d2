package ram

import (
	"cmp"
	"fmt"
	"math/bits"
	"os"
	"slices"
)

// PieceSize is the most bytes of a Piece, and what it does not cross a multiple of:
// who registers memory with a device holds up the whole process meanwhile, and
// gives it back in pieces as large as it took it.
const PieceSize = 64 << 20

// minPiece is the least bytes of a Piece: less is not worth a registration.
const minPiece = 256 << 10

// Piece is part of a segment that holds published chunks from end to end.
type Piece struct {
	Segment        uint64
	Offset, Length int64 // bytes, of whole pages
}

// Pinner is whoever has memory registered with a device. The Tier calls it without
// a lock of its own.
type Pinner interface {
	// Unpin ends what a Pin of that Piece began. It returns when no device reads the
	// memory any more.
	Unpin(p Piece)
	// Gone says that nothing of a segment is used any more, before it is unmapped.
	Gone(segment uint64)
}

// pin is a Piece that is pinned.
type pin struct {
	from, pages int
	leaving     chan struct{} // nil until somebody unpins it; closed when that is done
}

func (g *segment) piece(p *pin) Piece {
	return Piece{Segment: g.id, Offset: int64(p.from) * pageSize, Length: int64(p.pages) * pageSize}
}

// SetPinner says who is told before memory is given back, once and before the Tier
// is used.
func (t *Tier) SetPinner(p Pinner) { t.pinner = p }

// Filled receives when there may be more in Full than there was.
func (t *Tier) Filled() <-chan struct{} { return t.filled }

// stir notes that there may be more to pin in g. t.mu is held.
func (t *Tier) stir(g *segment) {
	g.stirred = true
	select {
	case t.filled <- struct{}{}:
	default: // who listens has not come to it yet
	}
}

// Full returns the pieces that are not pinned, as large as they can be: what lies
// together with a chunk that is being filled is none yet.
func (t *Tier) Full() (pieces []Piece) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, g := range t.segments {
		if !g.stirred {
			continue
		}
		before := len(pieces)
		for from, pages := range g.runs() {
			if pages*pageSize >= minPiece && g.published.all(from, pages) {
				pieces = append(pieces, g.piece(&pin{from: from, pages: pages}))
			}
		}
		g.stirred = len(pieces) > before
	}
	slices.SortFunc(pieces, func(a, b Piece) int {
		return cmp.Or(cmp.Compare(a.Segment, b.Segment), cmp.Compare(a.Offset, b.Offset))
	})
	return pieces
}

// Pin notes that a Piece is about to be pinned: from then on the Pinner is told
// before a page of it is given back, once. It reports false, and notes nothing, if
// some of it holds no published chunk by now, or is pinned.
func (t *Tier) Pin(p Piece) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.segments[p.Segment]
	if g == nil || p.Offset < 0 || p.Length < 1 || (p.Offset|p.Length)%pageSize != 0 ||
		p.Offset > int64(len(g.data)) || p.Length > int64(len(g.data))-p.Offset {
		return false
	}
	from, pages := int(p.Offset/pageSize), int(p.Length/pageSize)
	if !g.published.all(from, pages) || !g.pinned.none(from, pages) {
		return false
	}
	g.pinned.set(from, pages, true)
	g.pins = append(g.pins, &pin{from: from, pages: pages})
	return true
}

// leave notes that a place holds its chunk no more, and returns when nothing of it
// is pinned.
func (t *Tier) leave(p *place) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p.segment.published.set(p.page, pagesOf(p.size), false)
	t.unpin(p.segment, p.page, pagesOf(p.size))
}

// unpin returns when none of these pages is pinned, which nobody can pin
// meanwhile. t.mu is held, but not while the Pinner or another unpin is waited for.
func (t *Tier) unpin(g *segment, from, pages int) {
	for {
		i := slices.IndexFunc(g.pins, func(p *pin) bool { return p.from < from+pages && from < p.from+p.pages })
		if i < 0 {
			return
		}
		p := g.pins[i]
		if p.leaving != nil {
			t.mu.Unlock()
			<-p.leaving
			t.mu.Lock()
			continue
		}
		p.leaving = make(chan struct{})
		t.mu.Unlock()
		t.pinner.Unpin(g.piece(p))
		t.mu.Lock()
		g.pinned.set(p.from, p.pages, false)
		g.pins = slices.DeleteFunc(g.pins, func(o *pin) bool { return o == p })
		close(p.leaving)
		t.stir(g)
	}
}

// bury unmaps the segments of which nothing is used any more.
func (t *Tier) bury() error {
	t.mu.Lock()
	empty := t.empty
	t.empty = nil
	t.mu.Unlock()
	var first error
	for _, g := range empty {
		if t.pinner != nil {
			t.pinner.Gone(g.id)
		}
		if err := g.unmap(); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// SegmentFile returns a segment's size in bytes and a descriptor of it that can't be
// written through, which the caller closes. Unlike Domain.Segment it is for who
// serves every domain.
func (t *Tier) SegmentFile(id uint64) (size int64, file *os.File, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	g := t.segments[id]
	if g == nil {
		return 0, nil, fmt.Errorf("segment %d: there is none", id)
	}
	file, err = duplicate(g.file)
	if err != nil {
		return 0, nil, fmt.Errorf("segment %d: %w", id, err)
	}
	return int64(len(g.data)), file, nil
}

// runs yields where pages are taken that are not pinned: in each piece of
// PieceSize the first of each run, and how many.
func (g *segment) runs() func(yield func(from, pages int) bool) {
	return func(yield func(int, int) bool) {
		const window = PieceSize / pageSize
		from := -1
		end := func(at int) bool {
			start := from
			from = -1
			return start < 0 || yield(start, at-start)
		}
		for i := range len(g.slots) * len(slot{}) {
			at := i * 64
			if at%window == 0 && !end(at) {
				return
			}
			word := g.slots[at/perSlot][at%perSlot/64] &^ g.pinned[at/perSlot][at%perSlot/64]
			for n := 0; n < 64; {
				if left := word >> n; left&1 == 0 {
					if !end(at + n) {
						return
					}
					n += min(bits.TrailingZeros64(left), 64-n)
				} else {
					if from < 0 {
						from = at + n
					}
					n += bits.TrailingZeros64(^left)
				}
			}
		}
		end(g.pages())
	}
}
