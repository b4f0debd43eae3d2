package node

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/nodecache/internal/plan"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
	"github.com/ingot-ml/ingot/registry/manifest"
)

const (
	// mostHeld is how many versions a load offers as bases: of a chunk one is used.
	mostHeld = 2
	// mostLooked is how many versions are looked at for that.
	mostLooked = 16
)

// candidate is a version that may have bases for another.
type candidate struct {
	key  ledger.Key
	near int // 2: some reference moves from it; 1: it is of the same repository
	like int // tensors of the same name and shape
	m    *manifest.Manifest
}

// held lists the versions on the node of which a version may be a difference, best
// first: that which its reference moves from, whatever lies between the two, then
// others of the repository, then those that have the most tensors in common with it.
func (n *Node) held(k ledger.Key, m *manifest.Manifest) (list []client.Held) {
	var found []candidate
	for _, c := range n.candidates(k) {
		doc, err := n.manifestHere(c.key)
		if err != nil {
			continue
		}
		c.m, c.like = doc, manifest.NewKin(doc).Likeness(m)
		if c.near > 0 || c.like > 0 {
			found = append(found, c)
		}
	}
	slices.SortStableFunc(found, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.near, a.near), cmp.Compare(b.like, a.like))
	})
	for _, c := range found[:min(len(found), mostHeld)] {
		list = append(list, n.holds(c.key, c.m))
	}
	return list
}

// candidates lists versions that are on the node, the nearest first.
func (n *Node) candidates(k ledger.Key) (list []candidate) {
	n.mu.Lock()
	defer n.mu.Unlock()
	near := map[ledger.Key]bool{}
	for _, m := range n.models {
		if m.Ref.Repo == k.Repo && m.target == k.Digest && !m.current.IsZero() {
			near[m.key(m.current)] = true
		}
	}
	for key, v := range n.versions {
		if key == k || !v.ram && !v.disk {
			continue
		}
		c := candidate{key: key}
		switch {
		case near[key]:
			c.near = 2
		case key.Repo == k.Repo:
			c.near = 1
		}
		list = append(list, c)
	}
	slices.SortFunc(list, func(a, b candidate) int {
		return cmp.Or(cmp.Compare(b.near, a.near), cmp.Compare(a.key.String(), b.key.String()))
	})
	return list[:min(len(list), mostLooked)]
}

// holds is a version in the words of the client.
func (n *Node) holds(k ledger.Key, m *manifest.Manifest) client.Held {
	stores := n.stores(k)
	return client.Held{
		Repo: k.Repo, Version: k.Digest, Manifest: m,
		Has: func(d chunker.Digest) bool {
			return slices.ContainsFunc(stores, func(s tier.Store) bool { return s.Has(d) })
		},
		Read: func(ctx context.Context, ref chunker.Ref, dst []byte) ([]byte, error) {
			return n.base(ctx, stores, ref, dst)
		},
	}
}

// base reads a chunk that another is a difference from. One that is damaged is as a
// wrong one: what should be made of it comes whole.
func (n *Node) base(ctx context.Context, stores []tier.Store, ref chunker.Ref, dst []byte) (plain []byte, err error) {
	err = tier.ErrAbsent
	for _, s := range stores {
		if plain, err = s.Read(ctx, ref, dst); err == nil || ctx.Err() != nil {
			return plain, err
		}
		if errors.Is(err, tier.ErrDamaged) {
			n.damaged(ref.Digest)
			n.count(func(c *Counters) { c.Deltas.BasesWrong++ })
		}
	}
	return nil, err
}

// stores are where the chunks of a version may be, the fastest first.
func (n *Node) stores(k ledger.Key) []tier.Store {
	if n.ram == nil {
		return []tier.Store{n.config.Disk}
	}
	return []tier.Store{n.config.RAM.Domain(k.Repo.Namespace), n.config.Disk}
}

// related is the chunks of m that can come as a difference from a chunk of the
// versions.
func related(m *manifest.Manifest, held []client.Held) plan.Have {
	kin := map[chunker.Digest]bool{}
	for _, h := range held {
		for c, base := range manifest.NewKin(h.Manifest).Of(m) {
			if base >= 0 && h.Has(h.Manifest.Chunks[base].Digest) {
				kin[m.Chunks[c].Digest] = true
			}
		}
	}
	return plan.Have{Source: plan.Delta, Has: func(d chunker.Digest) bool { return kin[d] }}
}
