package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"net/http"
	"slices"
	"strconv"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/client/internal/wire"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// Small chunks are fetched in batches, which are bounded by the plain bytes and
// by what the request's line can hold.
const (
	smallChunk  = 256 << 10
	mostInBatch = 1024
)

// fetch gets chunks of one version, verified.
type fetch struct {
	*Registry
	repo   name.Repo
	digest chunker.Digest
	m      *manifest.Manifest
	cache  *Cache // nil for none
	// take gets each chunk, from several goroutines. It may not keep plain.
	take func(c uint32, plain []byte, cached bool) error
	// bad gets what is wrong with a chunk that came twice and was never right; nil
	// ends the fetch with it.
	bad func(c uint32, err error) error

	received atomic.Int64 // encoded bytes
}

// run gets those chunks.
func (f *fetch) run(ctx context.Context, chunks iter.Seq[uint32]) error {
	g, ctx := errgroup.WithContext(ctx)
	jobs := make(chan []uint32)
	stage(g, 1, func() error { return f.split(ctx, chunks, jobs) }, func() { close(jobs) })
	stage(g, f.parallel, func() error {
		w := fetcher{fetch: f}
		for job := range jobs {
			if err := w.job(ctx, job); err != nil {
				return err
			}
		}
		return nil
	}, func() {})
	return g.Wait()
}

// split makes a job of each large chunk, and of as many small ones as one
// request holds.
func (f *fetch) split(ctx context.Context, chunks iter.Seq[uint32], jobs chan<- []uint32) error {
	var batch []uint32
	size := 0
	for c := range chunks {
		n := int(f.m.Chunks[c].Size)
		if n >= smallChunk {
			if err := send(ctx, jobs, []uint32{c}); err != nil {
				return err
			}
			continue
		}
		if len(batch) == mostInBatch || size+n > batchSize {
			if err := send(ctx, jobs, batch); err != nil {
				return err
			}
			batch, size = nil, 0
		}
		batch = append(batch, c)
		size += n
	}
	if len(batch) == 0 {
		return nil
	}
	return send(ctx, jobs, batch)
}

// fetcher does jobs, one after another. Its buffers are two chunks, one encoded.
type fetcher struct {
	*fetch
	enc, plain []byte
}

// job gets chunks from the cache, and the others from the registry.
func (w *fetcher) job(ctx context.Context, chunks []uint32) error {
	if w.enc == nil {
		w.enc, w.plain = make([]byte, 0, maxEncoded), make([]byte, 0, chunker.MaxSize)
	}
	var rest []uint32
	for _, c := range chunks {
		found, err := w.cached(c)
		if err != nil {
			return err
		}
		if !found {
			rest = append(rest, c)
		}
	}
	switch len(rest) {
	case 0:
		return ctx.Err()
	case 1:
		return w.single(ctx, rest[0], 2)
	}
	return w.batch(ctx, rest)
}

// cached takes a chunk from the cache, if it is there and sound.
func (w *fetcher) cached(c uint32) (bool, error) {
	if w.cache == nil {
		return false, nil
	}
	want := w.m.Chunks[c]
	plain, ok := w.cache.get(want.Digest, w.plain[:0])
	if !ok {
		return false, nil
	}
	if len(plain) != int(want.Size) || chunker.Sum(plain) != want.Digest {
		w.cache.remove(want.Digest)
		return false, nil
	}
	return true, w.take(c, plain, true)
}

// check decodes an encoded chunk into w.plain and compares its name. Whatever is
// wrong with the bytes is ErrCorrupt, or codec.ErrUnsupported.
func (w *fetcher) check(c uint32, enc []byte) error {
	want := w.m.Chunks[c]
	plain, err := codec.Decode(w.plain[:0], enc)
	switch {
	case errors.Is(err, codec.ErrUnsupported):
		return fmt.Errorf("%w (a newer ingot may know it)", err)
	case err != nil:
		return fmt.Errorf("%w: %w", err, ErrCorrupt)
	case len(plain) != int(want.Size):
		return fmt.Errorf("%d plain bytes, want %d: %w", len(plain), want.Size, ErrCorrupt)
	}
	if got := chunker.Sum(plain); got != want.Digest {
		return fmt.Errorf("its bytes are those of %s: %w", got.Short(), ErrCorrupt)
	}
	w.plain = plain
	return nil
}

// accept takes a chunk that came from the registry, if it is sound, and caches
// it.
func (w *fetcher) accept(ctx context.Context, c uint32, enc []byte) (fault, err error) {
	w.received.Add(int64(len(enc)))
	if fault := w.check(c, enc); fault != nil {
		return fault, nil
	}
	if w.cache != nil {
		w.cache.put(ctx, w.m.Chunks[c].Digest, w.plain)
	}
	return nil, w.take(c, w.plain, false)
}

