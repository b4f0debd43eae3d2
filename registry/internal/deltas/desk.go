package deltas

import (
	"context"
	"fmt"
	"sync"

	"golang.org/x/sync/semaphore"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/placement"
)

// DeskMemory is about the most bytes that one desk takes: a chain, the chunk, and two
// ways to encode it.
const DeskMemory = 7 * (chunker.MaxSize + 1<<10)

// Desks lends desks, so many at a time. It is safe for concurrent use.
type Desks struct {
	free *semaphore.Weighted
	pool sync.Pool // of *Desk
}

// NewDesks returns n desks.
func NewDesks(n int) *Desks { return &Desks{free: semaphore.NewWeighted(int64(n))} }

// Take waits for a desk. The caller returns it.
func (d *Desks) Take(ctx context.Context) (*Desk, error) {
	if err := d.free.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	if k, ok := d.pool.Get().(*Desk); ok {
		return k, nil
	}
	return new(Desk), nil
}

// Return gives a desk back, and with it all bytes that it has given out.
func (d *Desks) Return(k *Desk) {
	k.chain = nil
	d.pool.Put(k)
	d.free.Release(1)
}

// Desk is the memory to encode one chunk at a time as a delta.
type Desk struct {
	chain  Chain
	names  [1 + placement.MaxClosure]chunker.Digest // of the chain's chunks
	plains [1 + placement.MaxClosure][]byte         // in buffers of their own
	chunk  []byte
	forms  [2][]byte
}

// buffer returns *b with room for n bytes.
func buffer(b *[]byte, n int) []byte {
	if cap(*b) < n {
		*b = make([]byte, 0, n)
	}
	return (*b)[:0]
}

// Open reads a chain whose nearest is the chunk d.
func (k *Desk) Open(ctx context.Context, store blobs.Store, chain Chain, d chunker.Digest) error {
	if len(chain) > len(k.plains) {
		return fmt.Errorf("chunk %s has %d bases: %w", d.Short(), len(chain)-1, placement.ErrInvalid)
	}
	k.chain, k.names[0] = nil, d
	r := reader{store: store}
	r.into = func(i int) []byte {
		if i+1 < len(chain) { // what was decoded before is the base of this one
			k.plains[i+1], k.names[i+1] = r.plain, r.base
		}
		return buffer(&k.plains[i], chunker.MaxSize)
	}
	if err := r.read(ctx, chain, d); err != nil {
		return err
	}
	k.plains[0], k.chain = r.plain, chain
	return nil
}

// Decode returns the plain bytes of a delta of the chain's nearest.
func (k *Desk) Decode(enc []byte) (plain []byte, err error) {
	k.chunk, err = codec.DecodeDelta(buffer(&k.chunk, chunker.MaxSize), enc, k.plains[0], k.names[0])
	return k.chunk, err
}

// Read returns the plain bytes of the chunk d, which e places.
func (k *Desk) Read(ctx context.Context, store blobs.Store, e *placement.Entry, d chunker.Digest) (plain []byte, err error) {
	return Plain(ctx, store, e, d, buffer(&k.chunk, chunker.MaxSize))
}

// Delta returns plain as a delta of the chain's nearest, if that takes at most limit
// bytes.
func (k *Desk) Delta(plain []byte, t chunker.DType, limit int) (enc []byte, ok bool) {
	return k.delta(0, 0, plain, t, limit)
}

func (k *Desk) delta(form, i int, plain []byte, t chunker.DType, limit int) (enc []byte, ok bool) {
	if limit <= 0 {
		return nil, false
	}
	return codec.AppendDelta(buffer(&k.forms[form], maxEncoded), plain, k.plains[i], k.names[i], t, limit)
}

// Form is how a chunk is to be stored.
type Form struct {
	Bytes   []byte // of the desk, or those that were given
	Base    chunker.Digest
	Closure []placement.Entry // nil for a whole chunk, whose Base is zero
}

// Encode returns the form that Choose finds best for a chunk. given are its bytes as a
// delta of the chain's nearest, nil if there are none. Of a chain that is not opened
// everything is stored whole.
func (k *Desk) Encode(plain []byte, t chunker.DType, given []byte) Form {
	var made [1 + placement.MaxClosure][]byte
	forms := 0
	size := func(i, limit int) (int, bool, error) {
		if i == 0 && given != nil {
			made[i] = given
			return len(given), len(given) <= limit, nil
		}
		enc, ok := k.delta(forms, i, plain, t, limit)
		if ok {
			made[i] = enc
			forms++
		}
		return len(enc), ok, nil
	}
	base, err := Choose(k.chain, k.whole(len(plain)), size)
	if base == Whole || err != nil {
		return k.Whole(plain, t)
	}
	return Form{made[base], k.names[base], k.chain.Closure(base, len(made[base]))}
}

// Whole encodes a chunk whole.
func (k *Desk) Whole(plain []byte, t chunker.DType) Form {
	return Form{Bytes: codec.Append(buffer(&k.forms[0], maxEncoded), plain, t)}
}

// whole is about how many bytes a chunk of n takes whole: as many as its anchor does.
func (k *Desk) whole(n int) int {
	if len(k.chain) == 0 {
		return n
	}
	anchor := len(k.chain) - 1
	return int(int64(k.chain[anchor].Length) * int64(n) / int64(len(k.plains[anchor])))
}
