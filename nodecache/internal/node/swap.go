package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/gpu"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// unasked is the priority of what the node does by itself: behind all who ask.
const unasked = -1

// Swap has those who use one version on a GPU use another: what o.From is there,
// and what o.To names now.
func (n *Node) Swap(ctx context.Context, o SwapOrder) (openapi.SwapReceipt, error) {
	what := fmt.Sprintf("swap %s to %s", o.From, o.To)
	if len(n.config.GPUs) == 0 {
		return openapi.SwapReceipt{}, n.noGPU(what)
	}
	ctx, cancel := n.within(ctx, o.Deadline)
	defer cancel()
	if _, _, err := n.there(o.From, o.Device); err != nil {
		return openapi.SwapReceipt{}, told(what, err)
	}
	d, err := n.resolve(ctx, o.To)
	if err != nil {
		return openapi.SwapReceipt{}, told(what, err)
	}
	end, err := n.turns(ctx, o.From, o.To)
	if err != nil {
		return openapi.SwapReceipt{}, told(what, err)
	}
	defer end()
	m, before := n.aim(o.To, d)
	receipt, err := n.swap(ctx, o, m.key(d))
	n.aimed(m, d, before, openapi.TierGPU, err)
	n.forgetModel(o.From)
	n.dirty.Ring()
	return receipt, told(what, err)
}

// swap is Swap for who has the turn of both references.
func (n *Node) swap(ctx context.Context, o SwapOrder, k ledger.Key) (openapi.SwapReceipt, error) {
	g, from, err := n.there(o.From, o.Device)
	if err != nil {
		return openapi.SwapReceipt{}, err
	}
	if _, err := n.bringFor(ctx, g, k); err != nil {
		return openapi.SwapReceipt{}, err
	}
	var receipt openapi.SwapReceipt
	if from == k {
		receipt, err = g.Load(ctx, n.onto(o.To, k, nil), gpu.Order{Priority: o.Priority})
	} else {
		receipt, err = g.Swap(ctx, from, n.onto(o.To, k, nil), gpu.Order{Priority: o.Priority})
	}
	if err != nil {
		return openapi.SwapReceipt{}, err
	}
	receipt.From, receipt.FromVersion = o.From.String(), from.Digest.String()
	receipt.To, receipt.Version, receipt.Device = o.To.String(), k.Digest, g.UUID()
	n.landed(o.To, g)
	if o.From != o.To {
		n.mu.Lock()
		if m := n.models[o.From]; m != nil { // it is not wanted there any more
			m.hold, m.Tier = min(m.hold, openapi.TierRAM), min(m.Tier, openapi.TierRAM)
		}
		n.mu.Unlock()
	}
	n.repin(k)
	n.settle(from)
	return receipt, nil
}

// there returns the GPU on which ref is, and the version that it is there: that
// which is served, or one before it.
func (n *Node) there(ref name.Ref, uuid string) (GPU, ledger.Key, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	gpus := n.config.GPUs
	if uuid != "" {
		g, err := n.named(uuid)
		if err != nil {
			return nil, ledger.Key{}, err
		}
		gpus = []GPU{g}
	}
	for _, k := range n.been(ref) {
		at := slices.DeleteFunc(slices.Clone(gpus), func(g GPU) bool { return !g.Has(k) })
		switch len(at) {
		case 0:
			continue
		case 1:
			return at[0], k, nil
		}
		return nil, ledger.Key{}, openapi.Errorf(openapi.CodeBadRequest, "%s is on %d GPUs: say which", ref, len(at))
	}
	return nil, ledger.Key{}, openapi.Errorf(openapi.CodeNotFound, "%s is not on the GPU; `ingot status` lists what is", ref)
}

// been lists the versions that ref is or was, the one that is served first. n.mu is
// held.
func (n *Node) been(ref name.Ref) (list []ledger.Key) {
	if !ref.Digest.IsZero() {
		return []ledger.Key{{Repo: ref.Repo, Digest: ref.Digest}}
	}
	m := n.models[ref]
	if m == nil {
		return nil
	}
	list = append(list, m.key(m.current))
	list = append(list, m.left...)
	for l := range n.mapped {
		if l.Ref() == ref {
			list = append(list, l.key())
		}
	}
	return list
}