// single gets one chunk, in so many tries: a fault on the way may be gone the next
// time, one in the store is not.
func (w *fetcher) single(ctx context.Context, c uint32, tries int) error {
	for ; ; tries-- {
		fault, err := w.try(ctx, c)
		if err != nil {
			return err
		}
		if fault == nil {
			return nil
		}
		if tries == 1 {
			return w.refuse(c, fault)
		}
	}
}

// refuse gives up on a chunk.
func (w *fetcher) refuse(c uint32, fault error) error {
	if w.bad != nil {
		return w.bad(c, fault)
	}
	return fmt.Errorf("chunk %s of %s from %s: %w", w.m.Chunks[c].Digest.Short(), firstFile(w.m, c), w.wire.Base(), fault)
}

// try gets one chunk once. fault is what is wrong with the bytes.
func (w *fetcher) try(ctx context.Context, c uint32) (fault, err error) {
	q := wire.Request{
		Method: http.MethodGet, Accept: openapi.MediaChunk,
		Path: below(w.repo, "versions", w.digest.String(), "chunks", strconv.FormatUint(uint64(c), 10)),
	}
	most := int64(codec.MaxEncoded(int(w.m.Chunks[c].Size)))
	err = w.wire.Call(ctx, q, func(a wire.Answer) error {
		if a.Length < 1 || a.Length > most {
			fault = fmt.Errorf("%d encoded bytes, want 1 to %d: %w", a.Length, most, ErrCorrupt)
			return nil
		}
		enc := w.enc[:a.Length]
		if n, err := io.ReadFull(a.Body, enc); err != nil {
			w.received.Add(int64(n))
			return err
		}
		fault, err = w.accept(ctx, c, enc)
		return err
	})
	if w.lost(err) {
		return err, nil
	}
	return fault, err
}

// lost reports whether err means that the registry cannot read what it has, and
// that this is to be told like other damage.
func (w *fetcher) lost(err error) bool {
	return w.bad != nil && errors.Is(err, &openapi.Error{Code: openapi.CodeInternal})
}

// batch gets small chunks in one request, those that were damaged once more, and
// what a batch that broke off has left in further ones.
func (w *fetcher) batch(ctx context.Context, chunks []uint32) error {
	for len(chunks) > 0 {
		n, damaged, err := w.frames(ctx, chunks)
		if err != nil {
			return err
		}
		if n == 0 { // whatever the answer is, it is no batch
			damaged, n = chunks, len(chunks)
		}
		for _, c := range damaged {
			if err := w.single(ctx, c, 1); err != nil {
				return err
			}
		}
		chunks = chunks[n:]
	}
	return nil
}

// frames takes chunks from one batch until it ends or is not what was asked for.
// It returns how many it is done with, and which of them were damaged.
func (w *fetcher) frames(ctx context.Context, chunks []uint32) (n int, damaged []uint32, err error) {
	q := wire.Request{
		Method: http.MethodGet, Accept: openapi.MediaChunks, Query: query("i", ranges(chunks)),
		Path: below(w.repo, "versions", w.digest.String(), "chunks"),
	}
	err = w.wire.Call(ctx, q, func(a wire.Answer) error {
		frames := openapi.NewFrameReader(a.Body, codec.MaxEncoded(smallChunk))
		for n = 0; n < len(chunks); n++ {
			d, enc, err := frames.Next(w.enc)
			if err != nil && n == 0 {
				return err
			}
			if err != nil || d != w.m.Chunks[chunks[n]].Digest {
				return nil
			}
			fault, err := w.accept(ctx, chunks[n], enc)
			if err != nil {
				return err
			}
			if fault != nil {
				damaged = append(damaged, chunks[n])
			}
		}
		return nil
	})
	if errors.Is(err, openapi.ErrFrame) || errors.Is(err, io.EOF) || w.lost(err) {
		err = nil
	}
	return n, damaged, err
}

// ranges writes indexes as the API wants them: 0-15,20.
func ranges(indexes []uint32) string {
	var b []byte
	for i := 0; i < len(indexes); {
		j := i + 1
		for j < len(indexes) && indexes[j] == indexes[j-1]+1 {
			j++
		}
		if i > 0 {
			b = append(b, ',')
		}
		b = strconv.AppendUint(b, uint64(indexes[i]), 10)
		if j > i+1 {
			b = append(b, '-')
			b = strconv.AppendUint(b, uint64(indexes[j-1]), 10)
		}
		i = j
	}
	return string(b)
}

// firstFile returns the path of the first file that chunk c is in.
func firstFile(m *manifest.Manifest, c uint32) string {
	for i := range m.Files {
		if slices.Contains(m.Files[i].Chunks, c) {
			return m.Files[i].Path
		}
	}
	return ""
}
