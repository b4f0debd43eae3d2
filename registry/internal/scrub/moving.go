package scrub

import (
	"context"
	"slices"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// moving is one Move of a compaction.
type moving struct {
	*compaction
	move  *versions.Move
	moved map[place]copied // by where chunks are, without digests; not copied yet has no object
}

// copied is where a chunk has gone.
type copied struct {
	digest chunker.Digest
	entry  placement.Entry
}

// collect notes what users need of the bundles.
func (m *moving) collect(ctx context.Context, bundles []sparse, users []user) error {
	mine := map[string]bool{}
	for _, b := range bundles {
		mine[b.Name] = true
	}
	for _, u := range users {
		err := m.withVersion(ctx, u.repo, u.digest, func(_ context.Context, ver *version) error {
			for i := range ver.entries {
				for at := range placesOf(&ver.entries[i], chunker.Digest{}) {
					if at.digest = (chunker.Digest{}); mine[at.object] {
						m.moved[at] = copied{}
					}
				}
			}
			return nil
		})
		if err != nil && isDamage(err) == nil {
			return err
		}
	}
	return nil
}

// copy copies what is needed of a bundle, as far as it is sound.
func (m *moving) copy(ctx context.Context, b sparse) error {
	items, reason, err := m.table(ctx, b.Info)
	if gone(err) || reason != "" {
		return nil
	}
	if err != nil {
		return err
	}
	copies := copier{Scrubber: m.Scrubber, move: m.move, at: map[chunker.Digest]placement.Entry{}}
	for _, it := range items {
		if _, needed := m.moved[bare(b.Name, it)]; !needed {
			continue
		}
		if err := copies.add(ctx, it.Digest, placement.Entry{Object: b.Name, Offset: it.Offset, Length: it.Length}); err != nil {
			return err
		}
	}
	if err := copies.flush(ctx); err != nil {
		return err
	}
	for _, it := range items {
		_, needed := m.moved[bare(b.Name, it)]
		if e, ok := copies.at[it.Digest]; ok && needed {
			m.moved[bare(b.Name, it)] = copied{it.Digest, e}
			m.Chunks++
		}
	}
	return nil
}

// bare is the place of a chunk without its digest.
func bare(bundle string, it placement.Item) place {
	return place{object: bundle, offset: it.Offset, length: it.Length}
}

// to is the Choose of the Move: a chunk that was copied lies there from now on, and
// its bases with it.
func (m *moving) to(_ int, ref chunker.Ref, old placement.Entry) placement.Entry {
	e := old
	if c := m.moved[place{object: old.Object, offset: old.Offset, length: old.Length}]; c.digest == ref.Digest {
		e = c.entry
	}
	e.Closure = slices.Clone(old.Closure)
	for i, b := range old.Closure {
		if c := m.moved[place{object: b.Object, offset: b.Offset, length: b.Length}]; c.entry.Object != "" {
			e.Closure[i] = c.entry
		}
	}
	return e
}
