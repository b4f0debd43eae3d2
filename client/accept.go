package client

import (
	"context"
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
)

// errNoBase reports a delta of a chunk that is not at hand.
var errNoBase = errors.New("it is a delta of a chunk that was not sent")

// accept takes a chunk that came from the registry, if it is sound, and caches
// it. It may be a delta of what came before it, or of what is held.
func (w *fetcher) accept(ctx context.Context, c uint32, from int, enc []byte) (fault, err error) {
	w.received.Add(int64(len(enc)))
	name, fault := codec.Base(enc)
	if fault != nil {
		return judged(fault), nil
	}
	if !name.IsZero() {
		return w.acceptDelta(ctx, c, from, name, enc)
	}
	room, err := w.room(ctx, c)
	if err != nil {
		return nil, err
	}
	plain, fault := w.check(c, enc, func() ([]byte, error) { return codec.Decode(room, enc) })
	if fault != nil {
		return fault, nil
	}
	w.remember(ctx, c, plain)
	return nil, w.to.Take(ctx, c, plain, enc)
}

// acceptDelta is accept for a delta of the chunk called name.
func (w *fetcher) acceptDelta(ctx context.Context, c uint32, from int, name chunker.Digest, enc []byte) (fault, err error) {
	w.deltas.Add(int64(len(enc)))
	base, fault := w.basis(ctx, c, from, name)
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if fault != nil {
		return fmt.Errorf("delta of %s: %w: %w", name.Short(), fault, ErrCorrupt), nil
	}
	room, err := w.room(ctx, c)
	if err != nil {
		return nil, err
	}
	plain, fault := w.check(c, enc, func() ([]byte, error) { return codec.DecodeDelta(room, enc, base.plain, name) })
	if fault != nil {
		if base.held || base.mixed {
			w.wrong.Add(1)
		}
		return fault, nil
	}
	w.deltaChunks.Add(1)
	w.remember(ctx, c, plain)
	if to, ok := w.to.(DeltaSink); ok && base.held {
		return nil, to.TakeDelta(ctx, c, plain, enc)
	}
	return nil, w.to.Take(ctx, c, plain, nil)
}

// check decodes an encoded chunk and compares its name. Whatever is wrong with the bytes
// is ErrCorrupt, or codec.ErrUnsupported.
func (w *fetcher) check(c uint32, enc []byte, decode func() ([]byte, error)) ([]byte, error) {
	want := w.m.Chunks[c]
	size, err := codec.PlainLen(enc)
	if err == nil && size != int(want.Size) {
		return nil, fmt.Errorf("%d plain bytes, want %d: %w", size, want.Size, ErrCorrupt)
	}
	plain, err := decode()
	if err != nil {
		return nil, judged(err)
	}
	if got := chunker.Sum(plain); got != want.Digest {
		return nil, fmt.Errorf("its bytes are those of %s: %w", got.Short(), ErrCorrupt)
	}
	return plain, nil
}

// judged says of an error of the codec what it is to callers.
func judged(err error) error {
	if errors.Is(err, codec.ErrUnsupported) {
		return fmt.Errorf("%w (a newer ingot may know it)", err)
	}
	return fmt.Errorf("%w: %w", err, ErrCorrupt)
}

// remember keeps a chunk that came for later fetches.
func (w *fetcher) remember(ctx context.Context, c uint32, plain []byte) {
	if w.cache != nil {
		w.cache.put(ctx, w.m.Chunks[c].Digest, plain)
	}
}
