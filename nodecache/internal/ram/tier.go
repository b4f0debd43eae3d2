package ram

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
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
	// Huge asks for huge pages, which the system gives if its setting of
	// shmem_enabled lets it.
	Huge bool
}

// Tier is the RAM tier. It is safe for concurrent use.
type Tier struct {
	config Config

	mu       sync.Mutex // protects what follows, and every segment and place
	segments map[uint64]*segment
	order    []*segment // by age
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
	t := &Tier{config: c, segments: map[uint64]*segment{}, domains: map[string]*Domain{}}
	g, err := t.grow("") // whether it works is better known now
	if err != nil {
		return nil, fmt.Errorf("open ram tier: %w", err)
	}
	return t, t.shrink(g)
}

// Close gives all memory back. Nobody may use what is in it any more.
func (t *Tier) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	for _, g := range slices.Clone(t.order) {
		errs = append(errs, t.shrink(g))
	}
	t.used = 0
	for _, d := range t.domains {
		d.places = map[chunker.Digest]*place{}
	}
	return errors.Join(errs...)
}

// grow makes a segment. t.mu is held, or nobody else has t.
func (t *Tier) grow(domain string) (*segment, error) {
	g, err := mapSegment(t.config.Segment, t.config.Huge)
	if err != nil {
		return nil, err
	}
	t.last++
	g.id, g.domain = t.last, domain
	g.slots = make([]slot, t.config.Segment/slotSize)
	t.segments[g.id] = g
	t.order = append(t.order, g)
	return g, nil
}

// shrink gives a segment back. t.mu is held, or nobody else has t.
func (t *Tier) shrink(g *segment) error {
	delete(t.segments, g.id)
	t.order = slices.DeleteFunc(t.order, func(o *segment) bool { return o == g })
	return g.unmap()
}

// pagesOf is how many pages a chunk of size bytes takes.
func pagesOf(size uint32) int { return (int(size) + pageSize - 1) / pageSize }

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

// Domain is the chunks of one namespace. It implements tier.Store.
type Domain struct {
	tier   *Tier
	name   string
	places map[chunker.Digest]*place // tier.mu protects it
}

// Has implements tier.Store.
func (d *Domain) Has(digest chunker.Digest) bool {
	_, _, _, ok := d.Place(digest)
	return ok
}

// Place returns where a chunk lies: the segment, and offset and length in bytes.
// ok is false for one that is not there, or not published.
func (d *Domain) Place(digest chunker.Digest) (segment uint64, offset, length int64, ok bool) {
	d.tier.mu.Lock()
	defer d.tier.mu.Unlock()
	p := d.places[digest]
	if p == nil || !p.published {
		return 0, 0, 0, false
	}
	return p.segment.id, p.offset(), int64(p.size), true
}

// Segment returns a segment's size in bytes and its descriptor for clients, which
// can't be written through. It belongs to the tier and is open for as long as a
// place of the segment is held.
func (d *Domain) Segment(id uint64) (size int64, file *os.File, err error) {
	d.tier.mu.Lock()
	defer d.tier.mu.Unlock()
	g := d.tier.segments[id]
	if g == nil || g.domain != d.name {
		return 0, nil, fmt.Errorf("segment %d of %q: there is none", id, d.name)
	}
	return int64(len(g.data)), g.read, nil
}

// Cost implements tier.Store.
func (d *Domain) Cost(size uint32) int64 { return d.tier.Cost(size) }

// Used implements tier.Store. It is that of the whole Tier.
func (d *Domain) Used() int64 { return d.tier.Used() }

// Read implements tier.Store.
func (d *Domain) Read(ctx context.Context, ref chunker.Ref, dst []byte) ([]byte, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	d.tier.mu.Lock()
	p := d.places[ref.Digest]
	if p == nil || !p.published || p.size != ref.Size {
		d.tier.mu.Unlock()
		return nil, fmt.Errorf("read %s: %w", ref.Digest.Short(), tier.ErrAbsent)
	}
	p.readers++
	d.tier.mu.Unlock()
	dst = append(dst[:0], p.bytes()...)
	sound := sum(dst) == p.sum
	d.tier.mu.Lock()
	p.readers--
	last := p.dropped && p.readers == 0
	d.tier.mu.Unlock()
	if last {
		d.tier.free(p)
	}
	if !sound {
		d.Drop(ref.Digest)
		return nil, fmt.Errorf("read %s from memory: %w", ref.Digest.Short(), tier.ErrDamaged)
	}
	return dst, nil
}

// Put implements tier.Store.
func (d *Domain) Put(ctx context.Context, ref chunker.Ref, plain, _ []byte) error {
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		claims, err := d.Claim([][]chunker.Ref{{ref}})
		if err != nil {
			return fmt.Errorf("put %s: %w", ref.Digest.Short(), err)
		}
		c := claims[0]
		if c.Mine() {
			copy(c.Bytes(), plain)
			c.Publish()
			return nil
		}
		if err := c.Wait(ctx); !errors.Is(err, ErrAbandoned) {
			return err
		}
	}
}

// Drop implements tier.Store. A chunk that is being filled or read is given back
// when that ends.
func (d *Domain) Drop(digest chunker.Digest) {
	d.tier.mu.Lock()
	p := d.places[digest]
	if p == nil || !p.published {
		d.tier.mu.Unlock()
		return
	}
	delete(d.places, digest)
	p.dropped = true
	now := p.readers == 0
	d.tier.mu.Unlock()
	if now {
		d.tier.free(p)
	}
}
