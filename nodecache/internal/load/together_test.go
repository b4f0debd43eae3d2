package load

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// Ten loads that want the same chunks, in two namespaces and on the disk, have each
// fetched once.
func TestTenLoadsFetchOnce(t *testing.T) {
	b := newBench(t)
	m := b.model(t, 9*mib, 300<<10, 5*mib)
	var orders []Order
	for i := range 10 {
		o := b.order(m)
		switch i % 3 {
		case 1:
			o.RAM = b.ram.Domain("other")
		case 2:
			o.RAM = nil
		}
		orders = append(orders, o)
	}
	together(t, orders)
	b.registry.once(t, m)
	b.holds(t, b.ram.Domain("acme"), m)
	b.holds(t, b.ram.Domain("other"), m)
	b.holds(t, b.disk, m)
}

// together runs loads at a time, all of which must do well.
func together(t *testing.T, orders []Order) {
	t.Helper()
	var arrived = make([]arrivals, len(orders))
	var loads sync.WaitGroup
	for i, o := range orders {
		o.Arrived = arrived[i].add
		loads.Go(func() {
			r, err := Run(t.Context(), o)
			if err != nil {
				t.Error(err)
			}
			if got, want := sum(r), int64(o.Manifest.ChunkBytes()); got != want {
				t.Errorf("load %d tells of %d bytes, want %d", i, got, want)
			}
		})
	}
	loads.Wait()
	for i := range orders {
		arrived[i].each(t, orders[i].Manifest)
	}
}

func sum(r Result) int64 { return r.Sources.RAM + r.Sources.Disk + r.Sources.Registry }

// A load that is cancelled leaves what it has begun to the one that waits for it.
func TestTakeOver(t *testing.T) {
	for _, tt := range []struct {
		name  string
		order func(b *bench, m *manifest.Manifest) Order
	}{
		{"into RAM", (*bench).order},
		{"onto the disk", (*bench).orderDisk},
		{"in another namespace", func(b *bench, m *manifest.Manifest) Order {
			o := b.order(m)
			o.RAM = b.ram.Domain("other")
			return o
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				m := b.model(t, 9*mib)
				first, cancel := context.WithCancel(t.Context())
				b.registry.before = func(ctx context.Context, c uint32) error {
					if first.Err() != nil || c == 0 {
						return nil
					}
					<-ctx.Done() // all but the first chunk take for ever
					return ctx.Err()
				}
				var loads sync.WaitGroup
				loads.Go(func() {
					if _, err := Run(first, b.order(m)); !errors.Is(err, context.Canceled) {
						t.Errorf("first load: %v, want %v", err, context.Canceled)
					}
				})
				synctest.Wait()
				loads.Go(func() { mustRun(t, tt.order(b, m)) })
				synctest.Wait()
				cancel()
				loads.Wait()
				b.registry.once(t, m)
				b.holds(t, b.disk, m)
				if n := b.flights.Len(); n > 0 {
					t.Errorf("%d flights are left", n)
				}
			})
		})
	}
}

// A load does not fetch what another has fetched while it was busy with something
// else.
func TestFetchedMeanwhile(t *testing.T) {
	for _, tt := range []struct {
		name  string
		order func(b *bench, m *manifest.Manifest) Order
	}{{"into RAM", (*bench).order}, {"onto the disk", (*bench).orderDisk}} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := newBench(t)
				b.registry.parallel = 1
				// They share all but the first two tensors. The slow one is held at the first,
				// and has taken the second by then.
				slow, quick := b.model(t, mib, mib, 9*mib), b.model(t, mib+1, mib+1, 9*mib)
				var held atomic.Bool
				release := make(chan struct{})
				b.registry.before = func(context.Context, uint32) error {
					if held.CompareAndSwap(false, true) {
						<-release
					}
					return nil
				}
				var loads sync.WaitGroup
				loads.Go(func() { mustRun(t, tt.order(b, slow)) })
				synctest.Wait()
				o := b.order(quick)
				o.RAM = b.ram.Domain("other")
				mustRun(t, o)
				close(release)
				loads.Wait()
				b.registry.once(t, slow, quick)
			})
		})
	}
}

// stuck is a Fetcher that brings nothing until it is told to stop.
type stuck struct{}

func (stuck) Fetch(ctx context.Context, _ name.Repo, _ chunker.Digest, _ *manifest.Manifest, chunks <-chan uint32, _ client.Sink, _ client.FetchOptions) (client.Received, error) {
	for range each(ctx, chunks) {
	}
	return client.Received{}, ctx.Err()
}

