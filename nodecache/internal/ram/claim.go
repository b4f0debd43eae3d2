package ram

import (
	"fmt"
	"slices"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
)

// Claim returns a Claim for each chunk of the groups, one group after the other.
// Chunks that are not there get places, those of a group one behind the other
// wherever their sizes are whole pages. tier.ErrFull claims nothing.
func (d *Domain) Claim(groups [][]chunker.Ref) ([]*Claim, error) {
	t := d.tier
	t.mu.Lock()
	defer t.mu.Unlock()
	var claims []*Claim
	var fresh []*place
	undo := func() {
		for _, c := range claims {
			if c.mine {
				delete(d.places, c.digest)
			}
		}
		t.forget(fresh)
	}
	for _, group := range groups {
		var sizes []uint32
		from := len(claims)
		for _, ref := range group {
			c := &Claim{domain: d, digest: ref.Digest, place: d.places[ref.Digest]}
			if c.place == nil {
				c.mine, c.place = true, &place{size: ref.Size, done: make(chan struct{})}
				d.places[ref.Digest] = c.place
				sizes = append(sizes, ref.Size)
			}
			claims = append(claims, c)
		}
		places, err := t.take(d.name, sizes)
		fresh = append(fresh, places...)
		if err != nil {
			undo()
			return nil, err
		}
		for _, c := range claims[from:] {
			if c.mine {
				c.place.segment, c.place.page = places[0].segment, places[0].page
				places = places[1:]
			}
		}
	}
	return claims, nil
}

// Window returns memory for chunks of these sizes that have no name, one behind
// the other as those of a group of Claim.
func (d *Domain) Window(sizes []uint32) ([]*Pane, error) {
	d.tier.mu.Lock()
	defer d.tier.mu.Unlock()
	places, err := d.tier.take(d.name, sizes)
	if err != nil {
		d.tier.forget(places)
		return nil, err
	}
	panes := make([]*Pane, len(places))
	for i, p := range places {
		panes[i] = &Pane{tier: d.tier, place: p}
	}
	return panes, nil
}

// take takes pages for chunks of these sizes. After an error it returns what it
// has taken till then. t.mu is held.
func (t *Tier) take(domain string, sizes []uint32) (places []*place, err error) {
	for len(sizes) > 0 {
		n := together(sizes, int(t.config.Segment/pageSize))
		run, err := t.takeRun(domain, sizes[:n])
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
func (t *Tier) takeRun(domain string, sizes []uint32) ([]*place, error) {
	pages := 0
	for _, size := range sizes {
		pages += pagesOf(size)
	}
	if budget := t.config.Budget / pageSize; t.used+int64(pages) > budget {
		return nil, fmt.Errorf("%d pages of memory, of %d are %d free: %w", pages, budget, budget-t.used, tier.ErrFull)
	}
	g, at, err := t.room(domain, pages)
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

// room finds free pages that lie together, in a new segment if need be. t.mu is
// held.
func (t *Tier) room(domain string, pages int) (*segment, int, error) {
	for _, g := range slices.Backward(t.order) {
		if g.domain != domain || len(g.slots)*perSlot-g.taken < pages {
			continue
		}
		at := -1
		if pages < perSlot {
			at = g.findPages(pages)
		} else {
			at = g.findRun(pages)
		}
		if at >= 0 {
			return g, at, nil
		}
	}
	g, err := t.grow(domain)
	return g, 0, err
}

// free gives the memory of a place back to the system, and its segment if that
// was the last.
func (t *Tier) free(p *place) {
	p.segment.punch(p.offset(), int64(pagesOf(p.size))*pageSize)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.forget([]*place{p})
}

// forget notes that places are not used any more, which hold nothing. t.mu is
// held.
func (t *Tier) forget(places []*place) {
	for _, p := range places {
		g, n := p.segment, pagesOf(p.size)
		g.mark(p.page, n, false)
		t.used -= int64(n)
		if g.taken == 0 && t.segments[g.id] == g {
			_ = t.shrink(g) // its memory is gone already
		}
	}
}
