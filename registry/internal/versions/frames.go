package versions

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/deltas"
	"github.com/ingot-ml/ingot/registry/internal/placement"
)

// Frame is an encoded chunk on its way to a caller: one that was asked for, or a base of
// it. Whoever gets one closes it.
type Frame struct {
	Digest chunker.Digest
	Length int64 // encoded bytes
	io.ReadCloser
}

// Wish says how a caller would have a chunk.
type Wish struct {
	Deltas bool     // it understands them
	Held   *Located // a chunk that it has; nil for none
}

// Room is memory for the frames of one chunk: two of the longest encoded chunks. It may
// be nil for a chunk that is stored whole and of which nothing is held, which takes none.
type Room *[2][]byte

// NewRoom returns room.
func NewRoom() Room {
	n := codec.MaxEncoded(chunker.MaxSize)
	return &[2][]byte{make([]byte, n), make([]byte, n)}
}

// Frames returns a chunk as the caller would have it, behind the bases that it lacks, the
// furthest first. Their bytes lie in room, or come from the store.
//
// Of the ways to send it that takes the fewest bytes, but that a chunk which is stored as
// a delta goes as that if this is not much more than the whole chunk: it is no work.
func (s *Service) Frames(ctx context.Context, p access.Principal, l Located, w Wish, room Room) ([]Frame, error) {
	for {
		out := outgoing{s, p, l, w, room}
		frames, err := out.frames(ctx)
		if !errors.Is(err, blobs.ErrNotFound) {
			return frames, err
		}
		if l, err = s.again(ctx, l); err != nil {
			return nil, err
		}
	}
}

// outgoing is one chunk on its way.
type outgoing struct {
	*Service
	principal access.Principal
	Located
	wish Wish
	room Room
}

func (o *outgoing) frames(ctx context.Context) ([]Frame, error) {
	whole, _ := o.Stored()
	if o.room == nil && (!whole || o.wish.Held != nil) {
		return nil, openapi.Errorf(openapi.CodeUnavailable, "chunk %s was encoded anew: ask again", o.Digest.Short())
	}
	if whole {
		if enc, ok := o.fresh(ctx, int(o.Length-o.Length/16)); ok {
			return counted(o.one(enc), nil, &o.counters.sentFresh)
		}
		r, err := o.OpenChunk(ctx, o.Located)
		return counted([]Frame{{o.Digest, o.Length, r}}, err, &o.counters.sentWhole)
	}
	if !o.wish.Deltas {
		return o.anew(ctx)
	}
	c, err := o.stored(ctx)
	if err != nil {
		return nil, err
	}
	if len(c.parts) > 1 || c.anchor != nil { // else no delta can be shorter
		if enc, ok := o.fresh(ctx, c.bytes-1); ok {
			return counted(o.one(enc), nil, &o.counters.sentFresh)
		}
	}
	if c.anchor != nil && c.bytes > int(c.anchor.Length)+int(c.anchor.Length)/8 && o.afford(1+len(o.entry.Closure), 1) {
		return o.anew(ctx)
	}
	frames, err := c.open(ctx, o.Blobs)
	return counted(frames, err, &o.counters.sentStored)
}

func frameOf(d chunker.Digest, enc []byte) Frame {
	return Frame{d, int64(len(enc)), io.NopCloser(bytes.NewReader(enc))}
}

func (o *outgoing) one(enc []byte) []Frame { return []Frame{frameOf(o.Digest, enc)} }

// anew returns the chunk, encoded whole.
func (o *outgoing) anew(ctx context.Context) ([]Frame, error) {
	enc, err := o.encodeWhole(ctx, o.Located, o.room[0][:0])
	if err != nil {
		return nil, err
	}
	return counted(o.one(enc), nil, &o.counters.sentAnew)
}

// afford spends the caller's budget on work of that much.
func (o *outgoing) afford(decoded, made int) bool {
	if o.budget.Take(o.principal.Subject, deltas.CostOf(o.plain, decoded, made)) {
		return true
	}
	o.counters.unaffordable.Add(1)
	return false
}