// turns waits for the turns to move references on GPUs, and returns what ends them.
func (n *Node) turns(ctx context.Context, refs ...name.Ref) (end func(), err error) {
	slices.SortFunc(refs, func(a, b name.Ref) int { return cmp.Compare(a.String(), b.String()) })
	var taken []*model
	end = func() {
		for _, m := range taken {
			m.turn.Release(1)
		}
	}
	for _, ref := range slices.Compact(refs) {
		n.mu.Lock()
		m := n.model(ref)
		n.mu.Unlock()
		if err := m.turn.Acquire(ctx, 1); err != nil {
			end()
			return nil, fmt.Errorf("others who move %s on a GPU came first: %w", ref, err)
		}
		taken = append(taken, m)
	}
	return end, nil
}

// loadGPU brings the version that a reference names now onto a GPU.
func (n *Node) loadGPU(ctx context.Context, o LoadOrder) (openapi.LoadReceipt, error) {
	ctx, cancel := n.within(ctx, o.Deadline)
	defer cancel()
	d, err := n.resolve(ctx, o.Ref)
	if err != nil {
		return openapi.LoadReceipt{}, err
	}
	g, err := n.choose(o.Ref, ledger.Key{Repo: o.Ref.Repo, Digest: d}, o.Device)
	if err != nil {
		return openapi.LoadReceipt{}, err
	}
	if o.Hint {
		n.hint(o.Ref, d, g)
		return openapi.LoadReceipt{Ref: o.Ref.String(), Version: d, Tier: o.Tier}, nil
	}
	m, before := n.aim(o.Ref, d)
	receipt, err := n.onGPU(ctx, m, m.key(d), g, 0)
	receipt.Ref = o.Ref.String()
	n.aimed(m, d, before, openapi.TierGPU, err)
	n.dirty.Ring()
	return receipt, err
}

// onGPU brings a version of m onto a GPU, when it is its turn.
func (n *Node) onGPU(ctx context.Context, m *model, k ledger.Key, g GPU, priority int) (openapi.LoadReceipt, error) {
	end, err := n.turns(ctx, m.Ref)
	if err != nil {
		return openapi.LoadReceipt{}, err
	}
	defer end()
	began := n.config.Now()
	receipt, err := n.bringFor(ctx, g, k)
	if err != nil {
		return receipt, err
	}
	moved, err := n.replace(ctx, m, k, g, true, priority)
	if err != nil {
		return openapi.LoadReceipt{}, err
	}
	n.landed(m.Ref, g)
	n.repin(k)
	receipt.Tier, receipt.GPU, receipt.Seconds = openapi.TierGPU, &moved, n.config.Now().Sub(began).Seconds()
	return receipt, nil
}

// bringFor brings into RAM what is to be on a GPU, unless it is there, and serves
// it.
func (n *Node) bringFor(ctx context.Context, g GPU, k ledger.Key) (openapi.LoadReceipt, error) {
	if !g.Has(k) {
		receipt, err := n.bring(ctx, k, openapi.TierRAM)
		return receipt, told(intoRAM, err)
	}
	n.serve(k)
	n.mu.Lock()
	defer n.mu.Unlock()
	v := n.version(k)
	return openapi.LoadReceipt{Version: k.Digest, BytesTotal: v.total, BytesReused: v.total, ChunksTotal: v.chunks}, nil
}

// landed notes where a reference is now.
func (n *Node) landed(ref name.Ref, g GPU) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.model(ref)
	m.hold, m.device, m.lastUse = openapi.TierGPU, g.UUID(), n.config.Now()
}

// replace puts k on a GPU: in the place of what m was there, for those who follow m
// and if nobody wants that any more, else beside it if it is to be there. The caller
// has the turn of m.
func (n *Node) replace(ctx context.Context, m *model, k ledger.Key, g GPU, beside bool, priority int) (receipt openapi.SwapReceipt, err error) {
	n.mu.Lock()
	old := slices.DeleteFunc(slices.Clone(m.left), func(old ledger.Key) bool { return old == k || !n.gives(m, old, g) })
	n.mu.Unlock()
	placed := false
	for _, from := range old {
		moved, err := g.Swap(ctx, from, n.onto(m.Ref, k, nil), gpu.Order{Follow: true, Priority: priority})
		if errors.Is(err, gpu.ErrNotOn) {
			continue // and who follows gets the other one when he asks
		}
		if err != nil {
			return receipt, err
		}
		receipt, placed = moved, true
	}
	if placed || !beside {
		return receipt, nil
	}
	return g.Load(ctx, n.onto(m.Ref, k, nil), gpu.Order{Priority: priority})
}

// gives reports whether what m was on a GPU gives its place to what m is: for those
// who follow m, or because nobody wants it. n.mu is held.
func (n *Node) gives(m *model, old ledger.Key, g GPU) bool {
	if n.followers(m.Ref, old, g) {
		return true
	}
	for _, o := range n.models {
		if o != m && o.Ref.Repo == old.Repo && (o.current == old.Digest || o.target == old.Digest) {
			return false
		}
	}
	return g.Has(old) && g.Leases(old) == 0
}

