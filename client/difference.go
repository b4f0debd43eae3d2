package client

import (
	"context"
	"errors"
	"sync"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
)

const (
	// surelyShort is the part of a chunk, one of so many, that a delta takes at most to be
	// sent without a look at what the whole chunk takes.
	surelyShort = 4
	// maxRefusals is how many requests with deltas may be refused in a row before a push
	// makes no more.
	maxRefusals = 3
)

// differ encodes pieces, as deltas where that is shorter.
type differ struct {
	*pass
	base, whole []byte
}

// against returns the version that deltas are made against, nil for none. It is chosen
// when the first chunk is to be sent.
func (p *pass) against(ctx context.Context, first *piece) *related {
	p.choosing.Do(func() {
		like := &manifest.Manifest{Files: []manifest.File{{Path: first.file.Path, Tensors: first.file.tensors()}}}
		p.related = p.choose(ctx, like)
	})
	if p.refused.stopped() {
		return nil
	}
	return p.related
}

// encode appends a piece to buf, and says what it is a delta of, nothing when it is whole.
func (d *differ) encode(ctx context.Context, next *piece, buf []byte) (enc []byte, base string) {
	if r := d.against(ctx, next); r != nil {
		if enc, ok := d.delta(ctx, r, next, buf); ok {
			return enc, r.name()
		}
	}
	return codec.Append(buf, next.plain, next.cut.DType), ""
}

// delta appends a piece to buf as a delta, if it has kin at hand and is shorter so.
func (d *differ) delta(ctx context.Context, r *related, next *piece, buf []byte) (enc []byte, ok bool) {
	c, ok := next.file.kin(r.kin).At(uint64(next.cut.Offset), uint64(next.cut.Length))
	if !ok || r.m.Chunks[c].Digest == next.digest {
		return buf, false
	}
	base, ok := r.read(ctx, c, made(&d.base, chunker.MaxSize))
	if !ok {
		return buf, false
	}
	n := len(next.plain)
	enc, ok = codec.AppendDelta(buf, next.plain, base, r.m.Chunks[c].Digest, next.cut.DType, n-n/8)
	if !ok || len(enc) <= n/surelyShort {
		return enc, ok
	}
	whole := codec.Append(made(&d.whole, maxEncoded), next.plain, next.cut.DType)
	return enc, len(whole) > len(enc)
}

// tensors returns the tensors of f as a manifest has them.
func (f *pushed) tensors() []manifest.Tensor {
	list := make([]manifest.Tensor, 0, len(f.format.Tensors))
	for _, t := range f.format.Tensors {
		list = append(list, manifest.Tensor{
			Name: t.Name, DType: t.DType, Shape: t.Shape, Offset: uint64(t.Offset), Length: uint64(t.Length),
		})
	}
	return list
}

// kin returns f with its tensors paired with those of the base.
func (f *pushed) kin(base *manifest.Kin) *manifest.KinFile {
	f.pairing.Do(func() { f.paired = base.File(f.Path, f.tensors()) })
	return f.paired
}

// refusals are the chunks that the registry did not take as deltas. They go whole.
type refusals struct {
	mu     sync.Mutex // protects what follows
	row    int        // requests refused, one after another
	chunks map[chunker.Digest]bool
}

// refusal reports whether err means that an upload may be taken when it is whole. A
// registry that knows no deltas says that they are bad.
func refusal(u upload, err error) bool {
	return u.base != "" && (errors.Is(err, &openapi.Error{Code: openapi.CodeNoBase}) || errors.Is(err, &openapi.Error{Code: openapi.CodeBadChunk}))
}

// add notes the chunks of an upload, deltas or not: the registry took none, or does not
// say which.
func (r *refusals) add(u upload) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.row++
	if r.chunks == nil {
		r.chunks = map[chunker.Digest]bool{}
	}
	if !u.digest.IsZero() {
		r.chunks[u.digest] = true
		return
	}
	for _, d := range u.inside {
		r.chunks[d] = true
	}
}

// taken notes that deltas were taken.
func (r *refusals) taken() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.row = 0
}

func (r *refusals) stopped() bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.row >= maxRefusals
}

// of returns which chunks of m were refused.
func (r *refusals) of(m *manifest.Manifest) (indexes []uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range m.Chunks {
		if r.chunks[m.Chunks[c].Digest] {
			indexes = append(indexes, uint32(c))
		}
	}
	return indexes
}
