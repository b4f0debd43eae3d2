package load

import (
	"context"
	"runtime"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/nodecache/internal/plan"
	"github.com/ingot-ml/ingot/nodecache/internal/ram"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// Fetcher gets chunks of a version, verified, as client.Registry does.
type Fetcher interface {
	Fetch(ctx context.Context, repo name.Repo, digest chunker.Digest, m *manifest.Manifest, chunks <-chan uint32, to client.Sink, o client.FetchOptions) (client.Received, error)
}

// Order says what to load, and where from and to. The caller has made room in the
// target, and sees to it that nobody drops a chunk of the version there before Run
// returns.
type Order struct {
	Repo     name.Repo
	Digest   chunker.Digest
	Manifest *manifest.Manifest
	Plan     plan.Plan // of Manifest: the order, and what should lie together

	// RAM is the target; if it is nil, Disk is.
	RAM *ram.Domain
	// Disk is where the chunks are kept; nil keeps none, with RAM as the target.
	Disk tier.Store
	// Source is the disk to read from, whether or not chunks are kept there; nil for
	// none.
	Source tier.Store
	// Fetcher gets what the node does not have; nil for a node without a registry.
	Fetcher Fetcher
	// Held are versions of which the node has chunks, for what may come as a delta of
	// one of them, best first.
	Held []client.Held
	// Flights is that of all loads of the node.
	Flights *Flights
	// Workers is how many chunks are read from the disk at a time; 0 is twice as many
	// as there are cores, and 16 at least, so that a disk has enough to do.
	Workers int

	// Arrived hears of each chunk when it is in the target, whoever brought it. It is
	// called by several goroutines, and so are the others; each may be nil.
	Arrived func(chunk uint32)
	// Damaged hears of each chunk that the disk had and dropped, because its bytes
	// were not right.
	Damaged func(chunker.Digest)
	// Refused is called for each time that the registry sent bytes that were not right.
	Refused func()
}

// Result says what a load has moved, also one that failed.
type Result struct {
	Received  client.Received // over the network
	Sources   openapi.Sources // plain bytes that are in the target now, by where from
	Phases    openapi.Phases  // all but Wait; Plan is the time to lay out the places
	ChunksNew int             // that the registry sent, as deltas or whole
	// StoreErr is why not all chunks are on the Disk that were to be kept there. It
	// is of no matter to a load into RAM.
	StoreErr error
}

// Run loads a version. When it returns nil, all chunks are in the target. It fails
// with an error of the fetcher, of the target tier, or of ctx.
//
// Chunks arrive in about the order of the plan.
func Run(ctx context.Context, o Order) (Result, error) {
	p, err := newPipeline(o)
	if err != nil {
		return Result{}, err
	}
	defer p.close()
	err = p.run(ctx)
	return p.tally.result(), err
}

// run has all chunks brought.
func (p *pipeline) run(ctx context.Context) error {
	if len(p.chunks) == 0 {
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return p.start(ctx) })
	if p.RAM != nil {
		for range p.workers() {
			g.Go(func() error { return p.read(ctx) })
		}
	}
	wanted := make(chan uint32)
	g.Go(func() error { return p.feed(ctx, wanted) })
	if p.Fetcher != nil {
		g.Go(func() error { return p.fetch(ctx, wanted) })
	}
	g.Go(func() error { return p.waitFlights(ctx) })
	g.Go(func() error { return p.waitClaims(ctx) })
	err := g.Wait()
	if p.left.Load() == 0 {
		return nil // whatever ended only afterwards
	}
	return p.tally.explain(err)
}

func (p *pipeline) workers() int {
	if p.Workers > 0 {
		return p.Workers
	}
	return max(16, 2*runtime.GOMAXPROCS(0))
}