// closed is a stored chunk with the bases that its caller lacks.
type closed struct {
	parts  []part           // the chunk, and what it is a delta of, as far as that is one itself
	anchor *placement.Entry // the last base, which is whole; nil if the caller has one of them
	digest chunker.Digest   // of the anchor
	bytes  int              // of all
}

type part struct {
	digest chunker.Digest
	enc    []byte
}

// stored reads the chunk and those of its bases that are deltas themselves, up to one
// that the caller has.
func (o *outgoing) stored(ctx context.Context) (c closed, err error) {
	chain := deltas.ChainOf(&o.entry)
	next := o.Digest
	for i := range chain {
		last := i == len(chain)-1
		if last {
			c.anchor, c.digest = &chain[i], next
			c.bytes += int(chain[i].Length)
			return c, nil
		}
		if i == len(o.room) {
			return c, fmt.Errorf("chunk %s needs %d bases: %w", o.Digest.Short(), len(chain)-1, placement.ErrInvalid)
		}
		enc, err := deltas.Load(ctx, o.Blobs, &chain[i], o.room[i])
		if err != nil {
			return c, err
		}
		c.parts = append(c.parts, part{next, enc})
		c.bytes += len(enc)
		if next, err = baseOf(enc); err != nil {
			return c, err
		}
		if next.IsZero() || o.wish.Held != nil && next == o.wish.Held.Digest {
			return c, nil
		}
	}
	return c, nil
}

// open returns the frames, the anchor's from the store.
func (c *closed) open(ctx context.Context, store blobs.Store) (frames []Frame, err error) {
	if c.anchor != nil {
		r, err := store.Open(ctx, c.anchor.Object, int64(c.anchor.Offset), int64(c.anchor.Length))
		if err != nil {
			return nil, err
		}
		frames = append(frames, Frame{c.digest, int64(c.anchor.Length), r})
	}
	for i := len(c.parts) - 1; i >= 0; i-- {
		frames = append(frames, frameOf(c.parts[i].digest, c.parts[i].enc))
	}
	return frames, nil
}

// fresh returns the chunk as a delta of what the caller has, if that takes at most limit
// bytes and the caller's budget allows it. A chunk that cannot be read gives none.
func (o *outgoing) fresh(ctx context.Context, limit int) (enc []byte, ok bool) {
	held := o.wish.Held
	if !o.wish.Deltas || held == nil || held.Digest == o.Digest || limit <= 0 {
		return nil, false
	}
	pair := deltas.Pair{Chunk: o.Digest, Base: held.Digest, Namespace: o.repo.Namespace}
	if enc, ok := o.recent.Get(pair); ok {
		return o.lend(enc, limit)
	}
	if !o.afford(2+len(o.entry.Closure)+len(held.entry.Closure), 1) {
		return nil, false
	}
	desk, err := o.desks.Take(ctx)
	if err != nil {
		return nil, false
	}
	defer o.desks.Return(desk)
	made, err := o.make(ctx, desk, limit)
	if err != nil {
		o.Logger.WarnContext(ctx, "no delta of a chunk", "chunk", o.Digest.Short(), "of", held.Digest.Short(), "error", err)
		return nil, false
	}
	o.recent.Put(pair, made)
	return o.lend(made, limit)
}

// lend copies a delta into the caller's room, if it is one of at most limit bytes.
func (o *outgoing) lend(enc []byte, limit int) ([]byte, bool) {
	if len(enc) == 0 || len(enc) > limit {
		return nil, false
	}
	return append(o.room[0][:0], enc...), true
}

// make encodes the delta at a desk; nil if it is not worth it.
func (o *outgoing) make(ctx context.Context, desk *deltas.Desk, limit int) ([]byte, error) {
	held := o.wish.Held
	if err := desk.Open(ctx, o.Blobs, deltas.ChainOf(&held.entry), held.Digest); err != nil {
		return nil, err
	}
	plain, err := desk.Read(ctx, o.Blobs, &o.entry, o.Digest)
	if err != nil {
		return nil, err
	}
	enc, ok := desk.Delta(plain, o.dtype, limit)
	if !ok {
		return nil, nil
	}
	return enc, nil
}
