package simtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/collect"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/name"
)

// tagAround sets, deletes and reads tags.
func (c *client) tagAround() {
	tag := c.tag()
	repo, v := c.present()
	expect := ""
	switch c.dice.IntN(4) {
	case 0:
		expect = c.model().digest.String()
	case 1:
		expect = openapi.ExpectNone
	}
	switch c.dice.IntN(4) {
	case 0:
		c.deleteTag(repo, tag, expect)
	case 1:
		c.readTag(repo, tag)
	default:
		c.setTag(repo, tag, v.digest, expect)
	}
}

func (c *client) setTag(repo name.Repo, tag string, d chunker.Digest, expect string) {
	began := c.step()
	_, known, err := ask(c, intent{tags, repo, d, tag}, func(ctx context.Context, p *proc) (openapi.Tag, error) {
		return p.SetTag(ctx, alice, repo, tag, openapi.SetTag{Digest: d, Expect: expect})
	})
	request := c.request
	c.tell("tagged", func() { c.judge.setTag(repo, tag, d, expect, began, request, known, err) })
}

func (c *client) deleteTag(repo name.Repo, tag, expect string) {
	if expect == openapi.ExpectNone {
		expect = ""
	}
	began := c.step()
	_, _, err := ask(c, intent{untags, repo, chunker.Digest{}, tag}, func(ctx context.Context, p *proc) (nothing, error) {
		return nothing{}, p.DeleteTag(ctx, alice, repo, tag, expect)
	})
	c.tell("untagged", func() {
		op := operation{kind: untags, expect: expect, moved: code(err) == openapi.CodeTagMoved}
		if code(err) == openapi.CodeNotFound {
			op = operation{kind: reads}
		}
		op.maybe = err != nil && !op.moved && op.kind == untags
		c.judge.ordered(record.TagKey(repo, tag), began, op)
	})
}

func (c *client) readTag(repo name.Repo, tag string) (found chunker.Digest) {
	began := c.step()
	t, _, err := ask(c, intent{action: reads, repo: repo, tag: tag}, func(ctx context.Context, p *proc) (openapi.Tag, error) {
		return p.Tag(ctx, alice, repo, tag)
	})
	if err != nil && code(err) != openapi.CodeNotFound {
		return found
	}
	op := operation{kind: reads}
	if err == nil {
		op.got = t.Digest.String()
	}
	c.tell("read tag", func() { c.judge.ordered(record.TagKey(repo, tag), began, op) })
	return t.Digest
}

// setTag notes what somebody was told who set a tag, on its own or with a commit.
func (j *judge) setTag(repo name.Repo, tag string, d chunker.Digest, expect string, began int, request string, known bool, err error) {
	key := record.TagKey(repo, tag)
	op := operation{kind: tags, to: d.String(), expect: expect}
	switch {
	case err == nil:
		j.counts.Tags++
		j.told(key, d.String(), request, began)
	case code(err) == openapi.CodeTagMoved:
		op.moved = true
	case known && (code(err) == openapi.CodeMissingChunks || code(err) == openapi.CodePushClosed || code(err) == openapi.CodeNotFound):
		return // it did not come to the tag
	default:
		op.maybe = true
	}
	op.known = known && code(err) == openapi.CodeConflict
	j.ordered(key, began, op)
	if op.maybe && (!known || op.known) {
		back := operation{kind: tags, maybe: true, back: true, known: op.known}
		for _, m := range j.pool {
			back.before = append(back.before, m.digest.String())
		}
		j.ordered(key, began, back)
	}
}

// retire deletes a version, and perhaps a tag or two that keep it.
func (c *client) retire() {
	repo, v := c.present()
	for c.dice.IntN(2) == 0 {
		c.deleteTag(repo, c.tag(), "")
	}
	_, _, err := ask(c, intent{action: deletes, repo: repo, digest: v.digest}, func(ctx context.Context, p *proc) (nothing, error) {
		return nothing{}, p.Delete(ctx, alice, repo, v.digest)
	})
	if err == nil {
		c.tell("deleted", func() { c.counts.Deletes++ })
	}
}

// errWrong is what a reader says who got other bytes than were pushed.
var errWrong = errors.New("wrong bytes")

