package ram

import (
	"context"
	"errors"
	"hash/crc32"

	"github.com/ingot-ml/ingot/chunker"
)

// ErrAbandoned reports a chunk whose filler has given up: who waits for it claims
// it again.
var ErrAbandoned = errors.New("whoever filled the chunk gave it up")

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func sum(b []byte) uint32 { return crc32.Checksum(b, castagnoli) }

// place is memory for one chunk.
type place struct {
	segment   *segment
	page      int
	size      uint32
	sum       uint32        // CRC-32C of the chunk; set before it is published
	done      chan struct{} // closed when it is published or abandoned
	published bool
	dropped   bool // freed when readers is 0
	readers   int
}

func (p *place) offset() int64 { return int64(p.page) * pageSize }

func (p *place) bytes() []byte {
	at := p.offset()
	return p.segment.data[at : at+int64(p.size) : at+int64(p.size)]
}

// populate makes the pages resident in one call, instead of a fault for each.
func (p *place) populate() {
	at := p.offset()
	populate(p.segment.data[at : at+int64(pagesOf(p.size))*pageSize])
}

// Claim is a chunk that somebody wants in memory.
type Claim struct {
	domain    *Domain
	digest    chunker.Digest
	place     *place
	mine      bool
	populated bool
}

// Mine reports whether the caller has to fill the chunk, and then to Publish it,
// or else to Abandon it. Otherwise somebody else does or has.
func (c *Claim) Mine() bool { return c.mine }

// Bytes is the memory to fill, as long as the chunk.
func (c *Claim) Bytes() []byte {
	if !c.populated {
		c.populated = true
		c.place.populate()
	}
	return c.place.bytes()
}

// Publish says that the chunk is filled with the right bytes.
func (c *Claim) Publish() {
	c.place.sum = sum(c.place.bytes())
	c.domain.tier.mu.Lock()
	c.place.published, c.mine = true, false
	c.domain.tier.mu.Unlock()
	close(c.place.done)
}

// Abandon gives the place back.
func (c *Claim) Abandon() {
	c.domain.tier.mu.Lock()
	delete(c.domain.places, c.digest)
	c.mine = false
	c.domain.tier.mu.Unlock()
	close(c.place.done)
	c.domain.tier.free(c.place)
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
func (c *Claim) Place() (segment uint64, offset, length int64) {
	return c.place.segment.id, c.place.offset(), int64(c.place.size)
}

// Pane is memory without a name, for chunks that pass through.
type Pane struct {
	tier      *Tier
	place     *place
	populated bool
}

// Bytes is the memory, to fill and then to leave as it is.
func (p *Pane) Bytes() []byte {
	if !p.populated {
		p.populated = true
		p.place.populate()
	}
	return p.place.bytes()
}

// Place is where the memory lies, as Domain.Place says.
func (p *Pane) Place() (segment uint64, offset, length int64) {
	return p.place.segment.id, p.place.offset(), int64(p.place.size)
}

// Free gives the memory back, once.
func (p *Pane) Free() { p.tier.free(p.place) }
