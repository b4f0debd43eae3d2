package ram

import (
	"context"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/ingot-ml/ingot/chunker"
)

// ErrAbandoned reports a chunk whose filler has given up: who waits for it claims
// it again.
var ErrAbandoned = errors.New("whoever filled the chunk gave it up")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// Claim is a chunk that somebody wants in memory. One goroutine at a time uses it.
type Claim struct {
	domain *Domain
	digest chunker.Digest
	place  *place
	mine   bool
}

// Claim returns a Claim for each chunk of the groups, one group after the other.
// Chunks that are not there get places, which are the caller's to fill: those of a
// group one behind the other, for as long as they are of 2 MiB, and one that is
// shorter behind them. A chunk that comes twice is Mine once.
//
// It claims nothing if it fails: with tier.ErrFull when there is no room, or
// because a chunk is there that has another size.
func (d *Domain) Claim(groups [][]chunker.Ref) (claims []*Claim, err error) {
	defer func() { _ = d.tier.bury() }() // of a segment that was taken for nothing
	d.tier.mu.Lock()
	defer d.tier.mu.Unlock()
	d.tier.sweep()
	var taken []*place
	for _, group := range groups {
		from := len(claims)
		if claims, err = d.join(claims, group); err == nil {
			var places []*place
			places, err = d.tier.take(d, missing(claims[from:]))
			taken = append(taken, places...)
			d.settle(claims[from:], places)
		}
		if err != nil {
			d.unclaim(claims)
			d.tier.forget(taken...)
			return nil, err
		}
	}
	return claims, nil
}

// join adds a Claim for each chunk: to its place, or to one that has no memory
// yet. tier.mu is held.
func (d *Domain) join(claims []*Claim, group []chunker.Ref) ([]*Claim, error) {
	for _, ref := range group {
		if err := check(ref.Size); err != nil {
			return claims, fmt.Errorf("claim %s: %w", ref.Digest.Short(), err)
		}
		c := &Claim{domain: d, digest: ref.Digest, place: d.places[ref.Digest]}
		switch {
		case c.place == nil:
			c.mine, c.place = true, &place{size: ref.Size, done: make(chan struct{})}
			d.places[ref.Digest] = c.place
		case c.place.size != ref.Size:
			return claims, fmt.Errorf("claim %s of %d bytes: it has %d", ref.Digest.Short(), ref.Size, c.place.size)
		}
		claims = append(claims, c)
	}
	return claims, nil
}

// missing returns the sizes of the chunks that are to be filled.
func missing(claims []*Claim) (sizes []uint32) {
	for _, c := range claims {
		if c.mine {
			sizes = append(sizes, c.place.size)
		}
	}
	return sizes
}

// settle gives the chunks that are to be filled their memory, as far as there is
// some. tier.mu is held.
func (d *Domain) settle(claims []*Claim, memory []*place) {
	for _, c := range claims {
		if c.mine && len(memory) > 0 {
			c.place.segment, c.place.page = memory[0].segment, memory[0].page
			memory = memory[1:]
		}
	}
}

// unclaim forgets the chunks that were to be filled. tier.mu is held.
func (d *Domain) unclaim(claims []*Claim) {
	for _, c := range claims {
		if c.mine {
			delete(d.places, c.digest)
		}
	}
}

// Mine reports whether the caller has to fill the chunk, and then to Publish it,
// or else to Abandon it. Otherwise somebody else does or has.
func (c *Claim) Mine() bool { return c.mine }

// Bytes is the memory to fill, as long as the chunk, while it is Mine.
func (c *Claim) Bytes() []byte { return c.place.room(c.domain.tier.config.Huge) }

// Publish says that the chunk is filled with the right bytes. From then on the
// memory is not written, and the Claim is not Mine.
func (c *Claim) Publish() {
	c.end(func() {
		c.place.sum = sum(c.place.bytes())
		c.domain.tier.mu.Lock()
		defer c.domain.tier.mu.Unlock()
		c.place.published = true
		c.place.segment.published.set(c.place.page, pagesOf(c.place.size), true)
		c.domain.tier.stir(c.place.segment)
	})
}

// Abandon gives the place back, and the Claim is not Mine any more.
func (c *Claim) Abandon() {
	c.end(func() {
		c.domain.tier.mu.Lock()
		delete(c.domain.places, c.digest)
		c.domain.tier.mu.Unlock()
		c.domain.tier.free(c.place)
	})
}

// end ends a Claim that is Mine, and wakes who waits. To end one twice would be to
// take memory from others.
func (c *Claim) end(how func()) {
	if !c.mine {
		panic("ram: a claim was published or abandoned that is not Mine")
	}
	c.mine = false
	how()
	close(c.place.done)
}

// Wait returns nil when the chunk is published. The errors are ErrAbandoned and
// that of ctx.
func (c *Claim) Wait(ctx context.Context) error {
	select {
	case <-c.place.done:
	case <-ctx.Done():
		return ctx.Err()
	}
	c.domain.tier.mu.Lock()
	defer c.domain.tier.mu.Unlock()
	if !c.place.published {
		return ErrAbandoned
	}
	return nil
}

// Place is where the chunk lies, as Domain.Place says.
func (c *Claim) Place() (segment uint64, offset, length int64) { return c.place.at() }
