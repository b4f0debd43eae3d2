package soak_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// pushLife is how long a push lives that nobody goes on with: the least that serve
// takes.
const pushLife = time.Minute

// check brings peace and holds everything to the ledger: as the replicas are, and
// again after all have been started anew and the garbage was collected twice.
func (r *round) check(ctx context.Context) error {
	ended := time.Now()
	if err := r.peace(ctx); err != nil {
		return err
	}
	if err := r.readBack(ctx); err != nil {
		return err
	}
	if err := r.restart(ctx); err != nil {
		return err
	}
	if r.whole {
		wait(ctx, time.Until(ended.Add(pushLife+time.Second)))
	}
	for i := range 2 {
		report, err := upkeep[openapi.GCReport]("http://"+r.replicas[i%len(r.replicas)].addr, "gc", noGrace())
		if err != nil {
			return fmt.Errorf("collect in peace: %w", err)
		}
		r.ledger.note("collected in peace: %+v", report)
		r.epoch(report.Epoch)
		for _, a := range report.Anomalies {
			r.tally.broken("collection in peace: %s", a)
		}
	}
	if err := r.verifyAll(ctx); err != nil {
		return err
	}
	if err := r.readBack(ctx); err != nil {
		return err
	}
	for _, one := range r.replicas {
		one.process.close()
	}
	c, err := r.backend.contents(ctx)
	if err != nil {
		return fmt.Errorf("read the store: %w", err)
	}
	r.compare(c)
	return nil
}

// epoch takes note of the last epoch of the round, which is how many there were.
func (r *round) epoch(n uint64) {
	r.tally.mu.Lock()
	defer r.tally.mu.Unlock()
	r.tally.epochs += n - r.epochs
	r.epochs = n
}

// readBack pulls everything that is in the ledger, and everything else that a tag
// points at.
func (r *round) readBack(ctx context.Context) error {
	c, err := client.New("http://"+r.replicas[r.random("check").IntN(len(r.replicas))].addr, client.Options{})
	if err != nil {
		return err
	}
	defer c.Close()
	held, doubts := r.ledger.all()
	known := map[string]bool{}
	for _, one := range append(held, doubts...) {
		known[one.byTag().String()] = true
	}
	each(held, func(one *claim) { r.holdBack(ctx, c, one) })
	each(doubts, func(one *claim) { r.doubtBack(ctx, c, one) })
	return r.readRest(ctx, c, known)
}

// each calls f with all claims, several at a time.
func each(claims []*claim, f func(*claim)) {
	todo := make(chan *claim)
	var all sync.WaitGroup
	for range 8 {
		all.Go(func() {
			for one := range todo {
				f(one)
			}
		})
	}
	for _, one := range claims {
		todo <- one
	}
	close(todo)
	all.Wait()
}

// holdBack wants what was acknowledged.
func (r *round) holdBack(ctx context.Context, c *client.Registry, one *claim) {
	at, err := c.Resolve(ctx, one.byTag())
	if err == nil && at != one.digest {
		r.tally.find(wrong, "in the end tag %s leads to %s, want %s", one.byTag(), at, one.digest)
	}
	r.pullBack(ctx, c, one, lost)
}

// doubtBack wants a tag without an answer to be there, whole, or not to be there.
func (r *round) doubtBack(ctx context.Context, c *client.Registry, one *claim) {
	_, err := c.Resolve(ctx, one.byTag())
	switch {
	case err == nil && r.pullBack(ctx, c, one, wrong):
		r.tally.did("doubtful, whole")
	case errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}):
		r.tally.did("doubtful, absent")
	}
}

// pullBack pulls a version by its tag. One that is not there, or not whole, is a
// finding of that kind.
func (r *round) pullBack(ctx context.Context, c *client.Registry, one *claim, kind string) bool {
	dir, err := os.MkdirTemp(r.dir, "back-")
	if err != nil {
		r.tally.broken("make a folder: %v", err)
		return false
	}
	defer func() { _ = os.RemoveAll(dir) }() // of no use to anybody
	_, err = c.Pull(ctx, one.byTag(), dir, client.PullOptions{})
	if err != nil {
		if kind == wrong && errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
			// The tag that nobody was told of points at a version that was deleted in the
			// same moment: the one thing that a crash may leave behind.
			r.tally.did("doubtful, dangling")
			return false
		}
		r.tally.find(kind, "in the end, pull of %s (%s): %v", one.byTag(), one.digest, err)
		return false
	}
	differs, err := one.model.compare(dir)
	if differs != "" || err != nil {
		r.tally.find(wrong, "in the end, pull of %s: %s %v", one.byTag(), differs, err)
	}
	return true
}

// readRest verifies what other tags point at: labels, and what contests have left.
func (r *round) readRest(ctx context.Context, c *client.Registry, known map[string]bool) error {
	for repo, err := range c.Repos(ctx, "") {
		if err != nil {
			return fmt.Errorf("list models: %w", err)
		}
		home, err := name.ParseRepo(repo.Name)
		if err != nil {
			return err
		}
		for tag, err := range c.Tags(ctx, home) {
			if err != nil {
				return fmt.Errorf("list tags: %w", err)
			}
			ref := name.Ref{Repo: home, Tag: tag.Name}
			if known[ref.String()] {
				continue
			}
			_, err := c.Verify(ctx, ref, client.VerifyOptions{})
			switch {
			case err == nil:
				r.tally.did("other tags, whole")
			case errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}):
				r.tally.did("other tags, dangling")
			default:
				r.tally.find(wrong, "in the end, tag %s: %v", ref, err)
			}
		}
	}
	return nil
}

// verifyAll has the program verify everything, as an operator would.
func (r *round) verifyAll(ctx context.Context) error {
	cmd := exec.CommandContext(ctx, r.program, "verify", "--all", "--registry", "http://"+r.replicas[0].addr)
	cmd.Env = r.environ()
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		r.tally.find(lost, "verify --all: exit code %d: %.2000s", exit.ExitCode(), out)
		return nil
	}
	r.ledger.note("verify --all: %s", strings.TrimSpace(string(out)))
	return err
}
