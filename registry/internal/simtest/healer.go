package simtest

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/deltas"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/name"
)

// How a mover deals with a chunk.
const (
	leave = iota
	renew
	find
	rebase
)

// move points a version at other objects: some that it makes, whole or as deltas of what
// other versions have, and some that other versions have.
func (c *client) move() {
	repo, v := c.present()
	how := make([]int, len(v.order))
	for i := range how {
		how[i] = c.dice.IntN(4)
	}
	_, from := c.present()
	changed, _, err := ask(c, intent{action: heals, repo: repo, digest: v.digest}, func(ctx context.Context, p *proc) (bool, error) {
		return v.move(ctx, p, repo, from, how)
	})
	if err == nil && changed {
		c.tell("moved", func() { c.counts.Moves++ })
	}
}

func (v *model) move(ctx context.Context, p *proc, repo name.Repo, from *model, how []int) (bool, error) {
	m, err := p.StartMove(ctx)
	if err != nil {
		return false, err
	}
	found, err := m.Find(ctx, repo, v.order)
	if err != nil {
		return false, err
	}
	bases, err := m.Find(ctx, repo, from.order)
	if err != nil {
		return false, err
	}
	places := map[chunker.Digest]placement.Entry{}
	closures := map[chunker.Digest][]placement.Entry{}
	var fresh []versions.Encoded
	for i, d := range v.order {
		switch how[i] {
		case find:
			places[d] = found[i]
		case rebase:
			k := i % len(bases)
			chain := deltas.ChainOf(&bases[k])
			if bases[k].Object == "" || len(chain) > deltas.MaxDepth || from.order[k] == d {
				continue
			}
			if enc := v.deltaOf(d, from.plains[from.order[k]], from.order[k]); enc != nil {
				fresh = append(fresh, versions.Encoded{Digest: d, Bytes: enc, Base: from.plains[from.order[k]]})
				closures[d] = chain.Closure(0, len(enc))
			}
		case renew:
			fresh = append(fresh, versions.Encoded{Digest: d, Bytes: v.chunks[d]})
		}
	}
	made, err := m.Put(ctx, fresh)
	if err != nil {
		return false, err
	}
	for i, e := range fresh {
		made[i].Closure = closures[e.Digest]
		places[e.Digest] = made[i]
	}
	return m.Point(ctx, repo, v.digest, func(_ int, ref chunker.Ref, old placement.Entry) placement.Entry {
		if e := places[ref.Digest]; e.Object != "" {
			return e
		}
		return old
	})
}

// spoil has an object taken out of use that some version needs, or back into it.
func (c *client) spoil() {
	object, clear := "", c.dice.IntN(4) == 0
	c.tell("choose", func() {
		if needed := sorted(c.judge.refs); len(needed) > 0 {
			object = needed[c.dice.IntN(len(needed))]
		}
	})
	if object == "" {
		return
	}
	_, _, err := ask(c, intent{action: heals}, func(ctx context.Context, p *proc) (nothing, error) {
		if clear {
			return nothing{}, p.ClearQuarantine(ctx, object)
		}
		return nothing{}, p.Quarantine(ctx, object, "it was chosen", chunker.Digest{}, nil)
	})
	if err == nil {
		c.tell("spoiled", func() { c.counts.Spoiled++ })
	}
}

// pushAgain pushes a version that is there, which heals it.
func (s *sim) pushAgain(ctx context.Context, p *proc, repo name.Repo, v *model) error {
	s.judge.by = &call{who: "healer"}
	s.judge.intents["healer"] = intent{action: commits, repo: repo, digest: v.digest}
	defer func() { s.judge.by = nil }()
	push, err := p.StartPush(ctx, alice, repo)
	if err != nil {
		return err
	}
	for _, d := range v.order {
		if _, err := p.PutChunk(ctx, alice, push.ID, d, v.chunks[d]); err != nil {
			return err
		}
	}
	_, err = p.Commit(ctx, alice, push.ID, v.doc, "", "")
	return err
}

// hash asks for the sha256 of a version's files.
func (c *client) hash() {
	repo, v := c.present()
	got, _, err := ask(c, intent{action: reads, repo: repo, digest: v.digest}, func(ctx context.Context, p *proc) (openapi.FileHashes, error) {
		return p.FileHashes(ctx, alice, repo, v.digest)
	})
	if err != nil {
		return
	}
	err = v.checkHashes(got)
	c.tell("hashed", func() {
		if err != nil {
			c.judge.fail("I10", "%s@%s: %v", repo, v.digest.Short(), err)
		}
	})
}

// checkHashes compares the hashes with those of the chunks: each file has one.
func (v *model) checkHashes(got openapi.FileHashes) error {
	if len(got.Files) != len(v.order) {
		return fmt.Errorf("hashes of %d files, want %d", len(got.Files), len(v.order))
	}
	for i, d := range v.order {
		plain, err := codec.Decode(nil, v.chunks[d])
		if err != nil {
			return err
		}
		if sum := sha256.Sum256(plain); got.Files[i].SHA256 != hex.EncodeToString(sum[:]) {
			return fmt.Errorf("file %d has sha256 %s, want %x", i, got.Files[i].SHA256, sum)
		}
	}
	return nil
}

// learn has a replica look what others have committed.
func (c *client) learn() {
	_, _, _ = ask(c, intent{action: reads}, func(ctx context.Context, p *proc) (nothing, error) { return nothing{}, p.Learn(ctx) })
}
