package deltas

import (
	"context"
	"fmt"
	"sync"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/placement"
)

// maxEncoded is the length in bytes of the longest encoded chunk.
var maxEncoded = codec.MaxEncoded(chunker.MaxSize)

// encodedBuffers lends buffers that hold the longest encoded chunk.
var encodedBuffers = sync.Pool{New: func() any {
	b := make([]byte, maxEncoded)
	return &b
}}

// Plain returns the verified plain bytes of the chunk d, which e places, in the memory of
// dst[:0] if that holds chunker.MaxSize. It takes a buffer of one encoded chunk besides.
//
// Bytes of the store that are not what they should be are codec.ErrCorrupt or
// codec.ErrBase.
func Plain(ctx context.Context, store blobs.Store, e *placement.Entry, d chunker.Digest, dst []byte) ([]byte, error) {
	if cap(dst) < chunker.MaxSize {
		dst = make([]byte, 0, chunker.MaxSize)
	}
	r := reader{store: store, into: func(int) []byte { return dst[:0] }}
	if err := r.read(ctx, ChainOf(e), d); err != nil {
		return nil, err
	}
	return r.plain, nil
}

// Load reads the encoded chunk that e places into the memory of buf.
func Load(ctx context.Context, store blobs.Store, e *placement.Entry, buf []byte) ([]byte, error) {
	if int64(e.Length) > int64(cap(buf)) {
		return nil, fmt.Errorf("object %q: chunk of %d encoded bytes: %w", e.Object, e.Length, codec.ErrCorrupt)
	}
	buf = buf[:e.Length]
	if err := blobs.ReadInto(ctx, store, e.Object, int64(e.Offset), buf); err != nil {
		return nil, err
	}
	return buf, nil
}

// reader decodes a chain from its anchor on.
type reader struct {
	store blobs.Store
	// into returns where the plain bytes of the i-th go: of several or one memory.
	into func(i int) []byte

	plain []byte         // of the one decoded last
	base  chunker.Digest // the name of the one before it
}

// read decodes a chain whose nearest is the chunk d.
func (r *reader) read(ctx context.Context, chain Chain, d chunker.Digest) error {
	buf := encodedBuffers.Get().(*[]byte)
	defer encodedBuffers.Put(buf)
	for i := len(chain) - 1; i >= 0; i-- {
		enc, err := Load(ctx, r.store, &chain[i], *buf)
		if err != nil {
			return fmt.Errorf("chunk %s: %w", d.Short(), err)
		}
		if err := r.decode(enc, i, i == len(chain)-1); err != nil {
			return fmt.Errorf("chunk %s: object %q: %w", d.Short(), chain[i].Object, err)
		}
	}
	if got := chunker.Sum(r.plain); got != d {
		return fmt.Errorf("chunk %s: the bytes are those of %s: %w", d.Short(), got.Short(), codec.ErrCorrupt)
	}
	return nil
}

// decode decodes the i-th. The bases between are not hashed: a wrong one gives wrong
// bytes in the end.
func (r *reader) decode(enc []byte, i int, anchor bool) (err error) {
	r.base, err = codec.Base(enc[:min(len(enc), codec.BaseHeaderLen)])
	switch {
	case err != nil:
	case anchor || r.base.IsZero():
		r.plain, err = codec.Decode(r.into(i), enc)
	default:
		r.plain, err = codec.DecodeDelta(r.into(i), enc, r.plain, r.base)
	}
	return err
}
