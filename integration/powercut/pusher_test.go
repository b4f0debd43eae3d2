package powercut_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// head is the tag that every push of a pusher moves.
const head = "main"

// power tells clients that it is about to be cut, or is.
type power struct{ off atomic.Bool }

// pusher pushes one version after the other, and removes some of the older ones.
type pusher struct {
	*ledger
	registry *client.Registry
	dir      string
	rand     *rand.Rand
	acked    chan<- struct{} // told of every acknowledgement, if somebody listens
}

// run pushes until something fails, and returns that unless the power is off. A push
// may come to nothing where a collection without any grace frees, again and again, what
// it has just sent.
func (p *pusher) run(ctx context.Context, on *power) error {
	for {
		err := p.push(ctx)
		if errors.Is(err, &openapi.Error{Code: openapi.CodeMissingChunks}) {
			err = nil
		}
		if err == nil && p.rand.IntN(4) == 0 {
			err = p.remove(ctx)
		}
		if on.off.Load() {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (p *pusher) push(ctx context.Context) error {
	p.mu.Lock()
	p.pushed++
	number := p.pushed
	p.mu.Unlock()
	dir := filepath.Join(p.dir, fmt.Sprint(number))
	defer func() { _ = os.RemoveAll(dir) }() // it is in the folder of the test
	if err := p.write(dir, number); err != nil {
		return err
	}
	got, err := p.registry.Push(ctx, dir, name.Ref{Repo: p.repo, Tag: head}, client.PushOptions{})
	p.mu.Lock()
	defer p.mu.Unlock()
	if err != nil {
		p.unanswered = append(p.unanswered, number)
		return err
	}
	digest, err := chunker.ParseDigest(got.Digest)
	if err != nil {
		return err
	}
	p.claims = append(p.claims, &claim{number: number, digest: digest})
	p.acks++
	select {
	case p.acked <- struct{}{}:
	default:
	}
	return nil
}

// remove removes a version, but never the newest, which has the tag.
func (p *pusher) remove(ctx context.Context) error {
	p.mu.Lock()
	var c *claim
	if n := len(p.claims) - 1; n > 0 {
		c = p.claims[p.rand.IntN(n)]
	}
	if c == nil || c.state != acknowledged {
		p.mu.Unlock()
		return nil
	}
	c.state = removing
	p.mu.Unlock()
	if err := p.registry.DeleteVersion(ctx, p.repo, c.digest); err != nil {
		return err
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	c.state = removed
	p.removals++
	return nil
}

// collects collects what nothing needs again and again, without any grace, and counts
// collections. It returns why one failed, unless the power is off.
func collects(ctx context.Context, r *client.Registry, on *power, collections *int) error {
	none := int64(0)
	for {
		_, err := r.CollectGarbage(ctx, openapi.GCRequest{GraceSeconds: &none}, nil)
		if on.off.Load() {
			return nil
		}
		if err != nil {
			return err
		}
		*collections++
		time.Sleep(20 * time.Millisecond) // for pushes to come to something
	}
}
