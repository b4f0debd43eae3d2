package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// askFor is how long the registry may take to say where a tag is when the node
// has a version to serve.
const askFor = 5 * time.Second

// within bounds a wait, by the node's patience if the caller has none.
func (n *Node) within(ctx context.Context, deadline time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, cmp.Or(deadline, n.config.Wait))
}

// resolve returns the version that ref names now; if the registry can't be asked,
// the one that the node serves.
func (n *Node) resolve(ctx context.Context, ref name.Ref) (chunker.Digest, error) {
	if n.config.Registry == nil {
		return n.resolveBy(ctx, ref, nil)
	}
	return n.resolveBy(ctx, ref, n.config.Registry.Resolve)
}

// resolveBy is resolve with who asks the registry.
func (n *Node) resolveBy(ctx context.Context, ref name.Ref, ask func(context.Context, name.Ref) (chunker.Digest, error)) (chunker.Digest, error) {
	if !ref.Digest.IsZero() {
		return ref.Digest, nil
	}
	n.mu.Lock()
	var current chunker.Digest
	if m := n.models[ref]; m != nil {
		current = m.current
	}
	n.mu.Unlock()
	if ask == nil {
		if current.IsZero() {
			return current, errNoRegistry
		}
		return current, nil
	}
	asking, cancel := ctx, context.CancelFunc(func() {})
	if !current.IsZero() {
		asking, cancel = context.WithTimeout(ctx, askFor)
	}
	defer cancel()
	d, err := ask(asking, ref)
	if asking.Err() != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w: %w", err, client.ErrUnreachable)
	}
	n.Reached(err)
	if errors.Is(err, client.ErrUnreachable) && !current.IsZero() {
		return current, nil
	}
	return d, err
}

// Reached notes whether the registry has answered somebody.
func (n *Node) Reached(err error) {
	gone := errors.Is(err, client.ErrUnreachable)
	if err != nil && !gone && !errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
		return
	}
	n.mu.Lock()
	changed := n.registry.Reachable == gone
	if changed {
		n.registry.Reachable, n.registry.Since = !gone, n.config.Now()
	}
	n.registry.Error = ""
	if gone {
		n.registry.Error, n.asked = err.Error(), n.config.Now()
	}
	n.mu.Unlock()
	if !changed {
		return
	}
	message := "the registry answers"
	if gone {
		message = "the registry does not answer: " + err.Error()
		n.config.Logger.Warn("the registry does not answer", "err", err)
	} else {
		n.config.Logger.Info("the registry answers")
	}
	n.events.tell(openapi.NodeEvent{Type: openapi.EventRegistry, Message: message})
}

// Following notes how the node hears of tags that move.
func (n *Node) Following(how string) {
	n.mu.Lock()
	n.registry.Following = how
	n.mu.Unlock()
}

// Load brings the version that ref names now into the tier and serves it.
func (n *Node) Load(ctx context.Context, o LoadOrder) (openapi.LoadReceipt, error) {
	ref, to := o.Ref, o.Tier
	what := fmt.Sprintf("load %s into %s", ref, to)
	if to == openapi.TierGPU && len(n.config.GPUs) == 0 {
		return openapi.LoadReceipt{}, n.noGPU(what)
	}
	if to == openapi.TierGPU {
		receipt, err := n.loadGPU(ctx, o)
		return receipt, told(what, err)
	}
	if n.shelf(to) == nil {
		return openapi.LoadReceipt{}, noTier(what, to)
	}
	ctx, cancel := n.within(ctx, o.Deadline)
	defer cancel()
	d, err := n.resolve(ctx, ref)
	if err != nil {
		return openapi.LoadReceipt{}, told(what, err)
	}
	m, before := n.aim(ref, d)
	receipt, err := n.bring(ctx, m.key(d), to)
	receipt.Ref = ref.String()
	n.aimed(m, d, before, to, err)
	return receipt, told(what, err)
}

// aim makes d the version that ref is to be served from, and returns which was to
// be before.
func (n *Node) aim(ref name.Ref, d chunker.Digest) (m *model, before chunker.Digest) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m = n.model(ref)
	before, m.target, m.lastUse = m.target, d, n.config.Now()
	return m, before
}

