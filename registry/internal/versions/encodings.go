package versions

import (
	"context"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/name"
)

// need is an encoded chunk that a version needs.
type need struct {
	bytes uint32
	depth int  // 0 whole, 1 a delta of an anchor, 2 of a middle
	base  bool // others are decoded with it
	own   bool // it is a chunk of the version
}

// needs returns what a version needs, by where it lies: its own chunks and what they
// are decoded with. The depth of either follows from how many bases are behind it.
// Nothing needs nothing.
func (b *body) needs() map[place]need {
	if b == nil {
		return nil
	}
	all := make(map[place]need, len(b.entries))
	for i := range b.entries {
		e := &b.entries[i]
		at := placeOf(e)
		own := all[at]
		own.bytes, own.depth, own.own = e.Length, len(e.Closure), true
		all[at] = own
		for j := range e.Closure {
			at := placeOf(&e.Closure[j])
			base := all[at]
			base.bytes, base.depth, base.base = e.Closure[j].Length, len(e.Closure)-1-j, true
			all[at] = base
		}
	}
	return all
}

func placeOf(e *placement.Entry) place { return place{e.Object, e.Offset} }

// Encodings says how the chunks of a version are stored.
func (s *Service) Encodings(ctx context.Context, p access.Principal, repo name.Repo, d chunker.Digest) (openapi.Encodings, error) {
	e := openapi.Encodings{Digest: d}
	b, err := s.readBody(ctx, p, repo, d)
	if err != nil {
		return e, err
	}
	release, err := s.history(ctx)
	if err != nil {
		return e, err
	}
	defer release()
	parent, err := s.bodyBefore(ctx, p, repo, b.manifest.Parent)
	if err != nil {
		return e, err
	}
	for _, ref := range b.manifest.Chunks {
		e.Plain += int64(ref.Size)
	}
	before := parent.needs()
	for at, n := range b.needs() {
		countOwn(&e, n)
		countBase(&e, n)
		if _, shared := before[at]; shared {
			e.Shared.Add(n.bytes)
		} else {
			e.Added.Add(n.bytes)
		}
	}
	return e, nil
}

func countOwn(e *openapi.Encodings, n need) {
	switch {
	case !n.own:
	case n.depth == 0:
		e.Whole.Add(n.bytes)
	case n.depth == 1:
		e.Middle.Add(n.bytes)
	default:
		e.Step.Add(n.bytes)
	}
}

func countBase(e *openapi.Encodings, n need) {
	switch {
	case !n.base:
	case n.depth == 0:
		e.Anchors.Add(n.bytes)
	default:
		e.Middles.Add(n.bytes)
	}
}
