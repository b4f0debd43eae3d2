package node

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/nodecache/internal/load"
	"github.com/ingot-ml/ingot/nodecache/internal/patch"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
)

const (
	// DefaultVacate is how long those who lease a version have to let it go, before it
	// is served again while the next one waits.
	DefaultVacate = 30 * time.Second
	// DefaultPatchMemory is what a patch may take beside the two versions.
	DefaultPatchMemory = 256 << 20
	// fetching is the part of that which the buffers of a fetch take.
	fetching = 64 << 20
	// againAfter is how many times the time to vacate goes by until it is asked again.
	againAfter = 4
)

var (
	// errUnpatched reports a version that can't come over another, and has to wait for
	// room of its own.
	errUnpatched = errors.New("not possible in place")
	// errSuperseded reports a version that nobody wants any more.
	errSuperseded = openapi.Errorf(openapi.CodeBusy, "the reference names another version by now; ask again")
)

// patching is one version that comes into the memory of another.
type patching struct {
	node    *Node
	job     *job
	entry   ledger.Entry
	from    ledger.Key
	old     *version
	stage   *patch.Stage
	overlay *ledger.Overlay
}

// under returns the version that k is to come over: one in RAM that every reference to
// it leaves for k, if the two have no room beside each other.
func (n *Node) under(k ledger.Key, m *manifest.Manifest) (from ledger.Key, ok bool) {
	_, evict, err := n.ram.ledger.Would(n.entry(k, openapi.TierRAM, m))
	if errors.Is(err, ledger.ErrTooLarge) {
		return from, false
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	for _, o := range n.models {
		at := o.key(o.current)
		if o.Ref.Repo != k.Repo || o.target != k.Digest || o.current.IsZero() || at == k || !n.leaves(at, k) {
			continue
		}
		if err != nil || slices.Contains(evict, at) {
			return at, true
		}
	}
	return from, false
}

// leaves reports whether a version is in RAM and every reference that is served from
// it is to be served from k. n.mu is held.
func (n *Node) leaves(from, k ledger.Key) bool {
	v := n.versions[from]
	if v == nil || !v.ram {
		return false
	}
	for _, o := range n.models {
		if o.Ref.Repo == from.Repo && o.current == from.Digest && o.target != k.Digest {
			return false
		}
	}
	return true
}

// patch brings the version of a job into the memory of another. The error is
// errUnpatched if that can't be, and then nothing has changed.
func (n *Node) patch(ctx context.Context, v *version, j *job, from ledger.Key, onDisk bool) error {
	p := &patching{node: n, job: j, from: from, entry: n.entry(j.key, openapi.TierRAM, v.manifest)}
	base, err := n.manifestHere(from)
	if err != nil || n.ram.ledger.Lease(from, n.config.Now()) != nil {
		return fmt.Errorf("%w: %s is not whole in RAM", errUnpatched, from)
	}
	n.mu.Lock()
	p.old = n.version(from)
	p.old.held++
	kept := p.old.disk && n.disk.ledger.Lease(from, n.config.Now()) == nil
	n.mu.Unlock()
	defer func() {
		if kept {
			n.disk.release(from)
		}
		n.unheld(from)
	}()
	p.stage = patch.New(p.order(v.manifest, base, kept, onDisk))
	err = p.fill(ctx, v.manifest)
	if err == nil {
		err = p.vacate(ctx)
	}
	if err != nil {
		n.ram.release(from)
		n.vacated(j)
		return err
	}
	if err := p.apply(); err != nil {
		return err
	}
	if onDisk {
		_, err = n.copyDown(j.key, v.manifest)
	}
	n.loaded(v, j, v.manifest, onDisk && err == nil)
	close(j.admitted)
	return nil
}

// order is the patch in the words of package patch.
func (p *patching) order(m, base *manifest.Manifest, kept, onDisk bool) patch.Order {
	n := p.node
	o := patch.Order{
		Manifest: m, Base: base, RAM: n.config.RAM.Domain(p.job.key.Repo.Namespace), Source: n.config.Disk, Kept: kept,
		Memory:  n.config.PatchMemory - fetching,
		Arrived: p.job.arrived.add,
		Wrong:   func() { n.count(func(c *Counters) { c.Deltas.BasesWrong++ }) },
	}
	if onDisk {
		o.Disk = n.config.Disk
	}
	if n.config.Registry != nil {
		o.Whole = func(ctx context.Context, c uint32, room []byte) ([]byte, error) {
			return n.config.Registry.Plain(ctx, p.job.key.Repo, p.job.key.Digest, m, c, room)
		}
	}
	return o
}

// fill stages what the node lacks of the version that comes.
func (p *patching) fill(ctx context.Context, m *manifest.Manifest) error {
	n, j := p.node, p.job
	if err := n.loads.Acquire(ctx, 1); err != nil {
		return err
	}
	defer n.loads.Release(1)
	there, held := n.plan(j.key, j.tier, m, nil)
	o := n.order(j, m, there, held, false)
	o.RAM, o.Disk = nil, p.stage
	o.Arrived = func(c uint32) { n.progress(j, int64(m.Chunks[c].Size)) }
	result, err := load.Run(ctx, o)
	stays := there.Sources().RAM
	result.Sources.RAM, result.Sources.Disk = stays, result.Sources.Disk-stays
	n.fill(j, m, result)
	return unpatched(err)
}

// unpatched marks errors of want of room, which there may be elsewhere.
func unpatched(err error) error {
	for _, why := range []error{tier.ErrFull, tier.ErrAbsent, ledger.ErrFull, ledger.ErrTooLarge, ledger.ErrShared, ledger.ErrUnknown} {
		if errors.Is(err, why) {
			return fmt.Errorf("%w: %w", errUnpatched, err)
		}
	}
	return err
}

// vacate takes the memory of the old version when nobody leases it any more. Those who
// do are asked to let it go; if they do not in time, it is leased again to everybody,
// until all have let it go by themselves or are asked again.
func (p *patching) vacate(ctx context.Context) error {
	n := p.node
	began := n.config.Now()
	p.waits(p.old)
	defer func() {
		p.waits(nil)
		p.job.receipt.Phases.Wait = milliseconds(n.config.Now().Sub(began))
	}()
	for {
		p.ask()
		err := p.within(ctx, n.config.Vacate)
		if errors.Is(err, ledger.ErrLeased) && ctx.Err() == nil {
			n.vacated(p.job)
			n.config.Logger.Info("version waits for those who lease the one before it", "repo", p.from.Repo.String(), "version", p.job.key.Digest.Short(), "old", p.from.Digest.Short())
			err = p.within(ctx, againAfter*n.config.Vacate)
		}
		if !errors.Is(err, ledger.ErrLeased) || ctx.Err() != nil {
			return err
		}
	}
}

// waits notes what the job waits for.
func (p *patching) waits(old *version) {
	p.node.mu.Lock()
	p.job.under = old
	p.node.mu.Unlock()
}

// ask asks those who lease the old version to let it go, and lets nobody new have it.
func (p *patching) ask() {
	n := p.node
	n.mu.Lock()
	defer n.mu.Unlock()
	p.old.vacating, p.job.over = make(chan struct{}), p.old
	for _, m := range n.models {
		if m.Ref.Repo != p.from.Repo || m.target != p.job.key.Digest {
			continue
		}
		for l := range m.leases {
			if l.key == p.from {
				l.moved.tell(m.Ref, Move{Version: p.job.key.Digest, Patch: true})
			}
		}
	}
}

// within tries until nobody leases the old version. The error is ledger.ErrLeased when
// that takes too long.
func (p *patching) within(ctx context.Context, most time.Duration) error {
	n := p.node
	timer := time.NewTimer(most)
	defer timer.Stop()
	for {
		rung := n.ram.bell.Next()
		err := p.begin()
		if !errors.Is(err, ledger.ErrLeased) {
			return unpatched(err)
		}
		select {
		case <-rung:
		case <-timer.C:
			return err
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

// begin takes the memory of the old version, if nobody leases it.
func (p *patching) begin() error {
	n := p.node
	n.ram.change.Lock()
	defer n.ram.change.Unlock()
	swaps := p.stage.Swaps()
	n.mu.Lock()
	out, err := p.beginLocked(swaps)
	n.mu.Unlock()
	n.ram.evict(out)
	return err
}

// beginLocked is begin for who holds n.mu, and n.ram.change.
func (p *patching) beginLocked(swaps []tier.Exchange) (out ledger.Eviction, err error) {
	n, now := p.node, p.node.config.Now()
	if !n.wanted(p.job.key) {
		return out, errSuperseded
	}
	if n.stopped || !n.leaves(p.from, p.job.key) {
		return out, fmt.Errorf("%w: others want %s", errUnpatched, p.from)
	}
	p.overlay, out, err = n.ram.ledger.Overlay(p.from, p.entry, swaps, now)
	if err != nil {
		return out, err
	}
	if err := p.stage.Begin(swaps); err != nil {
		p.overlay.Undo(now) // nothing has come yet
		return out, fmt.Errorf("%w: %w", errUnpatched, err)
	}
	p.old.ram = false
	return out, nil
}

// apply writes what is staged, and is not given up in between. If it fails the old
// version is there again, or gone.
func (p *patching) apply() error {
	n := p.node
	ctx := context.WithoutCancel(n.ctx)
	err := p.stage.Apply(ctx)
	if err != nil {
		err = errors.Join(err, p.revert(ctx))
	} else {
		p.commit()
	}
	n.count(func(c *Counters) {
		c.Deltas.PatchMemory = max(c.Deltas.PatchMemory, p.stage.Peak()+fetching)
		if err == nil {
			c.Deltas.Patches++
			c.Deltas.BytesPatched += p.stage.Written()
		}
	})
	return err
}

// commit makes the new version the one that is there.
func (p *patching) commit() {
	n := p.node
	n.ram.change.Lock()
	p.drop(p.overlay.Commit())
	n.ram.change.Unlock()
	n.ram.bell.Ring()
	p.job.leased = append(p.job.leased, n.ram)
	p.job.receipt.BytesPatched = p.stage.Written()
	n.tell(p.from, openapi.NodeEvent{Type: openapi.EventDropped, Tier: p.fallen()})
}

// fallen is where the old version is now.
func (p *patching) fallen() openapi.Tier {
	p.node.mu.Lock()
	defer p.node.mu.Unlock()
	return p.old.tier()
}

// drop takes out of the RAM what has left its account.
func (p *patching) drop(freed []ledger.Chunk) {
	for _, c := range freed {
		p.node.config.RAM.Domain(c.Domain).Drop(c.Digest)
	}
}

// revert puts back the old version, or lets go of both.
func (p *patching) revert(ctx context.Context) error {
	n := p.node
	n.ram.change.Lock()
	n.mu.Lock()
	freed, there := p.overlay.Undo(n.config.Now())
	var err error
	if there {
		err = p.stage.Recall()
	}
	n.mu.Unlock()
	p.drop(freed)
	n.ram.change.Unlock()
	if there && err == nil {
		err = p.stage.Restore(ctx)
	}
	if there && err == nil {
		n.mu.Lock()
		p.old.ram = true
		n.counters.Deltas.PatchesUndone++
		n.mu.Unlock()
		n.ram.release(p.from)
		return nil
	}
	p.lose(there, err)
	return fmt.Errorf("%s is gone from RAM, for it could not be put back: %w", p.from, err)
}

// lose lets go of what is left of both versions.
func (p *patching) lose(accounted bool, why error) {
	n := p.node
	p.stage.Forsake()
	if accounted {
		n.ram.release(p.from)
		_, _ = n.ram.remove(p.from) // of which nobody else knows
	}
	n.ram.bell.Ring()
	n.count(func(c *Counters) { c.Deltas.PatchesLost++ })
	n.config.Logger.Error("a patch failed, and what was there cannot be put back", "repo", p.from.Repo.String(), "version", p.from.Digest.Short(), "err", why)
	n.tell(p.from, openapi.NodeEvent{Type: openapi.EventDropped, Tier: p.fallen()})
}
