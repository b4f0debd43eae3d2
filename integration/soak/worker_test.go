package soak_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// worker does one thing after another.
type worker struct {
	*round
	id    int
	rand  *rand.Rand
	dir   string
	mine  []*claim
	made  int // tags so far: none is used twice
	label label
}

// label is a tag that a worker moves between its versions. After an answer that
// was lost it may be here or there for ever, and a new one takes its place.
type label struct {
	repo name.Repo
	tag  string
}

func (r *round) newWorker(id int) *worker {
	who := fmt.Sprint("worker-", id)
	return &worker{round: r, id: id, rand: r.random(who), dir: filepath.Join(r.dir, who)}
}

func (w *worker) run(ctx context.Context) {
	defer func() { _ = os.RemoveAll(w.dir) }() // of no use to anybody
	for ctx.Err() == nil {
		switch n := w.rand.IntN(100); {
		case n < 60:
			w.push()
			if len(w.mine) > heldEach {
				w.remove(w.mine[0])
			}
		case n < 85:
			w.read()
		case n < 97:
			w.move()
		case n < 99:
			w.browse()
		default:
			w.prune()
		}
	}
}

// client returns the way to one replica, or to all.
func (w *worker) client() *client.Registry { return w.clients[w.rand.IntN(len(w.clients))] }

// call gives f the time that a call may take.
func call(f func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(context.Background(), answer)
	defer cancel()
	return f(ctx)
}

// choose makes up a model, and where to push it: something new, a variant of what
// somebody has, which is its base, the very same once more, or what was deleted.
func (w *worker) choose() (to name.Repo, made recipe, base name.Ref) {
	to = repo(w.rand.IntN(repos))
	a, b, gone := w.ledger.pick(w.rand), w.ledger.pick(w.rand), w.ledger.pickGone(w.rand)
	switch n := w.rand.IntN(100); {
	case a == nil || n < 10:
		return to, newRecipe(w.rand), base
	case n < 40:
		return to, a.model.tuned(w.rand), a.byDigest()
	case n < 52:
		return to, a.model.merged(b.model, w.rand), b.byDigest()
	case n < 60:
		return to, a.model, base
	case n < 68 || gone == nil:
		return a.repo, a.model, base
	}
	return gone.repo, gone.model, gone.byDigest()
}

func (w *worker) push() {
	to, model, base := w.choose()
	w.made++
	c := &claim{repo: to, tag: fmt.Sprintf("w%d-%d", w.id, w.made), model: model}
	if !w.pushClaim(c, base) {
		return
	}
	w.ledger.hold(c)
	w.mine = append(w.mine, c)
	if w.rand.IntN(4) == 0 {
		w.resolve(c)
	}
}

// pushClaim pushes the model of a claim, as differences from the base, if any, as far as
// somebody has pulled that lately.
func (w *worker) pushClaim(c *claim, base name.Ref) bool {
	dir := filepath.Join(w.dir, "push")
	if err := c.model.write(dir); err != nil {
		w.tally.broken("write a model: %v", err)
		return false
	}
	err := call(func(ctx context.Context) error {
		got, err := w.client().Push(ctx, dir, c.byTag(), client.PushOptions{
			Journal: w.journal(), Base: base, Cache: w.cache, Places: filepath.Join(w.dir, "places"),
		})
		if err == nil {
			w.tally.many("chunk pushed as a delta", got.ChunksDelta)
			c.digest, err = chunker.ParseDigest(got.Digest)
		}
		return err
	})
	if err != nil {
		w.tally.fail("push", err)
		w.ledger.doubt(c, "push", err)
		return false
	}
	w.tally.did("push")
	return true
}

// journal is a folder in some pushes, and nothing in others.
func (w *worker) journal() string {
	if w.rand.IntN(2) == 0 {
		return ""
	}
	return filepath.Join(w.dir, "journal")
}

// resolve asks another replica, perhaps, where the tag is.
func (w *worker) resolve(c *claim) {
	var got chunker.Digest
	err := call(func(ctx context.Context) (err error) {
		got, err = w.client().Resolve(ctx, c.byTag())
		return err
	})
	w.judge("resolve", c, err)
	if err == nil && got != c.digest && !c.letGo.Load() {
		w.tally.find(wrong, "tag %s leads to %s, want %s", c.byTag(), got, c.digest)
	}
}

// judge takes note of how a read of something acknowledged ended.
func (w *worker) judge(what string, c *claim, err error) {
	switch {
	case err == nil:
		w.tally.did(what)
	case errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) && !c.letGo.Load():
		w.tally.find(lost, "%s of %s (%s): %v", what, c.byTag(), c.digest, err)
	case errors.Is(err, client.ErrCorrupt):
		w.tally.find(wrong, "%s of %s (%s): %v", what, c.byTag(), c.digest, err)
	default:
		w.tally.fail(what, err)
	}
}

func (w *worker) read() {
	if c := w.ledger.pick(w.rand); c != nil {
		w.pull(c)
	}
}

