package load

import (
	"context"
	"fmt"
	"iter"
	"sync/atomic"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/plan"
	"github.com/ingot-ml/ingot/nodecache/internal/ram"
)

// pipeline is one load.
type pipeline struct {
	Order
	chunks   []chunk // as the manifest numbers them
	left     atomic.Int64
	repeated atomic.Int64 // chunks that the fetcher had to bring again
	tally    tally

	reads    chan uint32 // from the disk
	fetches  chan uint32 // from the registry
	landings chan uint32 // that another load fetches
	fillings chan uint32 // whose place another load fills
}

// chunk is how far a chunk is. It belongs to whoever has taken it out of a queue.
type chunk struct {
	claim  *ram.Claim      // its place; nil when the disk is the target
	other  <-chan struct{} // closed when the load that fetches it is done with it
	flying bool            // this load fetches it
	unread bool            // the disk could not give it
	asked  bool            // the registry has sent it
	done   bool
}

// newPipeline takes the places of all chunks.
func newPipeline(o Order) (*pipeline, error) {
	n := len(o.Plan.Steps)
	p := &pipeline{
		Order: o, chunks: make([]chunk, n),
		reads: make(chan uint32, n), fetches: make(chan uint32, n),
		landings: make(chan uint32, n), fillings: make(chan uint32, n),
	}
	p.left.Store(int64(n))
	if o.RAM == nil {
		return p, nil
	}
	began := time.Now()
	claims, err := o.RAM.Claim(p.groups())
	if err != nil {
		return nil, fmt.Errorf("place %d chunks: %w", n, err)
	}
	for i, step := range o.Plan.Steps {
		p.chunks[step.Chunk].claim = claims[i]
	}
	p.tally.plan.add(began)
	return p, nil
}

// groups are those of the plan, in the words of the tier.
func (p *pipeline) groups() [][]chunker.Ref {
	refs := make([]chunker.Ref, 0, len(p.Plan.Steps))
	groups := make([][]chunker.Ref, len(p.Plan.Groups))
	for i, g := range p.Plan.Groups {
		start := len(refs)
		for _, c := range g {
			refs = append(refs, p.ref(c))
		}
		groups[i] = refs[start:]
	}
	return groups
}

func (p *pipeline) ref(c uint32) chunker.Ref { return p.Manifest.Chunks[c] }

// start puts all chunks into queues.
func (p *pipeline) start(ctx context.Context) error {
	for _, step := range p.Plan.Steps {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		p.route(step.Chunk)
	}
	return nil
}

// route passes a chunk on to who can bring it, as things are now.
func (p *pipeline) route(c uint32) {
	d, k := p.ref(c).Digest, &p.chunks[c]
	switch {
	case p.RAM == nil && p.Disk.Has(d):
		p.finish(c, plan.Disk)
	case p.RAM == nil:
		p.fetches <- c
	case !k.claim.Mine() && p.RAM.Has(d) && (p.Disk == nil || p.Disk.Has(d)):
		p.finish(c, plan.RAM)
	case !k.claim.Mine():
		p.fillings <- c
	case p.readable(c):
		p.reads <- c
	default:
		p.fetches <- c
	}
}

// readable reports whether the disk can give a chunk.
func (p *pipeline) readable(c uint32) bool {
	return p.Source != nil && !p.chunks[c].unread && p.Source.Has(p.ref(c).Digest)
}

// finish is for a chunk that is in the target.
func (p *pipeline) finish(c uint32, from plan.Source) {
	p.chunks[c].done = true
	p.land(c)
	p.tally.moved(from, p.ref(c).Size)
	if p.Arrived != nil {
		p.Arrived(c)
	}
	if p.left.Add(-1) == 0 { // the last, so nobody has one to pass on
		close(p.reads)
		close(p.fetches)
		close(p.landings)
		close(p.fillings)
	}
}

// land ends the flight of a chunk, if this load has one.
func (p *pipeline) land(c uint32) {
	if k := &p.chunks[c]; k.flying {
		k.flying = false
		p.Flights.end(p.ref(c).Digest)
	}
}

// close gives back what a load that failed has taken and not filled.
func (p *pipeline) close() {
	for c := range p.chunks {
		k := &p.chunks[c]
		p.land(uint32(c))
		if !k.done && k.claim != nil && k.claim.Mine() {
			k.claim.Abandon()
		}
	}
}

// each yields what comes through a queue, until it is closed or ctx ends.
func each(ctx context.Context, queue <-chan uint32) iter.Seq[uint32] {
	return func(yield func(uint32) bool) {
		for {
			select {
			case c, more := <-queue:
				if !more || ctx.Err() != nil || !yield(c) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}
