package load

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/nodecache/internal/plan"
	"github.com/ingot-ml/ingot/nodecache/internal/ram"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// fakeRegistry is a Fetcher that has chunks in memory. Their encoded form is a
// byte more than the plain one.
type fakeRegistry struct {
	parallel int // 0 is 4
	// before is called for every chunk before it is sent; its error ends the fetch.
	before func(ctx context.Context, c uint32) error
	// corrupt is how often each chunk is sent wrong first.
	corrupt int
	// delta says of a chunk that it comes as a delta, of which byte 'd' is sent before
	// it; a chunk that is sent wrong first had a wrong base then.
	delta func(c uint32) bool

	mu     sync.Mutex
	chunks map[chunker.Digest][]byte
	taken  map[chunker.Digest]int // how often a sink took a chunk
	calls  int
	deltas int
	wrong  int
}

func newFakeRegistry() *fakeRegistry {
	return &fakeRegistry{chunks: map[chunker.Digest][]byte{}, taken: map[chunker.Digest]int{}}
}

func (r *fakeRegistry) Fetch(ctx context.Context, _ name.Repo, _ chunker.Digest, m *manifest.Manifest, chunks <-chan uint32, to client.Sink, _ client.FetchOptions) (client.Received, error) {
	r.mu.Lock()
	r.calls++
	r.mu.Unlock()
	var received atomic.Int64
	g, ctx := errgroup.WithContext(ctx)
	for range cmp.Or(r.parallel, 4) {
		g.Go(func() error {
			for c := range each(ctx, chunks) {
				n, err := r.send(ctx, m, c, to)
				received.Add(n)
				if err != nil {
					return err
				}
			}
			return ctx.Err()
		})
	}
	err := g.Wait()
	r.mu.Lock()
	defer r.mu.Unlock()
	return client.Received{Bytes: received.Load(), DeltaChunks: r.deltas, BasesWrong: r.wrong}, err
}

// send sends one chunk.
func (r *fakeRegistry) send(ctx context.Context, m *manifest.Manifest, c uint32, to client.Sink) (n int64, err error) {
	if r.before != nil {
		if err := r.before(ctx, c); err != nil {
			return 0, err
		}
	}
	ref := m.Chunks[c]
	r.mu.Lock()
	bytes := r.chunks[ref.Digest]
	r.mu.Unlock()
	for try := range 2 {
		room, err := to.Room(ctx, c)
		if err != nil {
			return n, err
		}
		n += int64(ref.Size) + 1
		if try >= r.corrupt {
			plain := append(room[:0], bytes...)
			delta := r.delta != nil && r.delta(c)
			if delta {
				err = to.(client.DeltaSink).TakeDelta(ctx, c, plain, append([]byte{'d'}, bytes...))
			} else {
				err = to.Take(ctx, c, plain, append([]byte{'e'}, bytes...))
			}
			r.mu.Lock()
			if delta {
				r.deltas++
				r.wrong += r.corrupt
			}
			r.taken[ref.Digest]++
			r.mu.Unlock()
			return n, err
		}
		copy(room[:cap(room)], "wrong")
	}
	return n, fmt.Errorf("chunk %s: %w", ref.Digest.Short(), client.ErrCorrupt)
}

// once fails the test unless each chunk of the versions was taken once.
func (r *fakeRegistry) once(t *testing.T, versions ...*manifest.Manifest) {
	t.Helper()
	want := map[chunker.Digest]int{}
	for _, m := range versions {
		for _, c := range m.Chunks {
			want[c.Digest] = 1
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if !maps.Equal(r.taken, want) {
		t.Errorf("the registry sent %d chunks, %v; want %d, each once", len(r.taken), slices.Sorted(maps.Values(r.taken)), len(want))
	}
}

// fakeDisk is a tier.Store in memory.
type fakeDisk struct {
	mu      sync.Mutex
	chunks  map[chunker.Digest][]byte
	encoded map[chunker.Digest]bool // came with an encoded form
	broken  map[chunker.Digest]error
	full    error // of every Put
	puts    int
	reads   int
}

func newFakeDisk() *fakeDisk {
	return &fakeDisk{
		chunks: map[chunker.Digest][]byte{}, encoded: map[chunker.Digest]bool{}, broken: map[chunker.Digest]error{},
	}
}

func (d *fakeDisk) Has(dg chunker.Digest) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	_, ok := d.chunks[dg]
	return ok
}

func (d *fakeDisk) Read(_ context.Context, ref chunker.Ref, dst []byte) ([]byte, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.reads++
	if err := d.broken[ref.Digest]; err != nil {
		if err == tier.ErrDamaged {
			delete(d.chunks, ref.Digest)
			delete(d.broken, ref.Digest)
		}
		return nil, fmt.Errorf("chunk %s: %w", ref.Digest.Short(), err)
	}
	plain, ok := d.chunks[ref.Digest]
	if !ok {
		return nil, fmt.Errorf("chunk %s: %w", ref.Digest.Short(), tier.ErrAbsent)
	}
	return append(dst[:0], plain...), nil
}

func (d *fakeDisk) Put(_ context.Context, ref chunker.Ref, plain, enc []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.puts++
	if d.full != nil {
		return d.full
	}
	if _, ok := d.chunks[ref.Digest]; !ok {
		d.chunks[ref.Digest], d.encoded[ref.Digest] = slices.Clone(plain), enc != nil
	}
	return nil
}

func (d *fakeDisk) Drop(dg chunker.Digest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.chunks, dg)
}

