package scrub

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/registry/internal/placement"
)

// chainOf lists the places that decoding a chunk takes: its own first, then those of
// its bases, nearest first. Only the digest of the first is known.
func chainOf(e *placement.Entry, d chunker.Digest) (chain []place) {
	for at := range placesOf(e, d) {
		chain = append(chain, at)
	}
	return chain
}

// fault is what keeps a chunk from being decoded: the place that is to blame.
type fault struct {
	at     place
	reason string
}

// encodings lends what one encoded chunk takes.
var encodings = sync.Pool{New: func() any {
	b := make([]byte, maxEncoded)
	return &b
}}

// unfolding reads chunks through their bases.
type unfolding struct {
	*Scrubber
	// elsewhere returns other places of a chunk, for a base that is not sound where a
	// version has it; none if there are none. It may be nil.
	elsewhere func(context.Context, chunker.Digest) ([]place, error)
}

// plain returns the bytes of the chunk that the first of the chain holds, in the room
// of dst, which has to be chunker.MaxSize. They are those that its digest says, and so
// are those of every base; otherwise it tells what is to blame. One that a newer encoder
// has written fails with codec.ErrUnsupported.
func (u *unfolding) plain(ctx context.Context, chain []place, dst []byte) ([]byte, *fault, error) {
	at := chain[0]
	buf := encodings.Get().(*[]byte)
	defer encodings.Put(buf)
	if int64(at.length) > int64(maxEncoded) {
		return nil, &fault{at, tooLong(at.length)}, nil
	}
	enc := (*buf)[:at.length]
	reason, err := u.read(ctx, at.object, int64(at.offset), enc)
	if gone(err) {
		reason, err = notThere, nil
	}
	if err != nil {
		return nil, nil, err
	}
	if reason == "" {
		return u.decode(ctx, chain, enc, dst)
	}
	return nil, &fault{at, reason}, nil
}

// decode is plain with the encoded chunk read.
func (u *unfolding) decode(ctx context.Context, chain []place, enc, dst []byte) ([]byte, *fault, error) {
	at := chain[0]
	blame := func(reason string) ([]byte, *fault, error) { return nil, &fault{at, reason}, nil }
	err := codec.Check(enc)
	var base chunker.Digest
	if err == nil {
		base, err = codec.Base(enc[:min(len(enc), codec.BaseHeaderLen)])
	}
	var plain []byte
	if err == nil && base.IsZero() {
		plain, err = codec.Decode(dst, enc)
	} else if err == nil {
		under, bad, failed := u.base(ctx, chain, base, dst)
		if failed != nil || bad != nil {
			return nil, bad, failed
		}
		plain, err = codec.DecodeDelta(dst, enc, under, base)
	}
	if errors.Is(err, codec.ErrUnsupported) {
		return nil, nil, err
	}
	if err != nil {
		return blame(err.Error())
	}
	if got := chunker.Sum(plain); !at.digest.IsZero() && got != at.digest {
		return blame(fmt.Sprintf("the bytes are those of %s", got.Short()))
	}
	return plain, nil, nil
}

// base returns the bytes of the base of a delta, from where the chain has it or else
// from elsewhere.
func (u *unfolding) base(ctx context.Context, chain []place, base chunker.Digest, dst []byte) ([]byte, *fault, error) {
	bad := &fault{chain[0], fmt.Sprintf("it needs chunk %s, of which the version names no place", base.Short())}
	if len(chain) > 1 {
		rest := append([]place{}, chain[1:]...)
		rest[0].digest = base
		plain, fault, err := u.plain(ctx, rest, dst)
		if err != nil || fault == nil {
			return plain, nil, err
		}
		bad = u.misplaced(chain[0], rest[0], fault)
	}
	if u.elsewhere == nil {
		return nil, bad, nil
	}
	other, err := u.elsewhere(ctx, base)
	if err != nil || len(other) == 0 {
		return nil, bad, err
	}
	alone := unfolding{Scrubber: u.Scrubber}
	plain, fault, err := alone.plain(ctx, other, dst)
	if fault != nil {
		return nil, bad, err
	}
	return plain, nil, err
}

// misplaced tells who is to blame for a base that is not what a delta needs: the base,
// or a version that has another chunk for it.
func (u *unfolding) misplaced(delta, base place, bad *fault) *fault {
	own := placement.ParseName(base.object).Kind == placement.Chunk
	if bad.at == base && own && chunkOf(base.object) != base.digest {
		return &fault{delta, fmt.Sprintf("it needs chunk %s, and the version names another one", base.digest.Short())}
	}
	return bad
}

func tooLong(n uint32) string {
	return fmt.Sprintf("it has %d bytes, a chunk has at most %d", n, maxEncoded)
}
