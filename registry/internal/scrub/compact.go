package scrub

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/name"
)

const (
	// DefaultShare is the share of a bundle's bytes under which it is rewritten.
	DefaultShare = 0.5
	// DefaultWorth is how much garbage is worth a compaction.
	DefaultWorth = 64 << 20
	// groupBytes is how much is moved at a time: the new bundles wait that long for
	// being named.
	groupBytes = 32 << 20
	// mostSparse bounds the bundles of one compaction. The next takes the others.
	mostSparse = 1 << 16
)

// CompactOptions says what is worth rewriting. Zero values mean the defaults.
type CompactOptions struct {
	Share float64 // of its bytes that versions need, under which a bundle is rewritten
	Worth int64   // bytes of garbage in such bundles, under which nothing is done
}

// Compaction is what came of a Compact.
type Compaction struct {
	Bundles  int   // that no version needs any more
	Chunks   int   // that were moved
	Versions int   // that were pointed elsewhere, each as often as it was
	Garbage  int64 // bytes that a collection can free now and could not before
}

// Compact moves what versions need out of bundles that are mostly garbage: a
// collection frees a bundle only as a whole. It changes where chunks lie, by
// protocol R, and deletes nothing.
func (s *Scrubber) Compact(ctx context.Context, o CompactOptions) (Compaction, error) {
	c := &compaction{Scrubber: s, share: cmp.Or(o.Share, DefaultShare)}
	if s.ReadOnly {
		return c.Compaction, nil
	}
	err := c.all(ctx, cmp.Or(o.Worth, DefaultWorth))
	if err != nil {
		return c.Compaction, fmt.Errorf("compact bundles: %w", err)
	}
	if c.Bundles > 0 {
		s.Logger.InfoContext(ctx, "compacted bundles", "bundles", c.Bundles, "chunks", c.Chunks, "versions", c.Versions, "bytes", c.Garbage)
	}
	return c.Compaction, nil
}

// compaction is one call of Compact.
type compaction struct {
	*Scrubber
	Compaction
	share   float64
	sparse  []sparse
	garbage int64           // in sparse bundles
	pushes  map[string]bool // whether they are open

	mu    sync.Mutex // protects users; never held across a call out
	users map[string][]user
}

// sparse is a bundle that is mostly garbage.
type sparse struct {
	blobs.Info
	live int64 // bytes that versions need, and their rows of the table
}

// user is a version that needs a bundle.
type user struct {
	repo   name.Repo
	digest chunker.Digest
}

func compareUsers(a, b user) int {
	return cmp.Or(cmp.Compare(a.repo.String(), b.repo.String()), compareDigests(a.digest, b.digest))
}

func (c *compaction) all(ctx context.Context, worth int64) error {
	if err := c.find(ctx); err != nil || c.garbage < worth {
		return err
	}
	if err := c.findUsers(ctx); err != nil {
		return err
	}
	for len(c.sparse) > 0 {
		n, live := 0, int64(0)
		for n < len(c.sparse) && (n == 0 || live+c.sparse[n].live <= groupBytes) {
			live += c.sparse[n].live
			n++
		}
		if err := c.group(ctx, c.sparse[:n]); err != nil {
			return err
		}
		c.sparse = c.sparse[n:]
	}
	return nil
}

// find looks for sparse bundles, part by part, in as few parts as there is room for.
func (c *compaction) find(ctx context.Context) error {
	for of := uint64(1); ; of *= 2 {
		c.sparse, c.garbage, c.pushes = nil, 0, map[string]bool{}
		err := c.findParts(ctx, of)
		if !errors.Is(err, errTooMany) {
			return err
		}
	}
}

func (c *compaction) findParts(ctx context.Context, of uint64) error {
	p := new(places)
	for i := range of {
		p.clear(part{0, 1})
		mine := part{i, of}
		if err := c.eachVersion(ctx, c.named(p, mine), func(name.Repo, chunker.Digest, *damage) {}); err != nil {
			return err
		}
		p.seal()
		for info, err := range c.Blobs.List(ctx, placement.Bundle.Prefix(), "") {
			if err != nil {
				return err
			}
			if !mine.has(place{object: info.Name}.hash()) {
				continue
			}
			if err := c.weigh(ctx, info, p); err != nil {
				return err
			}
		}
	}
	return nil
}