// pull pulls a version by its tag or its name and compares every byte. It reports
// whether it could.
func (w *worker) pull(c *claim) bool {
	ref := c.byTag()
	if w.rand.IntN(2) == 0 {
		ref = c.byDigest()
	}
	dir := filepath.Join(w.dir, "pull")
	defer func() { _ = os.RemoveAll(dir) }() // of no use to anybody
	err := call(func(ctx context.Context) error {
		got, err := w.client().Pull(ctx, ref, dir, w.pullOptions())
		w.tally.many("chunk pulled as a delta", got.ChunksDelta)
		return err
	})
	w.judge("pull", c, err)
	if err != nil {
		return false
	}
	differs, err := c.model.compare(dir)
	if err != nil {
		w.tally.broken("compare what was pulled: %v", err)
	}
	if differs != "" {
		w.tally.find(wrong, "pull of %s: %s", ref, differs)
	}
	return true
}

// pullOptions has some pulls take what is at hand.
func (w *worker) pullOptions() client.PullOptions {
	if w.rand.IntN(2) == 0 {
		return client.PullOptions{}
	}
	return client.PullOptions{Cache: w.cache, Places: filepath.Join(w.dir, "places")}
}

// remove deletes a tag and then, if nothing else points at it, its version. Before
// that it wants to see it once more: what is deleted cannot be checked at the end.
func (w *worker) remove(c *claim) {
	if !w.pull(c) {
		return // another time
	}
	w.mine = w.mine[1:]
	w.ledger.release(c)
	err := call(func(ctx context.Context) error {
		return w.client().DeleteTag(ctx, c.repo, c.tag, c.digest.String())
	})
	if err != nil {
		w.tally.fail("untag", err)
		w.ledger.doubt(c, "untag", err)
		return
	}
	w.tally.did("untag")
	err = call(func(ctx context.Context) error { return w.client().DeleteVersion(ctx, c.repo, c.digest) })
	if err != nil {
		w.tally.fail("delete", err) // somebody else's tag may hold it
	} else {
		w.tally.did("delete")
	}
	w.ledger.bury(c)
	w.absent(c)
}

// absent wants a deleted tag to be gone, wherever one asks.
func (w *worker) absent(c *claim) {
	var got chunker.Digest
	err := call(func(ctx context.Context) (err error) {
		got, err = w.client().Resolve(ctx, c.byTag())
		return err
	})
	switch {
	case err == nil:
		w.tally.find(wrong, "tag %s leads to %s after it was deleted", c.byTag(), got)
	case errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}):
		w.tally.did("see deleted")
	default:
		w.tally.fail("see deleted", err)
	}
}

// move moves the worker's label to another of its versions and looks where it is.
func (w *worker) move() {
	to := one(w.mine, w.rand)
	if to == nil {
		return
	}
	if w.label.tag == "" || w.label.repo != to.repo {
		w.made++
		w.label = label{repo: to.repo, tag: fmt.Sprintf("label-%d-%d", w.id, w.made)}
	}
	err := call(func(ctx context.Context) error {
		_, err := w.client().SetTag(ctx, w.label.repo, w.label.tag, openapi.SetTag{Digest: to.digest})
		return err
	})
	if err != nil {
		w.tally.fail("tag", err)
		w.label = label{}
		return
	}
	w.tally.did("tag")
	var got chunker.Digest
	err = call(func(ctx context.Context) (err error) {
		got, err = w.client().Resolve(ctx, name.Ref{Repo: w.label.repo, Tag: w.label.tag})
		return err
	})
	if err == nil && got != to.digest {
		w.tally.find(wrong, "tag %s of %s leads to %s, was moved to %s", w.label.tag, w.label.repo, got, to.digest)
	}
	if errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
		w.tally.find(lost, "tag %s of %s is not there, was moved to %s", w.label.tag, w.label.repo, to.digest)
	}
}

// browse lists what there is: what was held all the while is in it.
func (w *worker) browse() {
	from := repo(w.rand.IntN(repos))
	held, _ := w.ledger.all()
	seen := map[string]bool{}
	err := call(func(ctx context.Context) error {
		for tag, err := range w.client().Tags(ctx, from) {
			if err != nil {
				return err
			}
			seen[tag.Name] = true
		}
		return nil
	})
	if err != nil {
		w.tally.fail("list", err)
		return
	}
	w.tally.did("list")
	for _, c := range held {
		if c.repo == from && !seen[c.tag] && !c.letGo.Load() {
			w.tally.find(lost, "tag %s (%s) is not in the list", c.byTag(), c.digest)
		}
	}
}

// prune deletes versions of anybody, as far as nothing points at them: those that
// labels have left, and those of pushes that have yet to set their tag.
func (w *worker) prune() {
	from := repo(w.rand.IntN(repos))
	var digests []chunker.Digest
	err := call(func(ctx context.Context) error {
		for v, err := range w.client().Versions(ctx, from) {
			if err != nil {
				return err
			}
			digests = append(digests, v.Digest)
		}
		return nil
	})
	if err != nil {
		w.tally.fail("list", err)
		return
	}
	w.tally.did("list")
	w.rand.Shuffle(len(digests), func(i, j int) { digests[i], digests[j] = digests[j], digests[i] })
	for _, d := range digests[:min(len(digests), 6)] {
		err := call(func(ctx context.Context) error { return w.client().DeleteVersion(ctx, from, d) })
		if err != nil {
			w.tally.fail("prune", err)
			continue
		}
		w.tally.did("prune")
		w.ledger.note("pruned %s %s", from, d)
	}
}