func (d *fakeDisk) Cost(size uint32) int64 { return int64(size) }
func (d *fakeDisk) Used() int64            { return int64(len(d.chunks)) }

// bench is what the loads of a test share.
type bench struct {
	registry *fakeRegistry
	disk     *fakeDisk
	flights  *Flights
	ram      *ram.Tier
}

func newBench(t *testing.T) *bench {
	t.Helper()
	r, err := ram.Open(ram.Config{Budget: 256 << 20, Segment: 16 << 20})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return &bench{registry: newFakeRegistry(), disk: newFakeDisk(), flights: NewFlights(), ram: r}
}

// model makes a version of one file whose tensors have so many plain bytes each,
// and gives its chunks to the registry. What is the same of two models, counted
// from the first tensor, has the same chunks.
func (b *bench) model(t *testing.T, sizes ...int) *manifest.Manifest {
	t.Helper()
	var refs []chunker.Ref
	f := manifest.File{Path: "model.safetensors", Format: "safetensors"}
	for i, size := range sizes {
		f.Tensors = append(f.Tensors, manifest.Tensor{
			Name: fmt.Sprintf("t%d", i), DType: "U8", Shape: []uint64{uint64(size)}, Offset: f.Size, Length: uint64(size),
		})
		for at := 0; at < size; at += chunker.MaxSize {
			refs = append(refs, b.chunk(uint64(i)<<32|uint64(at), min(chunker.MaxSize, size-at)))
		}
		f.Size += uint64(size)
	}
	builder := manifest.NewBuilder()
	builder.Add(f, refs)
	m, err := builder.Build(chunker.Digest{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// chunk makes a chunk of random bytes, and gives it to the registry.
func (b *bench) chunk(seed uint64, size int) chunker.Ref {
	plain := make([]byte, size)
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24), byte(seed >> 32), byte(seed >> 40)})
	_, _ = rng.Read(plain) // never fails
	ref := chunker.Ref{Digest: chunker.Sum(plain), Size: uint32(size)}
	b.registry.mu.Lock()
	b.registry.chunks[ref.Digest] = plain
	b.registry.mu.Unlock()
	return ref
}

// order asks for m in the RAM domain "acme", kept on the disk too.
func (b *bench) order(m *manifest.Manifest) Order {
	return Order{
		Manifest: m, Plan: plan.Make(m, nil, nil), RAM: b.ram.Domain("acme"), Disk: b.disk, Source: b.disk,
		Fetcher: b.registry, Flights: b.flights,
	}
}

// orderDisk asks for m on the disk.
func (b *bench) orderDisk(m *manifest.Manifest) Order {
	o := b.order(m)
	o.RAM = nil
	return o
}

// preload puts chunks of m on the disk.
func (b *bench) preload(m *manifest.Manifest, chunks ...uint32) {
	for _, c := range chunks {
		b.disk.chunks[m.Chunks[c].Digest] = b.registry.chunks[m.Chunks[c].Digest]
	}
}

// holds fails the test unless a tier has all chunks of m, with the right bytes.
func (b *bench) holds(t *testing.T, s tier.Store, m *manifest.Manifest) {
	t.Helper()
	for c, ref := range m.Chunks {
		got, err := s.Read(t.Context(), ref, make([]byte, 0, ref.Size))
		if err != nil {
			t.Errorf("chunk %d: %v", c, err)
		} else if chunker.Sum(got) != ref.Digest {
			t.Errorf("chunk %d has the wrong bytes", c)
		}
	}
}

// empty fails the test unless loads have given everything back.
func (b *bench) empty(t *testing.T) {
	t.Helper()
	if n := b.flights.Len(); n > 0 {
		t.Errorf("%d chunks are still being fetched", n)
	}
	if used := b.ram.Used(); used > 0 {
		t.Errorf("%d bytes of the RAM are still taken", used)
	}
}
