package load

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/nodecache/internal/plan"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

const mib = 1 << 20

func mustRun(t *testing.T, o Order) Result {
	t.Helper()
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// arrivals collects what arrives.
type arrivals struct {
	mu  sync.Mutex
	got []uint32
}

func (a *arrivals) add(c uint32) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.got = append(a.got, c)
}

// each fails the test unless every chunk of m has arrived once.
func (a *arrivals) each(t *testing.T, m *manifest.Manifest) {
	t.Helper()
	sorted := slices.Sorted(slices.Values(a.got))
	for c := range m.Chunks {
		if len(sorted) != len(m.Chunks) || sorted[c] != uint32(c) {
			t.Fatalf("arrived: %v, want each of %d once", sorted, len(m.Chunks))
		}
	}
}

func TestFromRegistryIntoRAM(t *testing.T) {
	b := newBench(t)
	m := b.model(t, 5*mib, 300<<10, 4*mib)
	o := b.order(m)
	var arrived arrivals
	o.Arrived = arrived.add
	r := mustRun(t, o)
	b.holds(t, o.RAM, m)
	b.holds(t, b.disk, m)
	b.registry.once(t, m)
	arrived.each(t, m)
	total, n := int64(m.ChunkBytes()), len(m.Chunks)
	if r.Sources != (openapi.Sources{Registry: total}) || r.ChunksNew != n || r.Received.Bytes != total+int64(n) || r.StoreErr != nil {
		t.Errorf("result %+v of %d chunks, %d bytes", r, n, total)
	}
	if b.disk.puts != n {
		t.Errorf("%d chunks were written to the disk, want %d", b.disk.puts, n)
	}
	for d, enc := range b.disk.encoded {
		if !enc {
			t.Errorf("chunk %s came to the disk without its encoded form", d.Short())
		}
	}
	if n := b.flights.Len(); n > 0 {
		t.Errorf("%d flights are left", n)
	}
}

// The chunks of a tensor lie one behind the other, whatever order they come in.
func TestTensorsAreContiguous(t *testing.T) {
	b := newBench(t)
	m := b.model(t, 7*mib, 6*mib+5)
	o := b.order(m)
	mustRun(t, o)
	for _, g := range o.Plan.Groups {
		segment, offset, length, ok := o.RAM.Place(m.Chunks[g[0]].Digest)
		if !ok {
			t.Fatalf("chunk %d has no place", g[0])
		}
		for _, c := range g[1:] {
			s, at, n, ok := o.RAM.Place(m.Chunks[c].Digest)
			if !ok || s != segment || at != offset+length {
				t.Errorf("chunk %d is at %d of segment %d, want %d of %d", c, at, s, offset+length, segment)
			}
			offset, length = at, n
		}
	}
}

// What is on the disk is read, and no registry is asked for anything.
func TestFromDiskIntoRAM(t *testing.T) {
	b := newBench(t)
	m := b.model(t, 5*mib, 4*mib)
	b.preload(m, 0, 1, 2, 3, 4)
	o := b.order(m)
	o.Fetcher = nil
	var arrived arrivals
	o.Arrived, o.Workers = arrived.add, 1
	r := mustRun(t, o)
	b.holds(t, o.RAM, m)
	if r.Sources != (openapi.Sources{Disk: 9 * mib}) || r.ChunksNew != 0 || r.Received.Bytes != 0 {
		t.Errorf("result %+v", r)
	}
	if b.disk.reads != len(m.Chunks) || b.disk.puts != 0 {
		t.Errorf("%d reads and %d writes of the disk, want %d and none", b.disk.reads, b.disk.puts, len(m.Chunks))
	}
	arrived.each(t, m)
	if !slices.IsSorted(arrived.got) {
		t.Errorf("chunks came as %v, want the order of the plan", arrived.got)
	}
}

func TestOrderOfThePlan(t *testing.T) {
	b := newBench(t)
	m := b.model(t, 5*mib, 4*mib, mib)
	b.registry.parallel = 1
	o := b.orderDisk(m)
	o.Plan = plan.Make(m, nil, []string{"t2", "t1"})
	var arrived arrivals
	o.Arrived = arrived.add
	mustRun(t, o)
	if want := []uint32{5, 3, 4, 0, 1, 2}; !slices.Equal(arrived.got, want) {
		t.Errorf("chunks came as %v, want %v", arrived.got, want)
	}
}

// Of a variant, only what differs moves.
func TestEverySourceAtOnce(t *testing.T) {
	b := newBench(t)
	base := b.model(t, 5*mib, 4*mib, mib)
	mustRun(t, b.order(base))
	m := b.model(t, 5*mib, 4*mib+1, mib, 3*mib, 2*mib)
	taken := len(b.registry.taken)
	last := uint32(len(m.Chunks) - 1)
	b.preload(m, last)
	o := b.order(m)
	var arrived arrivals
	o.Arrived = arrived.add
	r := mustRun(t, o)
	b.holds(t, o.RAM, m)
	b.holds(t, b.disk, m)
	arrived.each(t, m)
	// The second tensor has grown by one byte, a chunk of its own.
	if want := (openapi.Sources{RAM: 10 * mib, Disk: 2 * mib, Registry: 3*mib + 1}); r.Sources != want {
		t.Errorf("sources %+v, want %+v", r.Sources, want)
	}
	if got := len(b.registry.taken) - taken; got != 3 || r.ChunksNew != got {
		t.Errorf("%d chunks were sent, %d told, want 3", got, r.ChunksNew)
	}
}

