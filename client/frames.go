package client

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/client/internal/wire"
	"github.com/ingot-ml/ingot/openapi"
)

// maxBases is how many chunks a registry may send before one, to decode it with.
const maxBases = 4

// asDelta returns what asks for chunks as they are stored, deltas among them.
func (f *fetch) asDelta() url.Values {
	q := url.Values{}
	if !f.whole {
		q.Set("delta", openapi.Yes)
	}
	return q
}

// batch gets the chunks of a job in one request, those that were damaged once more, and
// what a batch that broke off has left in further ones.
func (w *fetcher) batch(ctx context.Context, j job) error {
	for len(j.chunks) > 0 {
		n, damaged, err := w.request(ctx, j)
		if err != nil {
			return err
		}
		if n == 0 { // whatever the answer is, it is no batch
			damaged, n = j.chunks, len(j.chunks)
		}
		for _, c := range damaged {
			if err := w.single(ctx, c, 1); err != nil {
				return err
			}
		}
		j.chunks = j.chunks[n:]
	}
	return nil
}

// request asks for the chunks of a job. It returns how many it is done with, and which
// of them were damaged.
func (w *fetcher) request(ctx context.Context, j job) (n int, damaged []uint32, err error) {
	q := wire.Request{
		Method: http.MethodGet, Accept: openapi.MediaChunks, Query: w.asDelta(),
		Path: below(w.repo, "versions", w.digest.String(), "chunks"),
	}
	q.Query.Set("i", ranges(j.chunks))
	if j.from > 0 {
		version, indexes := w.held[j.from-1].have(j.chunks)
		q.Query.Set("have", version)
		q.Query.Set("h", indexes)
	}
	err = w.wire.Call(ctx, q, func(a wire.Answer) (err error) {
		n, damaged, err = w.frames(ctx, j, a.Body)
		return err
	})
	if errors.Is(err, openapi.ErrFrame) || errors.Is(err, io.EOF) || w.lost(err) {
		err = nil
	}
	return n, damaged, err
}

// frames takes chunks from one batch until it ends or is not what was asked for. Before
// each may stand what it is decoded with.
func (w *fetcher) frames(ctx context.Context, j job, body io.Reader) (n int, damaged []uint32, err error) {
	frames := openapi.NewFrameReader(body, maxEncoded)
	defer w.base.forget()
	for bases := 0; n < len(j.chunks); {
		c := j.chunks[n]
		d, enc, err := frames.Next(w.encoded())
		if err != nil && n == 0 && bases == 0 {
			return n, damaged, err
		}
		if err != nil {
			return n, damaged, nil
		}
		if d != w.m.Chunks[c].Digest {
			if bases++; bases > maxBases || w.whole {
				return n, damaged, nil
			}
			w.received.Add(int64(len(enc)))
			w.bases.Add(int64(len(enc)))
			w.sent(ctx, c, j.from, d, enc)
			continue
		}
		fault, err := w.accept(ctx, c, j.from, enc)
		if err != nil {
			return n, damaged, err
		}
		if fault != nil {
			damaged = append(damaged, c)
		}
		n++
		bases = 0
		w.base.forget()
	}
	return n, damaged, nil
}

// framed takes one chunk that comes with what it is decoded with.
func (w *fetcher) framed(ctx context.Context, c uint32, body io.Reader) (fault, err error) {
	n, damaged, err := w.frames(ctx, job{chunks: []uint32{c}}, body)
	if errors.Is(err, openapi.ErrFrame) || errors.Is(err, io.EOF) {
		return err, nil
	}
	if err == nil && (n == 0 || len(damaged) > 0) {
		fault = ErrCorrupt
	}
	return fault, err
}

// basis is a chunk that another is decoded with. It is not verified: what comes out is.
type basis struct {
	name  chunker.Digest // zero for none
	plain []byte
	held  bool // it is the caller's
	mixed bool // it was decoded with something of the caller's
}

func (b *basis) forget() { *b = basis{} }

// sent takes a base that the registry has sent for chunk c. What is wrong with it shows
// when it is needed.
func (w *fetcher) sent(ctx context.Context, c uint32, from int, d chunker.Digest, enc []byte) {
	name, err := codec.Base(enc)
	var plain []byte
	var b basis
	into := made(&w.buffers.base, chunker.MaxSize)
	switch {
	case err != nil:
	case name.IsZero():
		plain, err = codec.Decode(into, enc)
	default:
		if b, err = w.basis(ctx, c, from, name); err == nil {
			plain, err = codec.DecodeDelta(into, enc, b.plain, name)
		}
	}
	w.base.forget()
	if err == nil {
		w.base = basis{name: d, plain: plain, mixed: b.held || b.mixed}
	}
}

// basis returns the chunk called name, which chunk c is to be decoded with.
func (w *fetcher) basis(ctx context.Context, c uint32, from int, name chunker.Digest) (basis, error) {
	if w.base.name == name {
		return w.base, nil
	}
	if from > 0 {
		h := &w.held[from-1]
		if _, ref, ok := h.related(w.m, c); ok && ref.Digest == name {
			plain, err := h.Read(ctx, ref, made(&w.buffers.base, chunker.MaxSize))
			if err != nil {
				w.wrong.Add(1)
			}
			return basis{name: name, plain: plain, held: true}, err
		}
	}
	return basis{}, errNoBase
}
