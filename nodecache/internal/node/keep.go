package node

import (
	"context"
	"errors"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// How long to wait before a version that could not be brought is tried again.
const (
	retryFirst = time.Second
	retryMost  = time.Minute
)

// Changed tells that a followed tag names another version now; a zero digest,
// that the registry has no such tag any more: what the node has of it stays.
// like is what to do with a reference that is not known yet.
func (n *Node) Changed(ref name.Ref, d chunker.Digest, like Model) {
	n.mu.Lock()
	m := n.models[ref]
	if m == nil || !m.kept {
		if d.IsZero() && m == nil {
			n.mu.Unlock()
			return
		}
		like.Ref = ref
		known := n.model(ref)
		like = n.newModel(like).Model
		known.Tier, known.Device, known.Watch, known.Pin = like.Tier, like.Device, like.Watch, like.Pin || known.Pin
		known.IdleGPU, known.IdleRAM, known.IdleDisk, known.kept = like.IdleGPU, like.IdleRAM, like.IdleDisk, true
		known.hold = max(known.hold, like.Tier)
		m = known
	}
	m.deleted = d.IsZero()
	if !d.IsZero() {
		m.target = d
	}
	n.mu.Unlock()
	if n.ram != nil {
		n.ram.bell.Ring() // who waits for another version may have to give up
	}
	n.keep(m)
}

// keep brings the model's target to where it should be, behind the calls.
func (n *Node) keep(m *model) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.keepLocked(m)
}

// keepLocked is keep for who holds n.mu.
func (n *Node) keepLocked(m *model) {
	if m.keeping {
		m.again()
		return
	}
	m.keeping = n.going(func() { n.keeper(m) })
}

// again wakes a keeper that waits before it tries again.
func (m *model) again() {
	select {
	case m.wake <- struct{}{}:
	default:
	}
}

// keeper goes on until the newest version is where it should be.
func (n *Node) keeper(m *model) {
	pause := retryFirst
	for {
		done, err := n.keepOnce(m)
		if done {
			return
		}
		if err == nil {
			pause = retryFirst
			continue
		}
		n.failed(m, err)
		timer := time.NewTimer(pause)
		select {
		case <-timer.C:
		case <-m.wake:
		case <-n.ctx.Done():
		}
		timer.Stop()
		pause = min(2*pause, retryMost)
	}
}

// failed notes why a model is not where it should be.
func (n *Node) failed(m *model, err error) {
	err = told("bring "+m.Ref.String(), err)
	n.mu.Lock()
	same := m.failed != nil && m.failed.Error() == err.Error()
	m.failed = err
	n.mu.Unlock()
	if same || errors.Is(err, context.Canceled) {
		return
	}
	n.config.Logger.Warn("version could not be brought", "ref", m.Ref.String(), "err", err)
	n.events.tell(openapi.NodeEvent{Type: openapi.EventFailed, Ref: m.Ref.String(), Message: err.Error()})
}

// keepOnce takes one step towards the target. done says that there is nothing
// more to do; nobody keeps the model then.
func (n *Node) keepOnce(m *model) (done bool, err error) {
	n.mu.Lock()
	to, target := n.stageTo(m), m.target
	v := n.versions[m.key(target)]
	served, behind := !target.IsZero() && m.current == target, len(m.left) > 0
	there := served && !behind && (to == openapi.TierNone || n.stays(m, v, to))
	if n.ctx.Err() != nil || there || target.IsZero() && to == openapi.TierNone {
		m.keeping = false
		n.mu.Unlock()
		return true, nil
	}
	at := v.tier()
	n.mu.Unlock()
	if target.IsZero() {
		d, err := n.resolve(n.ctx, m.Ref)
		if err == nil {
			n.mu.Lock()
			m.target = d
			n.mu.Unlock()
		}
		return false, err
	}
	if !served {
		if err := n.trusted(n.ctx, m.key(target)); err != nil && !n.overtaken(m, target) {
			return false, err // what was served before still is
		}
	}
	switch {
	case served && behind:
		err = n.follow(m)
	case to == openapi.TierNone:
		n.serve(m.key(target)) // what is not on the node moves by name alone
	case to == openapi.TierGPU && at >= openapi.TierRAM:
		err = n.keepOnGPU(m, m.key(target))
	default:
		_, err = n.bring(n.ctx, m.key(target), min(to, openapi.TierRAM))
	}
	if err != nil && n.overtaken(m, target) {
		return false, nil // it is not wanted any more, so nothing is to be waited for
	}
	return false, err
}

// overtaken reports whether m is to be another version than target by now.
func (n *Node) overtaken(m *model, target chunker.Digest) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return m.target != target
}

// stays reports whether a version is where it should be, or in a faster tier. n.mu
// is held.
func (n *Node) stays(m *model, v *version, to openapi.Tier) bool {
	if g, err := n.named(m.Device); to == openapi.TierGPU && m.Device != "" {
		return err == nil && g.Has(v.key)
	}
	return v.in(to) || v.tier() > to
}

// stageTo is the tier that a new version of m should come to: where the model
// should be, but no higher than where it is, unless it is configured so. n.mu is
// held.
func (n *Node) stageTo(m *model) openapi.Tier {
	fastest := openapi.TierGPU
	switch {
	case n.ram == nil:
		fastest = openapi.TierDisk
	case len(n.config.GPUs) == 0:
		fastest = openapi.TierRAM
	}
	at := openapi.TierNone
	if !m.current.IsZero() {
		at = n.versions[m.key(m.current)].tier()
	}
	return min(fastest, m.hold, max(at, m.Tier))
}
