package main

import (
	"cmp"
	"context"
	"io"
	"maps"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/client"
)

// inspector cuts files and counts their chunks. It holds the bytes of one batch
// of chunks, and of all others their digests.
type inspector struct {
	encode, list bool
	progress     client.Progress // nil for none

	seen  map[chunker.Digest]struct{}
	types map[chunker.DType]*typeSum
	batch []*sample
	doc   inspection
}

// sample is one chunk of a batch. Its buffers serve one after another.
type sample struct {
	cut            chunker.Cut
	plain, encoded []byte
	digest         chunker.Digest
}

// inspectFiles reads files. The progress may be nil.
func inspectFiles(ctx context.Context, files []*client.LocalFile, f inspectFlags, progress client.Progress) (inspection, error) {
	n := inspector{
		encode: f.encode, list: f.chunks, progress: progress,
		seen:  map[chunker.Digest]struct{}{},
		types: map[chunker.DType]*typeSum{},
		batch: make([]*sample, 0, 2*runtime.GOMAXPROCS(0)),
	}
	for _, file := range files {
		if progress != nil {
			progress.Total(file.Size)
		}
	}
	for _, file := range files {
		if err := n.file(ctx, file); err != nil {
			return n.doc, err
		}
	}
	return n.document(), nil
}

// file inspects one file.
func (n *inspector) file(ctx context.Context, f *client.LocalFile) error {
	n.doc.Files = append(n.doc.Files, inspectedFile{FileView: view(f)})
	n.doc.Size += f.Size
	return f.Read(func(r io.ReaderAt) error {
		for cut, err := range f.Cuts(r) {
			if err != nil {
				return err
			}
			n.add(cut)
			if len(n.batch) == cap(n.batch) {
				if err := n.flush(ctx, r); err != nil {
					return err
				}
			}
		}
		return n.flush(ctx, r)
	})
}

// add puts a cut into the batch, with the buffers of an earlier one.
func (n *inspector) add(cut chunker.Cut) {
	n.batch = n.batch[:len(n.batch)+1]
	last := &n.batch[len(n.batch)-1]
	if *last == nil {
		*last = &sample{plain: make([]byte, 0, chunker.MaxSize)}
	}
	(*last).cut = cut
}

// flush reads the chunks of the batch from r and counts them in their order, so
// that the same files always give the same answer.
func (n *inspector) flush(ctx context.Context, r io.ReaderAt) error {
	err := atOnce(ctx, n.batch, func(s *sample) error {
		s.plain = s.plain[:s.cut.Length]
		if _, err := r.ReadAt(s.plain, s.cut.Offset); err != nil {
			return err
		}
		s.digest = chunker.Sum(s.plain)
		return nil
	})
	if err != nil {
		return err
	}
	var fresh []*sample
	for _, s := range n.batch {
		if n.count(s) {
			fresh = append(fresh, s)
		}
	}
	n.batch = n.batch[:0]
	if !n.encode {
		return nil
	}
	err = atOnce(ctx, fresh, func(s *sample) error {
		s.encoded = codec.Append(s.encoded[:0], s.plain, s.cut.DType)
		return nil
	})
	for _, s := range fresh {
		n.types[s.cut.DType].Encoded += int64(len(s.encoded))
		n.doc.Encoded += int64(len(s.encoded))
	}
	return err
}

// atOnce calls do for every sample, with all processors.
func atOnce(ctx context.Context, samples []*sample, do func(*sample) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(runtime.GOMAXPROCS(0))
	for _, s := range samples {
		g.Go(func() error {
			if err := ctx.Err(); err != nil {
				return err
			}
			return do(s)
		})
	}
	return g.Wait()
}

// count counts one chunk of the last file, and reports whether it is new.
func (n *inspector) count(s *sample) bool {
	file := &n.doc.Files[len(n.doc.Files)-1]
	file.Chunks++
	n.doc.Chunks++
	if n.list {
		file.Cuts = append(file.Cuts, inspectedChunk{s.cut.Offset, s.cut.Length, s.cut.DType.String(), s.digest.String()})
	}
	if n.progress != nil {
		n.progress.Add(int64(s.cut.Length))
	}
	if _, met := n.seen[s.digest]; met {
		return false
	}
	n.seen[s.digest] = struct{}{}
	sum := n.types[s.cut.DType]
	if sum == nil {
		sum = &typeSum{Type: s.cut.DType.String()}
		n.types[s.cut.DType] = sum
	}
	sum.Chunks++
	sum.Bytes += int64(s.cut.Length)
	n.doc.Distinct++
	n.doc.ChunkBytes += int64(s.cut.Length)
	return true
}

// document returns what was found, the types with the most bytes first.
func (n *inspector) document() inspection {
	n.doc.Types = []typeSum{}
	for _, sum := range slices.SortedFunc(maps.Values(n.types), func(a, b *typeSum) int {
		return cmp.Or(cmp.Compare(b.Bytes, a.Bytes), cmp.Compare(a.Type, b.Type))
	}) {
		n.doc.Types = append(n.doc.Types, *sum)
	}
	return n.doc
}
