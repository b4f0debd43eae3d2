package client

import (
	"context"
	"errors"
	"fmt"
	"io"
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

// fetch gets chunks of one version, verified.
type fetch struct {
	*Registry
	repo   name.Repo
	digest chunker.Digest
	m      *manifest.Manifest
	cache  *Cache // nil for none
	to     Sink   // enc is nil for a chunk of the cache
	// bad gets what is wrong with a chunk that came twice and was never right; nil
	// ends the fetch with it.
	bad func(c uint32, err error) error

	received atomic.Int64 // encoded bytes
}

// run gets the chunks that feed makes jobs of.
func (f *fetch) run(ctx context.Context, feed func(ctx context.Context, jobs chan<- []uint32) error) error {
	g, ctx := errgroup.WithContext(ctx)
	jobs := make(chan []uint32)
	stage(g, 1, func() error { return feed(ctx, jobs) }, func() { close(jobs) })
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

// fetcher does jobs, one after another. Its buffers are two chunks, one encoded,
// and are made when they are first needed.
type fetcher struct {
	*fetch
	enc, plain []byte
}

// room returns memory of no bytes for chunk c, of its size in capacity and no
// more, so that a chunk that lies about its size does not reach its neighbours.
func (w *fetcher) room(ctx context.Context, c uint32) ([]byte, error) {
	size := int(w.m.Chunks[c].Size)
	b, err := w.to.Room(ctx, c)
	if err != nil {
		return nil, err
	}
	if b == nil {
		b = w.own()
	}
	return b[:0:size], nil
}

// own returns the fetcher's buffer for plain bytes.
func (w *fetcher) own() []byte {
	if w.plain == nil {
		w.plain = make([]byte, 0, chunker.MaxSize)
	}
	return w.plain
}

// encoded returns the fetcher's buffer for an encoded chunk.
func (w *fetcher) encoded() []byte {
	if w.enc == nil {
		w.enc = make([]byte, 0, maxEncoded)
	}
	return w.enc
}

// job gets chunks from the cache, and the others from the registry.
func (w *fetcher) job(ctx context.Context, chunks []uint32) error {
	var rest []uint32
	for _, c := range chunks {
		found, err := w.cached(ctx, c)
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
func (w *fetcher) cached(ctx context.Context, c uint32) (bool, error) {
	if w.cache == nil {
		return false, nil
	}
	want := w.m.Chunks[c]
	plain, ok := w.cache.get(want.Digest, w.own())
	if !ok {
		return false, nil
	}
	if len(plain) != int(want.Size) || chunker.Sum(plain) != want.Digest {
		w.cache.remove(want.Digest)
		return false, nil
	}
	return true, w.to.Take(ctx, c, plain, nil)
}

// check decodes an encoded chunk into room and compares its name. Whatever is
// wrong with the bytes is ErrCorrupt, or codec.ErrUnsupported.
func (w *fetcher) check(c uint32, room, enc []byte) ([]byte, error) {
	want := w.m.Chunks[c]
	size, err := codec.PlainLen(enc)
	if err == nil && size != int(want.Size) {
		return nil, fmt.Errorf("%d plain bytes, want %d: %w", size, want.Size, ErrCorrupt)
	}
	plain, err := codec.Decode(room, enc)
	switch {
	case errors.Is(err, codec.ErrUnsupported):
		return nil, fmt.Errorf("%w (a newer ingot may know it)", err)
	case err != nil:
		return nil, fmt.Errorf("%w: %w", err, ErrCorrupt)
	}
	if got := chunker.Sum(plain); got != want.Digest {
		return nil, fmt.Errorf("its bytes are those of %s: %w", got.Short(), ErrCorrupt)
	}
	return plain, nil
}

// accept takes a chunk that came from the registry, if it is sound, and caches
// it.
func (w *fetcher) accept(ctx context.Context, c uint32, enc []byte) (fault, err error) {
	w.received.Add(int64(len(enc)))
	room, err := w.room(ctx, c)
	if err != nil {
		return nil, err
	}
	plain, fault := w.check(c, room, enc)
	if fault != nil {
		return fault, nil
	}
	if w.cache != nil {
		w.cache.put(ctx, w.m.Chunks[c].Digest, plain)
	}
	return nil, w.to.Take(ctx, c, plain, enc)
}

// single gets one chunk, in so many tries: a fault on the way may be gone the next
// time, one in the store is not.
func (w *fetcher) single(ctx context.Context, c uint32, tries int) error {
	for ; ; tries-- {
		// What came damaged from a store directly may come sound by the registry.
		fault, err := w.try(ctx, c, tries > 1)
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

// try gets one chunk once, with direct perhaps from the registry's store. fault is
// what is wrong with the bytes.
func (w *fetcher) try(ctx context.Context, c uint32, direct bool) (fault, err error) {
	q := wire.Request{
		Method: http.MethodGet, Accept: openapi.MediaChunk, Direct: direct,
		Path: below(w.repo, "versions", w.digest.String(), "chunks", strconv.FormatUint(uint64(c), 10)),
	}
	most := int64(codec.MaxEncoded(int(w.m.Chunks[c].Size)))
	err = w.wire.Call(ctx, q, func(a wire.Answer) error {
		if a.Length < 1 || a.Length > most {
			fault = fmt.Errorf("%d encoded bytes, want 1 to %d: %w", a.Length, most, ErrCorrupt)
			return nil
		}
		enc := w.encoded()[:a.Length]
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
			d, enc, err := frames.Next(w.encoded())
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
