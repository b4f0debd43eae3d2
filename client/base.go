package client

import (
	"context"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client/internal/known"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

const (
	// maxLikely is how many versions of a namespace are compared with one that nothing is
	// known of.
	maxLikely = 16
	// maxParts is how many places are asked whose version nobody knew when they were
	// pushed.
	maxParts = 8
	// maxLooks is how many chunks of a version are looked for before it counts as not at
	// hand.
	maxLooks = 256
)

// chooser finds the version that a push makes its differences against: the one that is
// named, else that of the tag, else the last of the repository whose files are here, else
// the one of the namespace that is most like it.
type chooser struct {
	*push
	places []known.Place // in this registry, the newest first
	like   *manifest.Manifest
}

// choose returns that version, nil when none is at hand. What the registry refuses to say
// costs bytes and nothing else.
func (p *push) choose(ctx context.Context, like *manifest.Manifest) *related {
	c := chooser{push: p, like: like}
	for _, place := range known.In(p.options.Places).All() {
		if place.Registry == p.wire.Base() {
			c.places = append(c.places, place)
		}
	}
	if len(c.places) == 0 && len(p.options.Held) == 0 && p.options.Cache == nil {
		return nil
	}
	if at, named := c.named(); named {
		return c.at(ctx, at.Repo, at.Digest)
	}
	if d, ok := c.tagged(ctx); ok {
		if r := c.at(ctx, p.ref.Repo, d); r != nil {
			return r
		}
	}
	for _, place := range c.places {
		if d, err := chunker.ParseDigest(place.Version); err == nil && place.Repo == p.ref.Repo.String() {
			return c.at(ctx, p.ref.Repo, d)
		}
	}
	return c.likest(ctx)
}

// named returns the version that the caller has named.
func (c *chooser) named() (at name.Ref, ok bool) {
	o := &c.options
	switch {
	case !o.Base.Digest.IsZero():
		return o.Base, true
	case !o.Parent.IsZero():
		return name.Ref{Repo: c.ref.Repo, Digest: o.Parent}, true
	}
	return at, false
}

// tagged returns the version that the tag is at, which the caller may have said.
func (c *chooser) tagged(ctx context.Context) (chunker.Digest, bool) {
	if c.options.Expect == openapi.ExpectNone {
		return chunker.Digest{}, false
	}
	if d, err := chunker.ParseDigest(c.options.Expect); err == nil {
		return d, true
	}
	tag, err := c.Tag(ctx, c.ref.Repo, c.ref.Tag)
	return tag.Digest, err == nil && !tag.Digest.IsZero()
}

// likest compares with the versions of other repositories of the namespace.
func (c *chooser) likest(ctx context.Context) (best *related) {
	most, asked := 0, 0
	for _, place := range c.places {
		repo, err := name.ParseRepo(place.Repo)
		if err != nil || repo.Namespace != c.ref.Repo.Namespace || asked == maxLikely {
			continue
		}
		d, err := chunker.ParseDigest(place.Version)
		if err != nil {
			continue
		}
		asked++
		if r := c.at(ctx, repo, d); r != nil {
			if n := r.kin.Likeness(c.like); n > most {
				best, most = r, n
			}
		}
	}
	return best
}

// at returns a version of which something is at hand, nil if nothing is, or it cannot be
// read.
func (c *chooser) at(ctx context.Context, repo name.Repo, version chunker.Digest) *related {
	var places []known.Place
	parts := 0
	for _, p := range c.places {
		switch {
		case p.Version == version.String():
			places = append(places, p)
		case p.Version == "" && p.Repo == repo.String() && parts < maxParts:
			places = append(places, p)
			parts++
		}
	}
	if len(places) == 0 && len(c.options.Held) == 0 && c.options.Cache == nil {
		return nil
	}
	m, _, err := c.Manifest(ctx, name.Ref{Repo: repo, Digest: version})
	if err != nil {
		return nil
	}
	r := newRelated(repo, version, m, places, c.options.Held, c.options.Cache)
	if !r.any() {
		return nil
	}
	return r
}

// any reports whether something of the version is at hand. It looks at some chunks.
func (r *related) any() bool {
	step := max(1, len(r.m.Chunks)/maxLooks)
	for c := 0; c < len(r.m.Chunks); c += step {
		if r.has(uint32(c)) {
			return true
		}
	}
	return false
}
