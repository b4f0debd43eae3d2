package node

import (
	"context"
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// Unload lets the version of ref fall to a slower tier, or away. One that is
// leased does not.
func (n *Node) Unload(_ context.Context, ref name.Ref, to openapi.Tier) (openapi.UnloadReceipt, error) {
	receipt := openapi.UnloadReceipt{Ref: ref.String()}
	n.mu.Lock()
	m := n.models[ref]
	if m == nil || n.stopped {
		stopped := n.stopped
		n.mu.Unlock()
		if stopped {
			return receipt, errStopped
		}
		return receipt, unknown("unload", ref)
	}
	k := m.key(m.current)
	receipt.Version = m.current
	v := n.versions[k]
	if v != nil && v.leases > 0 && to < openapi.TierRAM {
		leases := v.leases
		n.mu.Unlock()
		return receipt, openapi.Errorf(openapi.CodeConflict, "unload %s: it has %d leases; it can go when they end", ref, leases)
	}
	others := n.others(m, to)
	if others {
		m.hold, m.Tier = min(m.hold, to), min(m.Tier, to)
		receipt.Tier = v.tier()
		n.mu.Unlock()
		n.dirty.Ring()
		return receipt, nil
	}
	n.version(k).held++ // nobody else takes it out meanwhile
	n.mu.Unlock()
	err := n.take(m, k, to, &receipt)
	n.mu.Lock()
	receipt.Tier = n.versions[k].tier()
	n.mu.Unlock()
	n.unheld(k)
	n.forgetModel(ref)
	n.dirty.Ring()
	return receipt, told(fmt.Sprintf("unload %s", ref), err)
}

// take takes the version of m out of the tiers above to, the fastest first: where
// it may be in use, and then stays everywhere.
func (n *Node) take(m *model, k ledger.Key, to openapi.Tier, receipt *openapi.UnloadReceipt) (err error) {
	if receipt.Freed.GPU, err = n.offGPU(k); err != nil {
		return attached(err)
	}
	n.mu.Lock()
	m.hold, m.Tier = min(m.hold, to), min(m.Tier, to)
	if to == openapi.TierNone && n.versions[k].tier() != openapi.TierNone && !m.kept && !n.mapping(m.Ref) {
		delete(n.models, m.Ref)
	}
	n.mu.Unlock()
	return n.unload(k, to, receipt)
}

// unload takes k out of the tiers above to.
func (n *Node) unload(k ledger.Key, to openapi.Tier, receipt *openapi.UnloadReceipt) error {
	var errs []error
	if n.ram != nil && to < openapi.TierRAM && n.ram.ledger.Has(k) {
		freed, err := n.ram.remove(k)
		if errors.Is(err, ledger.ErrUnknown) {
			err = nil // it has left its memory to the next version since we looked
		}
		receipt.Freed.RAM = freed
		errs = append(errs, err)
	}
	if to < openapi.TierDisk && n.disk.ledger.Has(k) {
		freed, err := n.disk.remove(k)
		receipt.Freed.Disk = freed
		errs = append(errs, err)
	}
	err := errors.Join(errs...)
	if errors.Is(err, ledger.ErrLeased) {
		return openapi.Errorf(openapi.CodeConflict, "it is in use or being loaded; try again when that ends")
	}
	return err
}

// attached says of a version that is in use on a GPU what to do.
func attached(err error) error {
	if errors.Is(err, ledger.ErrLeased) {
		return openapi.Errorf(openapi.CodeConflict, "it is in use on a GPU; it can go when its clients detach")
	}
	return err
}

// others reports whether another reference is served from the same version, and
// wants it in a faster tier than m is to be in. n.mu is held.
func (n *Node) others(m *model, to openapi.Tier) bool {
	for _, o := range n.models {
		if o != m && o.Ref.Repo == m.Ref.Repo && o.current == m.current && o.hold > min(m.hold, to) {
			return true
		}
	}
	return false
}

func unknown(what string, ref name.Ref) error {
	return openapi.Errorf(openapi.CodeNotFound, "%s %s: the node does not know it; `ingot status` lists what it knows", what, ref)
}

// Pin keeps the version of ref in its tier, this one and every later, or ends
// that.
func (n *Node) Pin(_ context.Context, ref name.Ref, pinned bool) (openapi.ModelStatus, error) {
	n.mu.Lock()
	m := n.models[ref]
	if m == nil {
		n.mu.Unlock()
		return openapi.ModelStatus{}, unknown("pin", ref)
	}
	m.Pin = pinned
	k := m.key(m.current)
	n.mu.Unlock()
	n.repin(k)
	n.dirty.Ring()
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.status(m), nil
}
