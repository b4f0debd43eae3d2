package load

import (
	"context"
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/plan"
	"github.com/ingot-ml/ingot/nodecache/internal/ram"
)

// Waiting for one chunk after another costs nothing, since all of them are waited
// for.

// waitFlights waits for what other loads fetch, and passes on what they failed to.
// Nothing else may hold this up: others wait for the places that are filled by it.
func (p *pipeline) waitFlights(ctx context.Context) error {
	for c := range each(ctx, p.landings) {
		select {
		case <-p.chunks[c].other:
		case <-ctx.Done():
			return ctx.Err()
		}
		p.route(c)
	}
	return ctx.Err()
}

// waitClaims waits for the places that other loads fill, and does their part when
// they give up.
func (p *pipeline) waitClaims(ctx context.Context) error {
	for c := range each(ctx, p.fillings) {
		if err := p.waitClaim(ctx, c); err != nil {
			return err
		}
	}
	return ctx.Err()
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