// leave notes that a version is to be replaced on GPUs. n.mu is held.
func (m *model) leave(k ledger.Key) {
	if !slices.Contains(m.left, k) {
		m.left = append(m.left, k)
	}
}

// leaveBehind has a reference that is about to be served from another version be
// replaced where it is on a GPU. n.mu is held.
func (n *Node) leaveBehind(m *model) {
	k := m.key(m.current)
	used := len(n.on(k)) > 0
	for l := range n.mapped {
		used = used || l.order.Follow && l.Ref() == m.Ref && l.key() == k
	}
	if used {
		m.leave(k)
		n.keepLocked(m)
	}
}

// tellMapped tells those who use a version of m on a GPU and do not follow that m
// has another one now. n.mu is held.
func (n *Node) tellMapped(m *model) {
	for l := range n.mapped {
		if l.Ref() == m.Ref && !l.order.Follow && l.Version() != m.current {
			l.moved.tell(m.Ref, Move{Version: m.current})
		}
	}
}

// follow replaces on every GPU what m was before, and lets go of that.
func (n *Node) follow(m *model) error {
	end, err := n.turns(n.ctx, m.Ref)
	if err != nil {
		return err
	}
	defer end()
	ctx, cancel := n.within(n.ctx, 0)
	defer cancel()
	n.mu.Lock()
	k, left, beside := m.key(m.current), slices.Clone(m.left), m.hold == openapi.TierGPU
	n.mu.Unlock()
	var errs []error
	for _, g := range n.config.GPUs {
		if !n.concerns(m, left, g) {
			continue
		}
		_, err := n.replace(ctx, m, k, g, beside, unasked)
		errs = append(errs, err)
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	n.repin(k)
	n.mu.Lock()
	m.failed = nil
	m.left = slices.DeleteFunc(m.left, func(k ledger.Key) bool { return slices.Contains(left, k) })
	for _, o := range n.models { // who is served from what gave its place
		if o != m && o.Tier == openapi.TierGPU && slices.Contains(left, o.key(o.current)) {
			n.keepLocked(o)
		}
	}
	n.mu.Unlock()
	for _, old := range left {
		n.repin(old)
		n.settle(old)
	}
	return nil
}

// concerns reports whether a GPU has something to replace of what m has left.
func (n *Node) concerns(m *model, left []ledger.Key, g GPU) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return slices.ContainsFunc(left, func(old ledger.Key) bool {
		return m.key(m.current) != old && (n.followers(m.Ref, old, g) || m.hold == openapi.TierGPU && g.Has(old))
	})
}

// keepOnGPU brings a version that is configured to be on a GPU there.
func (n *Node) keepOnGPU(m *model, k ledger.Key) error {
	g, err := n.choose(m.Ref, k, "")
	if err == nil {
		ctx, cancel := n.within(n.ctx, 0)
		defer cancel()
		_, err = n.onGPU(ctx, m, k, g, unasked)
	}
	return err
}

// hint brings a version onto a GPU behind the call, if nothing else has to make
// room for it.
func (n *Node) hint(ref name.Ref, d chunker.Digest, g GPU) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.going(func() {
		m, before := n.aim(ref, d)
		err := n.hinted(m, m.key(d), g)
		n.aimed(m, d, before, openapi.TierGPU, err)
		if err != nil && n.ctx.Err() == nil {
			n.config.Logger.Info("hint was not taken", "ref", ref.String(), "err", err)
		}
	})
}

// errNoFreeRoom reports a hint for which others would have to leave.
var errNoFreeRoom = errors.New("there is no room that is free")

func (n *Node) hinted(m *model, k ledger.Key, g GPU) error {
	ctx, cancel := n.within(n.ctx, 0)
	defer cancel()
	doc, err := n.manifest(ctx, k)
	if err != nil {
		return err
	}
	if n.ram == nil {
		return noTier("hint", openapi.TierRAM)
	}
	if _, out, err := n.ram.ledger.Would(n.entry(k, openapi.TierRAM, doc)); err != nil || len(out) > 0 {
		return errors.Join(errNoFreeRoom, err)
	}
	if err := g.Hint(ctx, n.onto(m.Ref, k, nil)); err != nil {
		return err
	}
	if !g.Has(k) {
		return errNoFreeRoom
	}
	n.serve(k)
	n.landed(m.Ref, g)
	n.repin(k)
	return nil
}
