package scrub

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// copyBatch is how many bytes of chunks, and of the bases that they are verified with,
// are copied at a time.
const copyBatch = 8 << 20

// copier copies chunks that can be read, a batch at a time.
type copier struct {
	*Scrubber
	move *versions.Move
	at   map[chunker.Digest]placement.Entry // gets the copies, with their bases

	batch    []versions.Encoded
	closures [][]placement.Entry // of those in the batch
	size     int
}

// add copies the encoded chunk of an entry, if it is good. A delta stays one, of the
// base that it has.
func (c *copier) add(ctx context.Context, d chunker.Digest, e placement.Entry) error {
	b := buffers.Get().(*buffer)
	defer buffers.Put(b)
	chain := chainOf(&e, d)
	reason, err := c.readChunk(ctx, chain[0], b)
	if gone(err) || err == nil && reason != "" {
		return nil
	}
	if err != nil {
		return err
	}
	enc := b.enc[:e.Length]
	base, err := codec.Base(enc[:min(len(enc), codec.BaseHeaderLen)])
	if err != nil {
		return nil // of a newer encoder
	}
	chunk := versions.Encoded{Digest: d, Bytes: bytes.Clone(enc)}
	if base.IsZero() {
		return c.put(ctx, chunk, nil)
	}
	u := unfolding{Scrubber: c.Scrubber}
	plain, bad, err := u.base(ctx, chain, base, b.plain)
	if bad != nil || errors.Is(err, codec.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	chunk.Base = bytes.Clone(plain)
	return c.put(ctx, chunk, e.Closure)
}

// whole copies a chunk so that it needs no base, if it and its bases can be read
// anywhere.
func (c *copier) whole(ctx context.Context, d chunker.Digest, e placement.Entry, elsewhere func(context.Context, chunker.Digest) ([]place, error)) error {
	b := buffers.Get().(*buffer)
	defer buffers.Put(b)
	u := unfolding{Scrubber: c.Scrubber, elsewhere: elsewhere}
	plain, bad, err := u.plain(ctx, chainOf(&e, d), b.plain)
	if bad != nil || errors.Is(err, codec.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return err
	}
	return c.put(ctx, versions.Encoded{Digest: d, Bytes: codec.Append(nil, plain, chunker.Untyped)}, nil)
}

// put adds a copy to the batch.
func (c *copier) put(ctx context.Context, chunk versions.Encoded, closure []placement.Entry) error {
	c.batch = append(c.batch, chunk)
	c.closures = append(c.closures, closure)
	if c.size += len(chunk.Bytes) + len(chunk.Base); c.size < copyBatch {
		return nil
	}
	return c.flush(ctx)
}

func (c *copier) flush(ctx context.Context) error {
	if len(c.batch) == 0 {
		return nil
	}
	entries, err := c.move.Put(ctx, c.batch)
	if err != nil {
		return fmt.Errorf("copy chunks: %w", err)
	}
	for i, e := range entries {
		e.Closure = c.closures[i]
		c.at[c.batch[i].Digest] = e
	}
	c.batch, c.closures, c.size = c.batch[:0], c.closures[:0], 0
	return nil
}