// A place of this load that another fetches the bytes of is not held up by a place
// that another load fills: that load may be waiting for this one.
func TestNoCircle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		both := b.model(t, mib, 2*mib)
		claimed, flying := b.model(t, mib), b.model(t, mib+1, 2*mib)
		var loads sync.WaitGroup
		begin := func(o Order) context.CancelFunc {
			ctx, cancel := context.WithCancel(t.Context())
			loads.Go(func() { _, _ = Run(ctx, o) }) // some are cancelled
			synctest.Wait()
			return cancel
		}
		filler := b.order(claimed)
		filler.Fetcher = stuck{}
		endFiller := begin(filler)
		flight := b.orderDisk(flying)
		flight.Fetcher = stuck{}
		endFlight := begin(flight)
		defer begin(b.order(both))()
		endFlight()
		synctest.Wait()
		if !b.ram.Domain("acme").Has(both.Chunks[1].Digest) {
			t.Error("a chunk that nobody else fetches any more is not fetched")
		}
		endFiller()
		loads.Wait()
		b.holds(t, b.ram.Domain("acme"), both)
	})
}

// However a load ends, it leaves no place that is not filled, no flight and no
// goroutine: synctest waits for those.
func TestCancelLeavesNothing(t *testing.T) {
	for stop := range uint32(8) {
		synctest.Test(t, func(t *testing.T) {
			b := newBench(t)
			m := b.model(t, 9*mib, 5*mib)
			b.preload(m, 1, 4)
			ctx, cancel := context.WithCancel(t.Context())
			failure := errors.New("the registry has had enough")
			b.registry.before = func(_ context.Context, c uint32) error {
				if c != stop {
					return nil
				}
				cancel()
				return failure
			}
			o := b.order(m)
			r, err := Run(ctx, o)
			if onDisk := stop == 1 || stop == 4; onDisk != (err == nil) {
				t.Errorf("error %v of a load whose chunk %d can't be fetched", err, stop)
			}
			if err != nil && !errors.Is(err, failure) && !errors.Is(err, context.Canceled) {
				t.Errorf("error %v, want %v", err, failure)
			}
			var have int64
			for _, c := range m.Chunks {
				if o.RAM.Has(c.Digest) {
					have += int64(c.Size)
					o.RAM.Drop(c.Digest)
				}
			}
			if have != sum(r) {
				t.Errorf("the RAM has %d bytes, %d were told of", have, sum(r))
			}
			b.empty(t)
		})
	}
}

// Many loads of versions that overlap, which are cancelled at random, over a disk
// and a registry that fail at random: whatever is said to be there is there, with
// the right bytes, and nothing is left behind.
func TestRandomLoads(t *testing.T) {
	for seed := range uint64(8) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { randomLoads(t, seed) })
	}
}

func randomLoads(t *testing.T, seed uint64) {
	b := newBench(t)
	rng := rand.New(rand.NewPCG(seed, 1))
	var versions []*manifest.Manifest
	for range 4 {
		sizes := make([]int, 1+rng.IntN(6))
		for i := range sizes {
			sizes[i] = 1 + rng.IntN(3)*mib + rng.IntN(2)*4096
		}
		versions = append(versions, b.model(t, sizes...))
	}
	var mu sync.Mutex
	luck := rand.New(rand.NewPCG(seed, 2)) // of the fetchers, under mu
	b.registry.before = func(context.Context, uint32) error {
		mu.Lock()
		defer mu.Unlock()
		if luck.IntN(15) == 0 {
			return errors.New("the registry stumbles")
		}
		return nil
	}
	var loads sync.WaitGroup
	for i := range 16 {
		m := versions[rng.IntN(len(versions))]
		o := b.order(m)
		if i%4 == 0 {
			o = b.orderDisk(m)
		}
		ctx, cancel := context.WithCancel(t.Context())
		stop := rng.IntN(40)
		var arrived int
		var counting sync.Mutex
		o.Arrived = func(uint32) {
			counting.Lock()
			defer counting.Unlock()
			if arrived++; arrived == stop {
				cancel()
			}
		}
		loads.Go(func() {
			defer cancel()
			if _, err := Run(ctx, o); err != nil {
				return
			}
			if o.RAM != nil {
				b.holds(t, o.RAM, m)
			} else {
				b.holds(t, b.disk, m)
			}
		})
	}
	loads.Wait()
	d := b.ram.Domain("acme")
	seen := map[chunker.Digest]bool{}
	for _, m := range versions {
		for _, c := range m.Chunks {
			if got, err := d.Read(t.Context(), c, make([]byte, 0, c.Size)); err == nil && chunker.Sum(got) != c.Digest {
				t.Errorf("chunk %s has the wrong bytes", c.Digest.Short())
			}
			seen[c.Digest] = true
		}
	}
	for dg := range seen {
		d.Drop(dg)
	}
	b.empty(t)
}
