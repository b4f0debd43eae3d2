package scrub

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/name"
)

// deltas decodes every delta that versions name through the bases that they name for
// it, each once. What an object alone tells was looked at before.
func (v *verification) deltas(ctx context.Context) error {
	for of := uint64(1); ; of *= 2 {
		err := v.deltaParts(ctx, of)
		if !errors.Is(err, errTooMany) {
			return err
		}
	}
}

func (v *verification) deltaParts(ctx context.Context, of uint64) error {
	for i := range of {
		c := claims{part: part{i, of}, most: v.Places / 4, taken: map[placeHash]struct{}{}}
		err := v.eachVersion(ctx, func(ctx context.Context, ver *version) error {
			return v.deltasOf(ctx, ver, &c)
		}, func(name.Repo, chunker.Digest, *damage) {})
		if err != nil {
			return err
		}
	}
	return nil
}

// deltasOf decodes those of a version that nobody has decoded yet.
func (v *verification) deltasOf(ctx context.Context, ver *version, c *claims) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(v.Parallel)
	if v.pace != nil {
		group.SetLimit(1)
	}
	for i := range ver.entries {
		e := &ver.entries[i]
		if len(e.Closure) == 0 {
			continue
		}
		chain := chainOf(e, ver.manifest.Chunks[i].Digest)
		mine, err := c.take(chain)
		if err != nil {
			return errors.Join(err, group.Wait())
		}
		if mine {
			group.Go(func() error { return v.delta(ctx, ver, chain) })
		}
	}
	return group.Wait()
}

// delta decodes one, and holds what is wrong against what is to blame, if the version
// still names that.
func (v *verification) delta(ctx context.Context, ver *version, chain []place) error {
	if err := v.decoding.Acquire(ctx, 1); err != nil {
		return err
	}
	defer v.decoding.Release(1)
	for _, at := range chain {
		if err := v.pace.wait(ctx, int64(at.length)); err != nil {
			return err
		}
	}
	b := buffers.Get().(*buffer)
	defer buffers.Put(b)
	var bad *fault
	_, err := v.twice(ctx, chain[0].object, func() (reason string, err error) {
		u := unfolding{Scrubber: v.Scrubber}
		if _, bad, err = u.plain(ctx, chain, b.plain); bad != nil {
			reason = bad.reason
		}
		return reason, err
	})
	if errors.Is(err, codec.ErrUnsupported) {
		return nil
	}
	if err != nil || bad == nil || v.covers(bad.at) {
		return err
	}
	h, err := v.head(ctx, ver.repo, ver.digest)
	if isDamage(err) != nil || err == nil && (h == nil || h.Body != ver.body) {
		return nil
	}
	v.add(bad.finding())
	v.needed(bad.at.object, ver.ref())
	return err
}

// finding is how a fault is reported.
func (f *fault) finding() *finding {
	found := &finding{object: f.at.object, digest: f.at.digest, reason: f.reason, missing: f.reason == notThere}
	if !found.missing && placement.ParseName(f.at.object).Kind != placement.Chunk {
		found.places = []uint32{f.at.offset}
		found.reason = fmt.Sprintf("chunk at byte %d: %s", f.at.offset, f.reason)
	}
	return found
}

// claims are the deltas of a part that somebody has taken on.
type claims struct {
	part part
	most int

	mu    sync.Mutex // protects taken
	taken map[placeHash]struct{}
}

// take reports whether the delta is the caller's to decode: it is in the part, and
// nobody else's.
func (c *claims) take(chain []place) (mine bool, err error) {
	var h placeHash
	for _, at := range chain { // two versions may have other bases for the same delta
		next := at.hash()
		h[0], h[1] = h[0]*31+next[0], h[1]*31+next[1]
	}
	if !c.part.has(h) {
		return false, nil
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, known := c.taken[h]; known {
		return false, nil
	}
	if len(c.taken) >= c.most {
		return false, errTooMany
	}
	c.taken[h] = struct{}{}
	return true, nil
}
