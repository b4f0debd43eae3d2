package client

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/format"
	"github.com/ingot-ml/ingot/client/internal/source"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// pass reads files once and gets their chunks into the registry. Its stages are
// joined by channels, and what flows through them holds buffers:
//
//	read -> hash -> ask -> encode -> gather -> upload
//
// Each stage needs only buffers that a later one gives back, and the last needs
// none, so it never comes to a halt however few there are.
type pass struct {
	sender
	fresh    bool // nothing was uploaded before
	files    []*pushed
	external external

	plain, encoded *pool

	choosing sync.Once
	related  *related // what deltas are made against; nil for none

	mu   sync.Mutex // protects seen
	seen map[chunker.Digest]struct{}
}

// pushed is a file and what a pass has learned of it.
type pushed struct {
	*source.File
	format *format.File
	cuts   []chunker.Cut

	pairing sync.Once
	paired  *manifest.KinFile

	mu   sync.Mutex // protects refs
	refs []chunker.Ref
}

// piece is a chunk on its way.
type piece struct {
	file   *pushed
	reader *source.Reader // held until the bytes are read
	index  int            // of cut in file
	cut    chunker.Cut
	digest chunker.Digest // known before it is read when it is sent again
	plain  []byte
}

func newPass(p *push, id string, fresh bool) *pass {
	pass := &pass{
		sender: newSender(p, id), fresh: fresh, seen: map[chunker.Digest]struct{}{},
		plain:   newPool(plainBuffers, chunker.MaxSize),
		encoded: newPool(encodedBuffers, maxEncoded),
	}
	var total int64
	for _, f := range p.files {
		pass.files = append(pass.files, &pushed{File: f})
		total += f.Size
	}
	p.progress.Total(total)
	return pass
}

// all gets every chunk of the files into the registry.
func (p *pass) all(ctx context.Context) error {
	return p.run(ctx, true, func(ctx context.Context, out chan<- *piece) error {
		var err error
		if p.external, err = askModels(p.push.files); err != nil {
			return err
		}
		for _, f := range p.files {
			if err := p.cut(ctx, f, out); err != nil {
				return err
			}
		}
		return nil
	})
}

// again gets the chunks of m with those indexes into the registry, which says
// that it lacks them.
func (p *pass) again(ctx context.Context, m *manifest.Manifest, indexes []uint32) error {
	wanted := make(map[uint32]bool, len(indexes))
	for _, i := range indexes {
		wanted[i] = true
	}
	return p.run(ctx, false, func(ctx context.Context, out chan<- *piece) error {
		for i := range m.Files { // in the order of p.files, as both are sorted
			if err := p.pick(ctx, m, i, wanted, out); err != nil {
				return err
			}
		}
		return nil
	})
}

// whole gets the chunks of m into the registry that it did not take as deltas.
func (p *pass) whole(ctx context.Context, m *manifest.Manifest) error {
	refused := p.refused.of(m)
	if len(refused) == 0 {
		return nil
	}
	return p.again(ctx, m, refused)
}

// manifest describes the files.
func (p *pass) manifest(parent chunker.Digest, annotations map[string]string) (*manifest.Manifest, []byte, error) {
	b := manifest.NewBuilder()
	for _, f := range p.files {
		b.Add(manifest.File{Path: f.Path, Size: uint64(f.Size), Format: f.format.Format, Tensors: f.tensors()}, f.refs)
	}
	m, err := b.Build(parent, annotations)
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", err, ErrInput)
	}
	doc, err := m.Encode()
	return m, doc, err
}

// run sends what read yields through the stages. With ask, chunks that were met
// before or that the registry has are left out, and others may go as deltas; without, all
// of them go, whole.
func (p *pass) run(ctx context.Context, ask bool, read func(context.Context, chan<- *piece) error) error {
	g, ctx := errgroup.WithContext(ctx)
	procs := runtime.GOMAXPROCS(0)
	cuts := make(chan *piece) // without places: what is in it holds a file open
	hashed := make(chan *piece, plainBuffers)
	lacking := hashed
	encoded, uploads := make(chan upload), make(chan upload)

	stage(g, 1, func() error { return read(ctx, cuts) }, func() { close(cuts) })
	stage(g, procs, func() error { return p.hash(ctx, ask, cuts, hashed) }, func() { close(hashed) })
	if ask {
		lacking = make(chan *piece)
		stage(g, 1, func() error { return p.ask(ctx, hashed, lacking) }, func() { close(lacking) })
	}
	stage(g, procs, func() error { return p.encode(ctx, !ask, lacking, encoded) }, func() { close(encoded) })
	stage(g, 1, func() error { return p.gather(ctx, encoded, uploads) }, func() { close(uploads) })
	stage(g, p.parallel, func() error { return p.upload(ctx, uploads) }, func() {})
	return g.Wait()
}

// stage runs work n times at once, and done when all have returned.
func stage(g *errgroup.Group, n int, work func() error, done func()) {
	var left atomic.Int64
	left.Store(int64(n))
	for range n {
		g.Go(func() error {
			defer func() {
				if left.Add(-1) == 0 {
					done()
				}
			}()
			return work()
		})
	}
}

// send gives v to the next stage, unless ctx ends before that wants it.
func send[T any](ctx context.Context, out chan<- T, v T) error {
	select {
	case out <- v:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
