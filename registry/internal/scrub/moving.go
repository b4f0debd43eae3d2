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
	moved map[place]copied                  // by where chunks are, without digests; not copied yet has no object
	bases map[chunker.Digest]chunker.Digest // of what was copied: another encoding of a chunk stays where it is
}

// copied is where a chunk has gone.
type copied struct {
	digest  chunker.Digest
	entry   placement.Entry
	closure []placement.Entry // that a version names for it where it is
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
				m.note(&ver.entries[i], mine)
			}
			return nil
		})
		if err != nil && isDamage(err) == nil {
			return err
		}
	}
	return nil
}

// note notes what an entry needs of the bundles.
func (m *moving) note(e *placement.Entry, mine map[string]bool) {
	if mine[e.Object] {
		m.moved[bareOf(e)] = copied{closure: e.Closure}
	}
	for i := range e.Closure {
		if b := &e.Closure[i]; mine[b.Object] {
			m.moved[bareOf(b)] = copied{closure: e.Closure[i+1:]}
		}
	}
}

// bareOf is the place of an entry, of which nothing is known but where it is.
func bareOf(e *placement.Entry) place {
	return place{object: e.Object, offset: e.Offset, length: e.Length}
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
	taken := map[chunker.Digest]bool{}
	for _, it := range items {
		at, needed := m.moved[bare(b.Name, it)]
		base, known := m.bases[it.Digest]
		if !needed || taken[it.Digest] || known && base != it.Base {
			continue
		}
		e := placement.Entry{Object: b.Name, Offset: it.Offset, Length: it.Length, Closure: at.closure}
		if err := copies.add(ctx, it.Digest, e); err != nil {
			return err
		}
		m.bases[it.Digest], taken[it.Digest] = it.Base, true
	}
	if err := copies.flush(ctx); err != nil {
		return err
	}
	for _, it := range items {
		old, needed := m.moved[bare(b.Name, it)]
		if e, ok := copies.at[it.Digest]; ok && needed && m.bases[it.Digest] == it.Base {
			m.moved[bare(b.Name, it)] = copied{it.Digest, e, old.closure}
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
	if c := m.moved[bareOf(&old)]; c.digest == ref.Digest {
		e = c.entry
	}
	e.Closure = slices.Clone(old.Closure)
	for i := range e.Closure {
		if c := m.moved[bareOf(&old.Closure[i])]; c.entry.Object != "" {
			e.Closure[i] = placement.Entry{Object: c.entry.Object, Offset: c.entry.Offset, Length: c.entry.Length, Spent: old.Closure[i].Spent}
		}
	}
	return e
}