// named notes the places in bundles that versions name.
func (c *compaction) named(p *places, mine part) func(context.Context, *version) error {
	return func(_ context.Context, ver *version) error {
		for i := range ver.entries {
			for at := range placesOf(&ver.entries[i], ver.manifest.Chunks[i].Digest) {
				if isBundle(at.object) && mine.has(place{object: at.object}.hash()) {
					p.add(at)
				}
			}
		}
		if p.count() > c.Places {
			return errTooMany
		}
		return nil
	}
}

func isBundle(object string) bool { return placement.ParseName(object).Kind == placement.Bundle }

// weigh adds a bundle to the sparse ones if it is one. Those of pushes that are open
// are left alone: what looks like garbage may be named in a moment.
func (c *compaction) weigh(ctx context.Context, info blobs.Info, p *places) error {
	if len(c.sparse) == mostSparse || !isBundle(info.Name) {
		return nil
	}
	items, reason, err := c.table(ctx, info)
	if gone(err) || reason != "" {
		return nil
	}
	if err != nil {
		return err
	}
	live, row := int64(0), int64(items[0].Offset)/int64(len(items))
	for _, it := range items {
		if p.has(placeOf(info.Name, it)) {
			live += int64(it.Length) + row
		}
	}
	if live == 0 || float64(live) >= c.share*float64(info.Size) {
		return nil
	}
	open, err := c.open(ctx, placement.ParseName(info.Name).Push)
	if err != nil || open {
		return err
	}
	c.sparse = append(c.sparse, sparse{info, live})
	c.garbage += info.Size - live
	return nil
}

func (c *compaction) open(ctx context.Context, push string) (bool, error) {
	if open, known := c.pushes[push]; known {
		return open, nil
	}
	var rec record.Push
	if _, err := c.book.Load(ctx, record.PushKey(push), &rec); err != nil {
		return false, err
	}
	c.pushes[push] = rec.State == openapi.PushOpen && c.Now().Before(rec.Expires)
	return c.pushes[push], nil
}

// findUsers looks which versions need the sparse bundles.
func (c *compaction) findUsers(ctx context.Context) error {
	c.users = map[string][]user{}
	for _, b := range c.sparse {
		c.users[b.Name] = nil
	}
	return c.eachVersion(ctx, func(_ context.Context, ver *version) error {
		c.mu.Lock()
		defer c.mu.Unlock()
		me := user{ver.repo, ver.digest}
		for i := range ver.entries {
			for object := range ver.entries[i].Names {
				list, ok := c.users[object]
				if ok && (len(list) == 0 || list[len(list)-1] != me) {
					c.users[object] = append(list, me)
				}
			}
		}
		return nil
	}, func(name.Repo, chunker.Digest, *damage) {})
}

// group moves what is live of some bundles, in one Move.
func (c *compaction) group(ctx context.Context, bundles []sparse) error {
	var users []user
	for _, b := range bundles {
		users = append(users, c.users[b.Name]...)
	}
	slices.SortFunc(users, compareUsers)
	users = slices.Compact(users)
	for range tries {
		err := c.moveGroup(ctx, bundles, users)
		if errors.Is(err, versions.ErrCondemned) {
			continue
		}
		if errors.Is(err, &openapi.Error{Code: openapi.CodeConflict}) {
			return nil // others are at it
		}
		return err
	}
	return nil
}

func (c *compaction) moveGroup(ctx context.Context, bundles []sparse, users []user) error {
	move, err := c.Service.StartMove(ctx)
	if err != nil {
		return err
	}
	m := &moving{compaction: c, move: move, moved: map[place]copied{}, bases: map[chunker.Digest]chunker.Digest{}}
	if err := m.collect(ctx, bundles, users); err != nil {
		return err
	}
	for _, b := range bundles {
		if err := m.copy(ctx, b); err != nil {
			return err
		}
	}
	for _, u := range users {
		changed, err := move.Point(ctx, u.repo, u.digest, m.to)
		if err != nil {
			return err
		}
		if changed {
			c.Versions++
		}
	}
	c.Bundles += len(bundles)
	for _, b := range bundles {
		c.Garbage += b.Size - b.live
	}
	return nil
}