// read reads a version by its digest or by a tag, all of it.
func (c *client) read() {
	switch c.dice.IntN(6) {
	case 0:
		c.hash()
		return
	case 1:
		c.learn()
		return
	}
	repo, v := c.present()
	if c.dice.IntN(3) == 0 {
		if d := c.readTag(repo, c.tag()); !d.IsZero() {
			v = c.modelOf(d)
		}
	}
	began, slow := c.step(), c.dice.IntN(2)*c.dice.IntN(200)
	_, known, err := ask(c, intent{action: reads, repo: repo, digest: v.digest}, func(ctx context.Context, p *proc) (nothing, error) {
		return nothing{}, v.readFrom(ctx, p, repo, slow)
	})
	c.tell("read", func() { c.judge.haveRead(repo, v, began, known, err) })
}

// haveRead holds what a reader got to what there was. A version that could be read
// all the time is read whole, unless a fault was in the way.
func (j *judge) haveRead(repo name.Repo, v *model, began int, known bool, err error) {
	switch {
	case err == nil:
		j.counts.Reads++
	case errors.Is(err, errWrong):
		j.fail("I10", "%s@%s: %v", repo, v.digest.Short(), err)
	case known && j.readableFor(repo, v.digest, began) && !errors.Is(err, errFault) &&
		!errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) && !errors.Is(err, context.Canceled) && code(err) != openapi.CodeUnavailable:
		j.fail("I1", "%s@%s could be read all the time, and a reader got: %v", repo, v.digest.Short(), err)
	}
}

func (s *sim) modelOf(d chunker.Digest) *model {
	for _, m := range s.pool {
		if m.digest == d {
			return m
		}
	}
	return s.pool[0]
}

// readFrom reads the version and compares it with what was pushed. A slow reader
// waits for some steps when it has learnt where the chunks are.
func (v *model) readFrom(ctx context.Context, p *proc, repo name.Repo, slow int) error {
	doc, err := p.Manifest(ctx, alice, repo, v.digest)
	if err != nil {
		return err
	}
	if !bytes.Equal(doc, v.doc) {
		return fmt.Errorf("manifest: %w", errWrong)
	}
	indexes := make([]uint32, len(v.order))
	for i := range indexes {
		indexes[i] = uint32(i)
	}
	located, err := p.Chunks(ctx, alice, repo, v.digest, indexes)
	if err != nil {
		return err
	}
	if slow > 0 {
		p.index.idle(whoIs(ctx), slow)
	}
	for i, l := range located {
		r, err := p.OpenChunk(ctx, l)
		if err != nil {
			return err
		}
		enc, err := io.ReadAll(r)
		if whole, _ := l.Stored(); err == nil && whole && int64(len(enc)) != l.Length {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return err
		}
		plain, err := codec.Decode(nil, enc)
		if err != nil || chunker.Sum(plain) != v.order[i] {
			return fmt.Errorf("chunk %d: %w, %v", i, errWrong, err)
		}
	}
	return nil
}

// collector returns the collector of a replica. It has no grace and no mercy.
func (p *proc) collector() *collect.Collector {
	return collect.New(collect.Config{
		Registers: p.config.Registers, Blobs: p.config.Blobs, Sweeper: p.config.Blobs.(blobs.Sweeper),
		Now: p.config.Now, Rand: p.config.Rand, Logger: p.config.Logger, Owner: p.name,
		Untagged: p.index.plan.untagged, Retire: p.Retire, Grace: -1, Readers: -1,
	})
}

// graces are how old a collection wants garbage to be. Those that are not zero make
// it want some of what nothing needs, and not the rest.
var graces = []time.Duration{0, 0, 2 * time.Minute, time.Hour}

// collect runs a collection.
func (c *client) collect() {
	grace := graces[c.dice.IntN(len(graces))]
	_, known, err := ask(c, intent{action: collects}, func(ctx context.Context, p *proc) (openapi.GCReport, error) {
		return p.collector().Run(ctx, collect.Options{Grace: &grace})
	})
	if known && code(err) == openapi.CodeInternal && strings.Contains(err.Error(), blobs.ErrNotFound.Error()) {
		c.tell("collected", func() { c.judge.fail("liveness", "a collection takes a sound registry for damaged: %v", err) })
	}
}