// aimed notes how that has ended.
func (n *Node) aimed(m *model, d, before chunker.Digest, to openapi.Tier, err error) {
	n.mu.Lock()
	if err != nil && m.target == d && m.current != d {
		m.target = before
	} else if err == nil {
		m.hold, m.failed = max(m.hold, to), nil
	}
	n.mu.Unlock()
	n.forgetModel(m.Ref)
}

// forgetModel forgets a reference of which the node has nothing and that nobody
// told it to keep.
func (n *Node) forgetModel(ref name.Ref) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.models[ref]
	if m == nil || m.kept || m.keeping || len(m.leases)+len(m.declared) > 0 || n.mapping(ref) {
		return
	}
	v := n.versions[m.key(m.current)]
	t := n.versions[m.key(m.target)]
	if v == nil && t == nil {
		delete(n.models, ref)
	}
}

// bring makes a version resident.
func (n *Node) bring(ctx context.Context, k ledger.Key, to openapi.Tier) (openapi.LoadReceipt, error) {
	if receipt, ok := n.present(k, to); ok {
		return receipt, nil
	}
	j := n.join(ctx, k, to, nil)
	defer n.leave(j)
	if err := n.await(ctx, j, nil, nil); err != nil {
		return openapi.LoadReceipt{}, err
	}
	return j.receipt, nil
}

// present returns the receipt of a load of what is there already, and serves it.
func (n *Node) present(k ledger.Key, to openapi.Tier) (openapi.LoadReceipt, bool) {
	n.mu.Lock()
	v := n.versions[k]
	if !v.in(to) {
		n.mu.Unlock()
		return openapi.LoadReceipt{}, false
	}
	total, chunks := v.total, v.chunks
	n.mu.Unlock()
	n.shelf(to).ledger.Touch(k, n.config.Now())
	n.serve(k)
	r := openapi.LoadReceipt{Version: k.Digest, Tier: to, BytesTotal: total, BytesReused: total, ChunksTotal: chunks}
	if to == openapi.TierDisk {
		r.Sources.Disk = total
	} else {
		r.Sources.RAM = total
	}
	return r, true
}

// serve makes every reference whose target is k be served from k, and tells those
// who lease another version of it.
func (n *Node) serve(k ledger.Key) {
	var old []ledger.Key
	moved := false
	n.mu.Lock()
	for _, m := range n.models {
		if m.Ref.Repo != k.Repo || m.target != k.Digest || m.current == k.Digest {
			continue
		}
		moved = true
		if !m.current.IsZero() {
			old = append(old, m.key(m.current))
			n.leaveBehind(m)
			n.counters.Switches++
			n.events.tell(openapi.NodeEvent{
				Type: openapi.EventSwitched, Ref: m.Ref.String(), Version: k.Digest.String(), Tier: n.versions[k].tier(),
			})
		}
		m.current, m.failed, m.deleted = k.Digest, nil, false
		for l := range m.leases {
			l.moved.tell(m.Ref, Move{Version: k.Digest})
		}
		for d := range m.declared {
			d.moved.tell(m.Ref, Move{Version: k.Digest})
		}
		n.tellMapped(m)
	}
	n.mu.Unlock()
	n.repin(k)
	for _, o := range old {
		n.repin(o)
		n.settle(o)
	}
	if moved && n.config.Moved != nil {
		n.config.Moved()
	}
	n.dirty.Ring()
}

// repin makes the accounts say of a version whether some reference pins it.
func (n *Node) repin(k ledger.Key) {
	n.mu.Lock()
	pinned := false
	for _, m := range n.models {
		pinned = pinned || m.Pin && m.Ref.Repo == k.Repo && m.current == k.Digest
	}
	n.mu.Unlock()
	n.disk.ledger.Pin(k, pinned)
	n.disk.ledger.Pin(k.AsFiles(), pinned)
	if n.ram != nil {
		n.ram.ledger.Pin(k, pinned)
		n.ram.bell.Ring()
	}
	n.disk.bell.Ring()
	for _, g := range n.config.GPUs {
		g.Pin(k, pinned)
	}
}
