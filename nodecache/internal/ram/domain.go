package ram

import (
	"context"
	"errors"
	"fmt"
	"os"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
)

// Domain is the chunks of one namespace. It implements tier.Store.
type Domain struct {
	tier *Tier
	name string

	// tier.mu protects these.
	places   map[chunker.Digest]*place
	segments []*segment // by age
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
	segment, offset, length = p.at()
	return segment, offset, length, true
}

// Segment returns a segment's size in bytes and its descriptor for clients, which
// can't be written through. It belongs to the tier and is open for as long as a
// place of the segment is held.
func (d *Domain) Segment(id uint64) (size int64, file *os.File, err error) {
	d.tier.mu.Lock()
	defer d.tier.mu.Unlock()
	g := d.tier.segments[id]
	if g == nil || g.domain != d {
		return 0, nil, fmt.Errorf("segment %d of %q: there is none", id, d.name)
	}
	return int64(len(g.data)), g.file, nil
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
	p := d.hold(ref)
	if p == nil {
		return nil, fmt.Errorf("read %s: %w", ref.Digest.Short(), tier.ErrAbsent)
	}
	defer d.release(p)
	dst = append(dst[:0], p.bytes()...)
	if sum(dst) != p.sum {
		d.drop(ref.Digest, p)
		return nil, fmt.Errorf("read %s from memory: %w", ref.Digest.Short(), tier.ErrDamaged)
	}
	return dst, nil
}

// hold returns the place of a chunk to a reader, nil if it is not there.
func (d *Domain) hold(ref chunker.Ref) *place {
	d.tier.mu.Lock()
	defer d.tier.mu.Unlock()
	p := d.places[ref.Digest]
	if p == nil || !p.published || p.size != ref.Size {
		return nil
	}
	p.readers++
	return p
}

// release ends what hold began.
func (d *Domain) release(p *place) {
	d.tier.mu.Lock()
	p.readers--
	last := p.dropped && p.readers == 0
	if p.quiet != nil && p.readers == 0 {
		close(p.quiet)
		p.quiet = nil
	}
	d.tier.mu.Unlock()
	if last {
		d.tier.free(p)
	}
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

// Drop implements tier.Store. A chunk that is read meanwhile is given back when
// that ends; one that is being filled is not there yet, and stays its filler's.
func (d *Domain) Drop(digest chunker.Digest) { d.drop(digest, nil) }

// drop forgets a chunk, if it is at that place; nil is any.
func (d *Domain) drop(digest chunker.Digest, at *place) {
	d.tier.mu.Lock()
	p := d.places[digest]
	if p == nil || !p.published || at != nil && at != p {
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
