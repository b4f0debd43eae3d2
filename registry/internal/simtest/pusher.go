package simtest

import (
	"context"
	"errors"
	"slices"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/name"
)

var alice = access.Principal{Subject: "alice"}

// patience bounds how often a client tries something again.
const patience = 6

// model draws a version to do something with.
func (c *client) model() *model { return c.pool[c.dice.IntN(c.plan.versions)] }

// present draws a version that can be read, after a while if there is none yet. If
// there is none then either, it draws one that cannot.
func (c *client) present() (name.Repo, *model) {
	for range 10 {
		var keys []string
		c.tell("look around", func() {
			for _, key := range sorted(c.judge.heads) {
				if c.judge.heads[key].Readable() {
					keys = append(keys, key)
				}
			}
		})
		if len(keys) == 0 {
			continue
		}
		repo, digest, err := record.ParseKey(keys[c.dice.IntN(len(keys))])
		if d, bad := chunker.ParseDigest(digest); err == nil && bad == nil {
			return repo, c.modelOf(d)
		}
	}
	return c.repo(), c.model()
}

func (c *client) repo() name.Repo {
	if c.dice.IntN(2) == 0 {
		return repos[0] // most meet here
	}
	return repos[c.dice.IntN(len(repos))]
}

func (c *client) tag() string { return tagNames[c.dice.IntN(len(tagNames))] }

// nothing is the answer of a request that has none.
type nothing = struct{}

func code(err error) openapi.Code {
	var e *openapi.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}

// push pushes a version as a client does: again and again until it is there.
func (c *client) push() {
	repo, v := c.repo(), c.model()
	for range patience {
		push, _, err := ask(c, intent{action: pushes, repo: repo}, func(ctx context.Context, p *proc) (openapi.Push, error) {
			return p.StartPush(ctx, alice, repo)
		})
		if err == nil && c.dice.IntN(4) == 0 { // as a client does that has lost patience and its memory
			c.twin(func(c *client) { c.upload(push.ID, repo, v) })
		}
		if err == nil && c.upload(push.ID, repo, v) {
			return
		}
	}
}

// upload sends what is missing and commits. It returns false if another push has
// to be started.
func (c *client) upload(id string, repo name.Repo, v *model) bool {
	tag := ""
	if !c.plan.tagless && c.dice.IntN(3) == 0 {
		tag = c.tag()
	}
	missing := v.order
	if c.dice.IntN(4) > 0 {
		missing = c.missing(id, repo, v)
	}
	for range patience {
		c.send(id, repo, v, missing)
		err := c.commit(id, repo, v, tag)
		var refused *openapi.Error
		errors.As(err, &refused)
		switch code(err) {
		case openapi.CodePushClosed:
			return false
		case openapi.CodeBadManifest, openapi.CodeTagMoved:
			return true
		case openapi.CodeMissingChunks:
			missing = nil
			for _, i := range refused.Missing {
				missing = append(missing, v.order[i])
			}
		default:
			if err == nil {
				return true
			}
			missing = c.missing(id, repo, v)
		}
	}
	return true
}

// missing asks which chunks have to be sent: all, when there is no answer.
func (c *client) missing(id string, repo name.Repo, v *model) []chunker.Digest {
	flags, _, err := ask(c, intent{action: pushes, repo: repo}, func(ctx context.Context, p *proc) ([]bool, error) {
		return p.Missing(ctx, alice, id, v.order)
	})
	if err != nil {
		return v.order
	}
	var missing []chunker.Digest
	for i, yes := range flags {
		if yes {
			missing = append(missing, v.order[i])
		}
	}
	return missing
}

// send uploads chunks, together or one by one. What fails is found missing later.
func (c *client) send(id string, repo name.Repo, v *model, digests []chunker.Digest) {
	what := intent{action: pushes, repo: repo}
	if c.dice.IntN(2) == 0 {
		c.sendDeltas(id, repo, v, digests)
		return
	}
	for part := range slices.Chunk(digests, 1+c.dice.IntN(len(v.order))) {
		if len(part) == 1 && c.dice.IntN(2) == 0 {
			_, _, _ = ask(c, what, func(ctx context.Context, p *proc) (openapi.Received, error) {
				return p.PutChunk(ctx, alice, id, part[0], v.chunks[part[0]])
			})
			continue
		}
		var batch []versions.Encoded
		for _, d := range part {
			batch = append(batch, versions.Encoded{Digest: d, Bytes: v.chunks[d]})
		}
		_, _, _ = ask(c, what, func(ctx context.Context, p *proc) (openapi.Received, error) {
			return p.PutBatch(ctx, alice, id, batch)
		})
	}
}

// sendDeltas uploads chunks as deltas of those of another version, wherever that is, and
// whole where that one cannot be used.
func (c *client) sendDeltas(id string, repo name.Repo, v *model, digests []chunker.Digest) {
	where, from := c.present()
	var batch []versions.Encoded
	for i, d := range digests {
		base := from.order[i%len(from.order)]
		if enc := v.deltaOf(d, from.plains[base], base); enc != nil && base != d {
			batch = append(batch, versions.Encoded{Digest: d, Bytes: enc})
		} else {
			batch = append(batch, versions.Encoded{Digest: d, Bytes: v.chunks[d]})
		}
	}
	src := versions.Source{Repo: where.String(), Version: from.digest}
	what := intent{action: pushes, repo: repo}
	_, _, err := ask(c, what, func(ctx context.Context, p *proc) (openapi.Received, error) {
		return p.PutDeltas(ctx, alice, id, batch, src)
	})
	if err == nil {
		c.tell("sent deltas", func() { c.counts.Deltas++ })
	}
	if code(err) != openapi.CodeNoBase {
		return
	}
	for i := range batch {
		batch[i].Bytes = v.chunks[batch[i].Digest]
	}
	_, _, _ = ask(c, what, func(ctx context.Context, p *proc) (openapi.Received, error) {
		return p.PutBatch(ctx, alice, id, batch)
	})
}

// commit commits, and holds the registry to its answer.
func (c *client) commit(id string, repo name.Repo, v *model, tag string) error {
	began := c.step()
	_, known, err := ask(c, intent{commits, repo, v.digest, tag}, func(ctx context.Context, p *proc) (openapi.Committed, error) {
		return p.Commit(ctx, alice, id, v.doc, tag, "")
	})
	request := c.request
	c.tell("committed", func() {
		if tag != "" {
			c.judge.setTag(repo, tag, v.digest, "", began, request, known, err)
		}
		if err == nil {
			c.counts.Commits++
			c.judge.acknowledged(repo, v.digest, began)
		}
	})
	return err
}
