package load

import (
	"context"
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/plan"
	"github.com/ingot-ml/ingot/nodecache/internal/ram"
)

// wait waits for the chunks that others bring, and does their part when they fail.
// Waiting for one after another costs nothing: all of them are waited for.
func (p *pipeline) wait(ctx context.Context) error {
	for c := range each(ctx, p.waits) {
		var err error
		if p.chunks[c].other != nil {
			err = p.waitFlight(ctx, c)
		} else {
			err = p.waitClaim(ctx, c)
		}
		if err != nil {
			return err
		}
	}
	return ctx.Err()
}

// waitFlight waits until another load has fetched a chunk, or failed to.
func (p *pipeline) waitFlight(ctx context.Context, c uint32) error {
	select {
	case <-p.chunks[c].other:
	case <-ctx.Done():
		return ctx.Err()
	}
	p.chunks[c].other = nil
	p.route(c)
	return nil
}

// waitClaim waits until another load has filled a place, or given it up.
func (p *pipeline) waitClaim(ctx context.Context, c uint32) error {
	k := &p.chunks[c]
	err := k.claim.Wait(ctx)
	if errors.Is(err, ram.ErrAbandoned) {
		claims, err := p.RAM.Claim([][]chunker.Ref{{p.ref(c)}})
		if err != nil {
			return fmt.Errorf("place chunk %s that another load has given up: %w", p.ref(c).Digest.Short(), err)
		}
		k.claim = claims[0]
		p.route(c)
		return nil
	}
	if err != nil {
		return err
	}
	p.copyDown(ctx, p.ref(c))
	p.finish(c, plan.RAM)
	return nil
}

// copyDown puts a chunk on the disk that was in RAM only.
func (p *pipeline) copyDown(ctx context.Context, ref chunker.Ref) {
	if p.Disk == nil || p.Disk.Has(ref.Digest) || p.tally.storeFailed() {
		return
	}
	plain, err := p.RAM.Read(ctx, ref, make([]byte, 0, ref.Size))
	if err != nil {
		p.tally.unstored(fmt.Errorf("keep chunk %s: %w", ref.Digest.Short(), err))
		return
	}
	p.keep(ctx, ref, plain, nil)
}