func TestOntoDisk(t *testing.T) {
	b := newBench(t)
	m := b.model(t, 5*mib, 4*mib)
	b.preload(m, 1)
	o := b.orderDisk(m)
	var arrived arrivals
	o.Arrived = arrived.add
	r := mustRun(t, o)
	b.holds(t, b.disk, m)
	arrived.each(t, m)
	if want := (openapi.Sources{Disk: 2 * mib, Registry: 7 * mib}); r.Sources != want || r.ChunksNew != 4 {
		t.Errorf("result %+v, want sources %+v", r, want)
	}
	b.empty(t)
}

func TestNothingToLoad(t *testing.T) {
	b := newBench(t)
	if r := mustRun(t, b.order(b.model(t))); r != (Result{Phases: r.Phases}) {
		t.Errorf("result %+v", r)
	}
}

// A chunk that the disk has lost is fetched, and kept again.
func TestDamagedOnDisk(t *testing.T) {
	for _, tt := range []struct {
		name    string
		err     error
		damaged int
	}{
		{"damaged", tier.ErrDamaged, 1},
		{"gone", tier.ErrAbsent, 0},
		{"unreadable", errors.New("input/output error"), 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t)
			m := b.model(t, 5*mib)
			b.preload(m, 0, 1, 2)
			bad := m.Chunks[1].Digest
			b.disk.broken[bad] = tt.err
			o := b.order(m)
			var told []chunker.Digest
			o.Damaged = func(d chunker.Digest) { told = append(told, d) }
			r := mustRun(t, o)
			b.holds(t, o.RAM, m)
			if want := (openapi.Sources{Disk: 3 * mib, Registry: 2 * mib}); r.Sources != want {
				t.Errorf("sources %+v, want %+v", r.Sources, want)
			}
			if len(told) != tt.damaged || tt.damaged == 1 && told[0] != bad {
				t.Errorf("told of %v", told)
			}
			if !b.disk.Has(bad) {
				t.Error("the disk does not have the chunk again")
			}
		})
	}
}

// Without a registry, the error says what was to come from it, and why.
func TestNoRegistry(t *testing.T) {
	b := newBench(t)
	m := b.model(t, 5*mib)
	b.preload(m, 0, 1)
	b.disk.broken[m.Chunks[1].Digest] = errors.New("input/output error")
	o := b.order(m)
	o.Fetcher = nil
	_, err := Run(t.Context(), o)
	if !errors.Is(err, errNoFetcher) {
		t.Errorf("error %v, want %v", err, errNoFetcher)
	}
	b.preload(m, 0, 1, 2)
	_, err = Run(t.Context(), o)
	if err == nil || !strings.Contains(err.Error(), "input/output error") {
		t.Errorf("error %v does not say what the disk said", err)
	}
	o.RAM = nil
	b.disk.Drop(m.Chunks[0].Digest)
	if _, err = Run(t.Context(), o); !errors.Is(err, errNoFetcher) {
		t.Errorf("error %v, want %v", err, errNoFetcher)
	}
}

// A disk that is full is no reason not to load into RAM, but one not to load onto
// the disk.
func TestDiskFull(t *testing.T) {
	b := newBench(t)
	b.disk.full = tier.ErrFull
	b.registry.parallel = 1
	m := b.model(t, 9*mib)
	o := b.order(m)
	r := mustRun(t, o)
	b.holds(t, o.RAM, m)
	if !errors.Is(r.StoreErr, tier.ErrFull) {
		t.Errorf("StoreErr %v, want %v", r.StoreErr, tier.ErrFull)
	}
	if b.disk.puts != 1 {
		t.Errorf("the full disk was written to %d times, want once", b.disk.puts)
	}
	if _, err := Run(t.Context(), b.orderDisk(m)); !errors.Is(err, tier.ErrFull) {
		t.Errorf("onto the disk: %v, want %v", err, tier.ErrFull)
	}
	if n := b.flights.Len(); n > 0 {
		t.Errorf("%d flights are left", n)
	}
}

// What is in RAM only is kept on the disk by a load that is to keep it.
func TestKeptOnDiskFromRAM(t *testing.T) {
	b := newBench(t)
	m := b.model(t, 5*mib)
	o := b.order(m)
	o.Disk = nil
	mustRun(t, o)
	if len(b.disk.chunks) != 0 {
		t.Fatal("chunks were kept on the disk unasked")
	}
	o.Disk = b.disk
	if r := mustRun(t, o); r.Sources != (openapi.Sources{RAM: 5 * mib}) {
		t.Errorf("result %+v", r)
	}
	b.holds(t, b.disk, m)
	b.registry.once(t, m)
}

