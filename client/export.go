package client

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/ingot-ml/ingot/client/internal/archive"
	"github.com/ingot-ml/ingot/registry/name"
)

// exportAhead bounds the plain bytes of chunks that are asked for and not written yet.
const exportAhead = 64 << 20

// Begun is an archive that an interrupted Export has begun to write.
type Begun interface {
	io.Reader
	// Cut drops what lies behind an offset. What is written then goes there.
	Cut(offset int64) error
}

// ExportOptions say how versions come into an archive.
type ExportOptions struct {
	// Begun, unless nil, is gone on with as far as it is what would be written.
	Begun Begun
	// Progress may be nil.
	Progress Progress
}

// Export writes versions to an archive, in that order. Each chunk that they have is
// verified and written once, as the registry has encoded it.
//
// Errors are *openapi.Error, ErrCorrupt, ErrUnreachable, or those of to and ctx.
func (r *Registry) Export(ctx context.Context, refs []name.Ref, to io.Writer, o ExportOptions) ([]Receipt, error) {
	pinned := make([]name.Ref, len(refs))
	for i, ref := range refs { // a misspelt one is told before anything is written
		digest, err := r.Resolve(ctx, ref)
		if err != nil {
			return nil, fmt.Errorf("export %s: %w", ref, err)
		}
		pinned[i] = name.Ref{Repo: ref.Repo, Digest: digest}
	}
	var begun io.Reader
	var cut func(int64) error
	if o.Begun != nil {
		begun, cut = o.Begun, o.Begun.Cut
	}
	w, err := archive.NewWriter(to, len(refs), begun, cut)
	if err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	done := make([]Receipt, len(refs))
	for i, ref := range refs {
		if done[i], err = r.export(ctx, ref, pinned[i], w, heard(o.Progress)); err != nil {
			return nil, fmt.Errorf("export %s: %w", ref, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("export: %w", err)
	}
	return done, nil
}

// export writes the version pinned, which is called ref.
func (r *Registry) export(ctx context.Context, ref, pinned name.Ref, w *archive.Writer, progress Progress) (Receipt, error) {
	began := time.Now()
	m, digest, err := r.Manifest(ctx, pinned)
	if err != nil {
		return Receipt{}, err
	}
	doc, err := m.Encode()
	if err != nil {
		return Receipt{}, err
	}
	v := &archive.Version{Repo: ref.Repo, Tag: ref.Tag, Digest: digest, Document: doc, Manifest: m}
	wanted, err := w.Begin(v)
	if err != nil {
		return Receipt{}, err
	}
	received, err := r.exportChunks(ctx, v, wanted, w, progress)
	return Receipt{
		Ref: ref.String(), Digest: digest.String(), BytesTotal: int64(m.Size()), BytesReceived: received,
		ChunksTotal: len(m.Chunks), ChunksNew: len(wanted), Files: len(m.Files), Seconds: time.Since(began).Seconds(),
	}, err
}

// exportChunks fetches the wanted chunks, side by side, and writes them in their order.
func (r *Registry) exportChunks(ctx context.Context, v *archive.Version, wanted []uint32, w *archive.Writer, progress Progress) (received int64, err error) {
	for _, c := range wanted {
		progress.Total(int64(v.Manifest.Chunks[c].Size))
	}
	o := &inOrder{wanted: wanted, held: map[uint32][]byte{}}
	ahead := semaphore.NewWeighted(exportAhead)
	o.write = func(c uint32, enc []byte) error {
		size := int64(v.Manifest.Chunks[c].Size)
		defer ahead.Release(size)
		progress.Add(size)
		return w.Chunk(enc)
	}
	g, ctx := errgroup.WithContext(ctx)
	chunks := make(chan uint32)
	g.Go(func() error {
		defer close(chunks)
		for _, c := range wanted {
			if err := ahead.Acquire(ctx, int64(v.Manifest.Chunks[c].Size)); err != nil {
				return err
			}
			if err := send(ctx, chunks, c); err != nil {
				return err
			}
		}
		return nil
	})
	g.Go(func() error {
		f := &fetch{Registry: r, repo: v.Repo, digest: v.Digest, m: v.Manifest, to: o, whole: true}
		err := f.run(ctx, f.arriving(chunks))
		received = f.received.Load()
		return err
	})
	return received, g.Wait()
}

// inOrder is a Sink that gives on encoded chunks in the order in which they are wanted.
type inOrder struct {
	write func(c uint32, enc []byte) error

	mu     sync.Mutex // protects what follows, and writing
	wanted []uint32   // that were not written yet
	held   map[uint32][]byte
}

// Room implements Sink: the bytes are only compared with their name.
func (o *inOrder) Room(context.Context, uint32) ([]byte, error) { return nil, nil }

// Take implements Sink.
func (o *inOrder) Take(_ context.Context, c uint32, _, enc []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if c != o.wanted[0] {
		o.held[c] = bytes.Clone(enc)
		return nil
	}
	for {
		o.wanted = o.wanted[1:]
		if err := o.write(c, enc); err != nil || len(o.wanted) == 0 {
			return err
		}
		c = o.wanted[0]
		next, ok := o.held[c]
		if !ok {
			return nil
		}
		delete(o.held, c)
		enc = next
	}
}
