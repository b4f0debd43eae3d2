package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"sync"
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
	to     Sink
	found  func(c uint32, plain []byte) error // gets a chunk of the cache
	held   []holding
	whole  bool // nothing may come as a delta
	// bad gets what is wrong with a chunk that came twice and was never right; nil
	// ends the fetch with it.
	bad func(c uint32, err error) error

	received, deltas, bases atomic.Int64 // encoded bytes
	deltaChunks, wrong      atomic.Int64
}

// tally returns what has come.
func (f *fetch) tally() Received {
	return Received{
		Bytes: f.received.Load(), DeltaBytes: f.deltas.Load(), BaseBytes: f.bases.Load(),
		DeltaChunks: int(f.deltaChunks.Load()), BasesWrong: int(f.wrong.Load()),
	}
}

// run gets the chunks that feed makes jobs of.
func (f *fetch) run(ctx context.Context, feed func(ctx context.Context, jobs chan<- *job) error) error {
	g, ctx := errgroup.WithContext(ctx)
	jobs := make(chan *job)
	stage(g, 1, func() error { return feed(ctx, jobs) }, func() { close(jobs) })
	stage(g, f.parallel, func() error {
		w := newFetcher(f)
		defer w.close()
		for next := range jobs {
			if err := w.job(ctx, next); err != nil {
				return err
			}
		}
		return nil
	}, func() {})
	return g.Wait()
}

// fetcher does jobs, one after another.
type fetcher struct {
	*fetch
	*buffers
	base basis
}

// buffers are what a fetcher works in: three chunks at most, each made when it is first
// needed.
type buffers struct{ enc, plain, base []byte }

// idleBuffers are those of fetchers that have done their jobs. Whoever wants one chunk
// after another would make them anew each time.
var idleBuffers = sync.Pool{New: func() any { return new(buffers) }}

func newFetcher(f *fetch) fetcher {
	return fetcher{fetch: f, buffers: idleBuffers.Get().(*buffers)}
}

// close ends the use of the fetcher.
func (w *fetcher) close() { idleBuffers.Put(w.buffers) }

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
func (w *fetcher) own() []byte { return made(&w.buffers.plain, chunker.MaxSize) }

// encoded returns the fetcher's buffer for an encoded chunk.
func (w *fetcher) encoded() []byte { return made(&w.buffers.enc, maxEncoded) }

// made returns the buffer of no bytes and size in capacity at b, which it makes once.
func made(b *[]byte, size int) []byte {
	if *b == nil {
		*b = make([]byte, 0, size)
	}
	return *b
}

// job gets chunks from the cache, and the others from the registry.
func (w *fetcher) job(ctx context.Context, j *job) error {
	var rest []uint32
	for _, c := range j.chunks {
		found, err := w.cached(ctx, c)
		if err != nil {
			return err
		}
		if !found {
			rest = append(rest, c)
		}
	}
	switch {
	case len(rest) == 0:
		return ctx.Err()
	case len(rest) == 1 && j.from == 0:
		return w.single(ctx, rest[0], 2)
	}
	return w.batch(ctx, job{rest, j.from})
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
	return true, w.found(c, plain)
}

// single gets one chunk, in so many tries: a fault on the way may be gone the next
// time, one in the store is not.
func (w *fetcher) single(ctx context.Context, c uint32, tries int) error {
	for ; ; tries-- {
		// What came damaged from a store directly, or as a delta, may come sound by the
		// registry, and whole.
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

// try gets one chunk once, with simply as the registry has it: perhaps from its store, or
// as a delta with its bases. fault is what is wrong with the bytes.
func (w *fetcher) try(ctx context.Context, c uint32, simply bool) (fault, err error) {
	q := wire.Request{
		Method: http.MethodGet, Accept: openapi.MediaChunk, Direct: simply,
		Path: below(w.repo, "versions", w.digest.String(), "chunks", strconv.FormatUint(uint64(c), 10)),
	}
	if simply {
		q.Query = w.asDelta()
	}
	most := int64(codec.MaxEncoded(int(w.m.Chunks[c].Size)))
	err = w.wire.Call(ctx, q, func(a wire.Answer) error {
		if a.Header.Get("Content-Type") == openapi.MediaChunks {
			fault, err = w.framed(ctx, c, a.Body)
			return err
		}
		if a.Length < 1 || a.Length > most {
			fault = fmt.Errorf("%d encoded bytes, want 1 to %d: %w", a.Length, most, ErrCorrupt)
			return nil
		}
		enc := w.encoded()[:a.Length]
		if n, err := io.ReadFull(a.Body, enc); err != nil {
			w.received.Add(int64(n))
			return err
		}
		fault, err = w.accept(ctx, c, 0, enc)
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
