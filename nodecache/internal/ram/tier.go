package ram

import (
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/ingot-ml/ingot/chunker"
)

// DefaultSegment is the size of a segment in bytes of addresses.
const DefaultSegment = 1 << 30

// Config is what a Tier works with.
type Config struct {
	// Budget is the most bytes that are resident, in whole pages of 4 KiB.
	Budget int64
	// Segment is the size of a segment in bytes, a multiple of 2 MiB; 0 is
	// DefaultSegment.
	Segment int64
	// Huge asks for huge pages. The system gives them to a process that may mount a
	// file system, as root may; to others if its setting of shmem_enabled says so.
	Huge bool
}

// Tier is the RAM tier. It is safe for concurrent use.
type Tier struct {
	config Config
	source source
	pinner Pinner        // nil is nobody
	filled chan struct{} // has room for one

	mu       sync.Mutex // protects what follows, and every domain, segment and place
	segments map[uint64]*segment
	empty    []*segment // to unmap
	last     uint64     // id
	used     int64      // pages
	domains  map[string]*Domain
}

// Open returns an empty Tier. It fails where the system has no memfds. The caller
// closes it.
func Open(c Config) (*Tier, error) {
	if c.Segment == 0 {
		c.Segment = DefaultSegment
	}
	if c.Budget < pageSize || c.Segment < slotSize || c.Segment%slotSize != 0 {
		return nil, fmt.Errorf("open ram tier: budget of %d bytes in segments of %d: want a page at least, and multiples of 2 MiB", c.Budget, c.Segment)
	}
	t := &Tier{config: c, source: openSource(c.Huge), filled: make(chan struct{}, 1), segments: map[uint64]*segment{}, domains: map[string]*Domain{}}
	g, err := t.source.mapSegment(c.Segment) // whether it works is better known now
	if err == nil {
		err = g.unmap()
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open ram tier: %w", err), t.source.close())
	}
	return t, nil
}

// Close gives all memory back. Nobody may use what is in it any more.
func (t *Tier) Close() error {
	t.mu.Lock()
	for _, g := range t.segments {
		g.published.set(0, g.pages(), false)
		t.unpin(g, 0, g.pages())
		t.shrink(g)
	}
	t.used = 0
	for _, d := range t.domains {
		clear(d.places)
	}
	t.mu.Unlock()
	return errors.Join(t.bury(), t.source.close())
}

// grow makes a segment. t.mu is held.
func (t *Tier) grow(d *Domain) (*segment, error) {
	g, err := t.source.mapSegment(t.config.Segment)
	if err != nil {
		return nil, err
	}
	t.last++
	g.id, g.domain = t.last, d
	slots := int(t.config.Segment / slotSize)
	g.slots, g.published, g.pinned = make(pageSet, slots), make(pageSet, slots), make(pageSet, slots)
	g.vain = g.pages() + 1
	t.segments[g.id] = g
	d.segments = append(d.segments, g)
	return g, nil
}

// shrink leaves a segment to bury. t.mu is held.
func (t *Tier) shrink(g *segment) {
	delete(t.segments, g.id)
	g.domain.segments = slices.DeleteFunc(g.domain.segments, func(o *segment) bool { return o == g })
	t.empty = append(t.empty, g)
}

// Stats is what a Tier holds.
type Stats struct {
	Segments int   // that are mapped
	Chunks   int   // with a name, those that are being filled included
	Used     int64 // bytes of the budget
	Resident int64 // bytes that the system says the segments take
}

// Stats counts.
func (t *Tier) Stats() Stats {
	t.mu.Lock()
	defer t.mu.Unlock()
	s := Stats{Segments: len(t.segments), Used: t.used * pageSize}
	for _, d := range t.domains {
		s.Chunks += len(d.places)
	}
	for _, g := range t.segments {
		s.Resident += g.resident()
	}
	return s
}

// Cost implements tier.Store, for every Domain.
func (t *Tier) Cost(size uint32) int64 { return int64(pagesOf(size)) * pageSize }

// Used is how many bytes are resident, those of places that are being filled
// included.
func (t *Tier) Used() int64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.used * pageSize
}

// Domain returns the part of the Tier that one namespace's clients may see.
func (t *Tier) Domain(name string) *Domain {
	t.mu.Lock()
	defer t.mu.Unlock()
	d := t.domains[name]
	if d == nil {
		d = &Domain{tier: t, name: name, places: map[chunker.Digest]*place{}}
		t.domains[name] = d
	}
	return d
}
