package load

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/nodecache/internal/plan"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
)

var (
	// errNoFetcher reports a chunk that no disk has, on a node without a registry.
	errNoFetcher = errors.New("it is not on this node, and there is no registry to get it from")
	// errEarly reports a fetcher that does not do what Fetcher asks for.
	errEarly = errors.New("the fetcher ended before all chunks had come")
)

// feed passes on to the fetcher what this load is to fetch.
func (p *pipeline) feed(ctx context.Context, wanted chan<- uint32) error {
	defer close(wanted)
	for c := range each(ctx, p.fetches) {
		if p.Fetcher == nil {
			return fmt.Errorf("chunk %s: %w", p.ref(c).Digest.Short(), errNoFetcher)
		}
		if !p.take(c) {
			continue
		}
		p.tally.fetching()
		select {
		case wanted <- c:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return ctx.Err()
}

// take makes this load the one that fetches a chunk. It passes the chunk on if
// another fetches it, or has done so since somebody looked.
func (p *pipeline) take(c uint32) bool {
	k := &p.chunks[c]
	k.other = p.Flights.begin(p.ref(c).Digest)
	if k.other != nil {
		p.landings <- c
		return false
	}
	k.flying = true
	if p.RAM != nil && p.readable(c) || p.RAM == nil && p.Disk.Has(p.ref(c).Digest) {
		p.land(c)
		p.route(c)
		return false
	}
	return true
}

// fetch has chunks fetched until there are no more.
func (p *pipeline) fetch(ctx context.Context, wanted <-chan uint32) error {
	received, err := p.Fetcher.Fetch(ctx, p.Repo, p.Digest, p.Manifest, wanted, sink{p}, client.FetchOptions{Held: p.Held})
	p.tally.fetched(received)
	refused := p.repeated.Load() - int64(received.BasesWrong) // whose base was wrong is not the registry's fault
	if errors.Is(err, client.ErrCorrupt) {
		refused++
	}
	for ; refused > 0 && p.Refused != nil; refused-- {
		p.Refused()
	}
	if err == nil && p.left.Load() > 0 {
		return errEarly
	}
	return err
}

// sink takes what the fetcher brings.
type sink struct{ *pipeline }

// Room implements client.Sink.
func (s sink) Room(_ context.Context, c uint32) ([]byte, error) {
	k := &s.chunks[c]
	if k.asked {
		s.repeated.Add(1)
	}
	k.asked = true
	if s.RAM == nil {
		return nil, nil
	}
	return s.place(c), nil
}

// Take implements client.Sink. A chunk is on the disk before anybody hears of it
// in RAM, so that nobody can take its place from below.
func (s sink) Take(ctx context.Context, c uint32, plain, enc []byte) error {
	from := plan.Registry
	if enc == nil {
		from = plan.Delta
	}
	if s.RAM == nil {
		if err := s.put(ctx, s.ref(c), plain, enc); err != nil {
			return err
		}
	} else {
		s.keep(ctx, s.ref(c), plain, enc)
		s.chunks[c].claim.Publish()
	}
	s.finish(c, from)
	return nil
}

// DeltaStore is a target that has use for a delta as it came.
type DeltaStore interface {
	tier.Store
	// PutDelta is Put for a chunk that came as a delta of one that the node holds.
	PutDelta(ctx context.Context, ref chunker.Ref, plain, delta []byte) error
}

// TakeDelta implements client.DeltaSink.
func (s sink) TakeDelta(ctx context.Context, c uint32, plain, delta []byte) error {
	to, ok := s.Disk.(DeltaStore)
	if s.RAM != nil || !ok {
		return s.Take(ctx, c, plain, nil)
	}
	if err := to.PutDelta(ctx, s.ref(c), plain, delta); err != nil {
		return fmt.Errorf("keep chunk %s: %w", s.ref(c).Digest.Short(), err)
	}
	s.finish(c, plan.Delta)
	return nil
}

var _ client.DeltaSink = sink{}

// keep puts a chunk of RAM on the disk too, if it is to be there. A disk that has
// failed once in a load is left alone.
func (p *pipeline) keep(ctx context.Context, ref chunker.Ref, plain, enc []byte) {
	if p.Disk == nil || p.tally.storeFailed() {
		return
	}
	if err := p.put(ctx, ref, plain, enc); err != nil {
		p.tally.unstored(err)
	}
}

func (p *pipeline) put(ctx context.Context, ref chunker.Ref, plain, enc []byte) error {
	began := time.Now()
	defer p.tally.store.add(began)
	if err := p.Disk.Put(ctx, ref, plain, enc); err != nil {
		return fmt.Errorf("keep chunk %s: %w", ref.Digest.Short(), err)
	}
	return nil
}
