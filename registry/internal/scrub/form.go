package scrub

import (
	"bytes"
	"context"
	"errors"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/registry/internal/deltas"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// form is how a chunk is to be stored.
type form struct {
	take    bool // where another version has it
	chunk   versions.Encoded
	closure []placement.Entry
}

// errUnfit reports a chunk that cannot be stored otherwise, because it or what it would
// rest on cannot be read. A verification says more.
var errUnfit = errors.New("the chunk stays as it is")

// form finds out how a chunk is to be stored; nil when it stays as it is.
func (c *choosing) form(ctx context.Context, j *job, found map[chunker.Digest]placement.Entry) (*form, error) {
	e := &c.ver.entries[j.index]
	related, known := found[j.digest]
	if j.take {
		if !known || bareOf(&related) == bareOf(e) {
			return nil, nil
		}
		return &form{take: true}, nil
	}
	if !known && j.lonely == 0 {
		return nil, nil
	}
	f, err := c.encode(ctx, j, e, &related)
	if errors.Is(err, errUnfit) || errors.Is(err, codec.ErrUnsupported) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	now := int64(e.Length) + j.lonely
	if int64(len(f.chunk.Bytes)) > now-now/16 {
		return nil, nil
	}
	return f, nil
}

// encode encodes a chunk in the way that the policy chooses.
func (c *choosing) encode(ctx context.Context, j *job, e, related *placement.Entry) (*form, error) {
	d := c.ver.manifest.Chunks[j.index].Digest
	b := buffers.Get().(*buffer)
	defer buffers.Put(b)
	plain, err := c.plain(ctx, chainOf(e, d), b)
	if err != nil {
		return nil, err
	}
	f := &form{chunk: versions.Encoded{Digest: d}}
	whole := int(e.Length)
	if len(e.Closure) > 0 {
		f.chunk.Bytes = codec.Append(nil, plain, c.types[j.index])
		whole = len(f.chunk.Bytes)
	}
	var chain deltas.Chain
	if related.Object != "" {
		chain = deltas.ChainOf(related)
	}
	names, err := c.names(ctx, chain, j.digest)
	if err != nil {
		return nil, err
	}
	tries := make([]versions.Encoded, len(chain))
	size := func(i, limit int) (int, bool, error) {
		if limit <= 0 {
			return 0, false, nil
		}
		under := buffers.Get().(*buffer)
		defer buffers.Put(under)
		base, err := c.plain(ctx, chainOfRest(chain, i, names[i]), under)
		if err != nil {
			return 0, false, err
		}
		enc, ok := codec.AppendDelta(nil, plain, base, names[i], c.types[j.index], limit)
		if ok {
			tries[i] = versions.Encoded{Digest: d, Bytes: enc, Base: bytes.Clone(base)}
		}
		return len(enc), ok, nil
	}
	base, err := deltas.Choose(chain, whole, size)
	if err != nil {
		return nil, err
	}
	if base != deltas.Whole {
		f.chunk, f.closure = tries[base], chain.Closure(base, len(tries[base].Bytes))
	} else if f.chunk.Bytes == nil {
		return nil, errUnfit // it is whole
	}
	return f, nil
}

// chainOfRest lists the places of a chain from the i-th on, which is that of the chunk d.
func chainOfRest(chain deltas.Chain, i int, d chunker.Digest) []place {
	var rest []place
	for k := i; k < len(chain); k++ {
		rest = append(rest, bareOf(&chain[k]))
	}
	rest[0].digest = d
	return rest
}

// plain reads a chunk, verified, into the room of b.
func (c *choosing) plain(ctx context.Context, chain []place, b *buffer) ([]byte, error) {
	u := unfolding{Scrubber: c.Scrubber}
	plain, bad, err := u.plain(ctx, chain, b.plain)
	if err == nil && bad != nil {
		err = errUnfit
	}
	return plain, err
}

// names returns which chunks a chain holds: first is the first, and each delta tells the
// next.
func (c *choosing) names(ctx context.Context, chain deltas.Chain, first chunker.Digest) ([]chunker.Digest, error) {
	names := make([]chunker.Digest, len(chain))
	for i := range chain {
		if names[i] = first; i == len(chain)-1 {
			break
		}
		start := make([]byte, min(codec.BaseHeaderLen, chain[i].Length))
		reason, err := c.read(ctx, chain[i].Object, int64(chain[i].Offset), start)
		if gone(err) || err == nil && reason != "" {
			return nil, errUnfit
		}
		if err != nil {
			return nil, err
		}
		if first, err = codec.Base(start); err != nil || first.IsZero() {
			return nil, errUnfit
		}
	}
	return names, nil
}
