package load

import (
	"context"
	"errors"
	"time"

	"github.com/ingot-ml/ingot/nodecache/internal/plan"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
)

// read fills places from the disk.
func (p *pipeline) read(ctx context.Context) error {
	for c := range each(ctx, p.reads) {
		if err := p.readChunk(ctx, c); err != nil {
			return err
		}
	}
	return ctx.Err()
}

// readChunk fills one place. A chunk that the disk can't give is fetched, whatever
// is wrong with the disk.
func (p *pipeline) readChunk(ctx context.Context, c uint32) error {
	ref, k := p.ref(c), &p.chunks[c]
	began := time.Now()
	_, err := p.Source.Read(ctx, ref, p.place(c))
	p.tally.read.add(began)
	if err == nil {
		k.claim.Publish()
		p.finish(c, plan.Disk)
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	switch {
	case errors.Is(err, tier.ErrDamaged):
		if p.Damaged != nil {
			p.Damaged(ref.Digest)
		}
	case !errors.Is(err, tier.ErrAbsent):
		p.tally.unread(err)
	}
	k.unread = true
	p.fetches <- c
	return nil
}

// place returns the memory of a chunk, and no byte more.
func (p *pipeline) place(c uint32) []byte {
	b := p.chunks[c].claim.Bytes()
	return b[:0:len(b)]
}