func TestRAMFull(t *testing.T) {
	b := newBench(t)
	m := b.model(t, 257*mib)
	if _, err := Run(t.Context(), b.order(m)); !errors.Is(err, tier.ErrFull) {
		t.Errorf("error %v, want %v", err, tier.ErrFull)
	}
	if b.registry.calls > 0 {
		t.Error("the registry was asked")
	}
	b.empty(t)
}

func TestRefused(t *testing.T) {
	b := newBench(t)
	m := b.model(t, 2*mib)
	o := b.order(m)
	refused := 0
	o.Refused = func() { refused++ }
	b.registry.corrupt = 1
	mustRun(t, o)
	if refused != 1 {
		t.Errorf("told of %d chunks that were not right, want 1", refused)
	}
	b.holds(t, o.RAM, m)

	m = b.model(t, mib)
	o.Manifest, o.Plan = m, plan.Make(m, nil, nil)
	b.registry.corrupt = 2
	if _, err := Run(t.Context(), o); !errors.Is(err, client.ErrCorrupt) {
		t.Errorf("error %v, want %v", err, client.ErrCorrupt)
	}
	if refused != 3 {
		t.Errorf("told of %d chunks that were not right, want 3", refused)
	}
	if o.RAM.Has(m.Chunks[0].Digest) || b.disk.Has(m.Chunks[0].Digest) {
		t.Error("a tier has a chunk that never came")
	}
}

// TestDeltas has chunks come as deltas, of which each first had a wrong base: that is
// nobody's fault, and what comes is whole for the tiers.
func TestDeltas(t *testing.T) {
	b := newBench(t)
	m := b.model(t, 5*mib, 4*mib)
	o := b.order(m)
	refused := 0
	o.Refused = func() { refused++ }
	b.registry.delta, b.registry.corrupt = func(uint32) bool { return true }, 1
	r := mustRun(t, o)
	b.holds(t, o.RAM, m)
	b.holds(t, b.disk, m)
	if n := len(m.Chunks); r.Sources != (openapi.Sources{Delta: int64(m.ChunkBytes())}) || r.ChunksNew != n || r.Received.DeltaChunks != n ||
		r.Received.BasesWrong != n || refused != 0 {
		t.Errorf("result %+v of %d chunks, and the registry was blamed for %d", r, n, refused)
	}
	for d, enc := range b.disk.encoded {
		if enc {
			t.Errorf("chunk %s came to the disk with an encoded form that is none", d.Short())
		}
	}
}

// deltaDisk is a target that stages deltas.
type deltaDisk struct {
	*fakeDisk
	deltas map[chunker.Digest][]byte
}

func (d deltaDisk) PutDelta(ctx context.Context, ref chunker.Ref, plain, delta []byte) error {
	d.mu.Lock()
	d.deltas[ref.Digest] = slices.Clone(delta)
	d.mu.Unlock()
	return d.Put(ctx, ref, plain, nil)
}

// TestDeltasStaged has a target that wants deltas as they come.
func TestDeltasStaged(t *testing.T) {
	b := newBench(t)
	m := b.model(t, 5*mib, 4*mib)
	o := b.order(m)
	to := deltaDisk{b.disk, map[chunker.Digest][]byte{}}
	o.RAM, o.Disk = nil, to
	b.registry.delta = func(c uint32) bool { return c > 0 }
	r := mustRun(t, o)
	b.holds(t, b.disk, m)
	whole := int64(m.Chunks[0].Size)
	if n := len(m.Chunks); r.Sources != (openapi.Sources{Delta: int64(m.ChunkBytes()) - whole, Registry: whole}) || r.ChunksNew != n || len(to.deltas) != n-1 {
		t.Errorf("result %+v of %d chunks, and %d deltas", r, n, len(to.deltas))
	}
	for d, delta := range to.deltas {
		if delta[0] != 'd' {
			t.Errorf("chunk %s: that is no delta", d.Short())
		}
	}
	b.disk.full = tier.ErrFull
	o.Manifest = b.model(t, 2*mib, 3*mib)
	o.Plan = plan.Make(o.Manifest, nil, nil)
	clear(b.disk.chunks)
	if _, err := Run(t.Context(), o); !errors.Is(err, tier.ErrFull) {
		t.Errorf("into a target that is full: %v", err)
	}
}

// idler is a Fetcher that does nothing.
type idler struct{}

func (idler) Fetch(context.Context, name.Repo, chunker.Digest, *manifest.Manifest, <-chan uint32, client.Sink, client.FetchOptions) (client.Received, error) {
	return client.Received{}, nil
}

func TestFetcherThatEndsEarly(t *testing.T) {
	b := newBench(t)
	o := b.order(b.model(t, 5*mib))
	o.Fetcher = idler{}
	if _, err := Run(t.Context(), o); !errors.Is(err, errEarly) {
		t.Errorf("error %v, want %v", err, errEarly)
	}
	b.empty(t)
}
