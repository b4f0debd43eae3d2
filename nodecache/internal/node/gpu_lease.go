package node

import (
	"cmp"
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/nodecache/internal/gpu"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// GPULease is the right to use a version on a GPU until Release. What the client
// has now, it is told by Asks.
type GPULease struct {
	Mapping
	node    *Node
	gpu     GPU
	order   LeaseOrder
	moved   mailbox
	release sync.Once
}

// LeaseGPU brings the version that o names onto a GPU, if it is not there, and
// leases it. waiting hears how far that is.
func (n *Node) LeaseGPU(ctx context.Context, o LeaseOrder, waiting func(done, total int64)) (*GPULease, error) {
	what := fmt.Sprintf("lease %s on a GPU", o.Ref)
	if len(n.config.GPUs) == 0 {
		return nil, n.noGPU(what)
	}
	bounded, cancel := n.within(ctx, o.Deadline)
	defer cancel()
	d, err := n.pick(bounded, o.Ref)
	if err != nil {
		return nil, told(what, err)
	}
	k := ledger.Key{Repo: o.Ref.Repo, Digest: d}
	g, err := n.choose(o.Ref, k, o.Device)
	if err != nil {
		n.forgetModel(o.Ref)
		return nil, told(what, err)
	}
	n.hit(k)
	m, err := g.Lease(bounded, n.onto(o.Ref, k, waiting), gpu.Terms{
		Client: o.Client, PID: o.PID, Priority: o.Priority, Yield: o.Yield, Follow: o.Follow, Waiting: waiting,
	})
	if err != nil {
		n.forgetModel(o.Ref)
		return nil, told(what, err)
	}
	l := n.newGPULease(o, k, g, m)
	n.events.tell(l.event(openapi.EventLeased))
	n.dirty.Ring()
	return l, nil
}

// newGPULease notes a lease. If its reference has moved meanwhile, it follows, or
// hears of it.
func (n *Node) newGPULease(o LeaseOrder, k ledger.Key, g GPU, mapping Mapping) *GPULease {
	l := &GPULease{Mapping: mapping, node: n, gpu: g, order: o, moved: newMailbox()}
	n.mu.Lock()
	n.version(k)
	n.mapped[l] = struct{}{}
	m := n.model(o.Ref)
	if m.target.IsZero() {
		m.target = k.Digest
	}
	m.hold, m.device, m.lastUse = openapi.TierGPU, g.UUID(), n.config.Now()
	n.mu.Unlock()
	n.serve(k)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.lags(l, m)
	return l
}

// lags has a lease of another version than that of its reference follow it, or
// tells it. n.mu is held.
func (n *Node) lags(l *GPULease, m *model) {
	if m.current.IsZero() || l.Version() == m.current {
		return
	}
	if !l.order.Follow {
		l.moved.tell(m.Ref, Move{Version: m.current})
		return
	}
	if m.Ref.Digest.IsZero() {
		m.leave(l.key())
		n.keepLocked(m)
	}
}

// Moved is as that of a Lease. One that follows hears nothing.
func (l *GPULease) Moved() <-chan Move { return l.moved }

// Detach says that the client has unmapped everything.
func (l *GPULease) Detach() {
	l.Mapping.Detach()
	l.used()
}

// Acquire asks for the image again, for as long as the client or else the node
// says. What comes of it is an Ask.
func (l *GPULease) Acquire(priority int, deadline time.Duration) {
	l.used()
	l.Mapping.Acquire(priority, cmp.Or(deadline, l.node.config.Wait))
}

// used notes that the client did something.
func (l *GPULease) used() {
	l.node.mu.Lock()
	defer l.node.mu.Unlock()
	if m := l.node.models[l.Ref()]; m != nil {
		m.lastUse = l.node.config.Now()
	}
}

// Release ends the lease.
func (l *GPULease) Release() { l.release.Do(l.end) }

func (l *GPULease) end() {
	n := l.node
	l.used()
	k, released := l.key(), l.event(openapi.EventReleased)
	l.Mapping.Release()
	n.mu.Lock()
	delete(n.mapped, l)
	n.mu.Unlock()
	n.settle(k)
	n.forgetModel(l.Ref())
	n.events.tell(released)
	n.dirty.Ring()
}

// key names the version that it is of now.
func (l *GPULease) key() ledger.Key { return ledger.Key{Repo: l.Ref().Repo, Digest: l.Version()} }

func (l *GPULease) event(kind string) openapi.NodeEvent {
	return openapi.NodeEvent{
		Type: kind, Ref: l.Ref().String(), Version: l.Version().String(), Tier: openapi.TierGPU,
		Device: l.gpu.UUID(), Message: l.order.Client,
	}
}

// mappings is how many leases on GPUs are of k, parked ones too. n.mu is held.
func (n *Node) mappings(k ledger.Key) (leases int) {
	for l := range n.mapped {
		if l.key() == k {
			leases++
		}
	}
	return leases
}

// mapping reports whether some lease on a GPU is of ref. n.mu is held.
func (n *Node) mapping(ref name.Ref) bool {
	for l := range n.mapped {
		if l.Ref() == ref {
			return true
		}
	}
	return false
}

// followers reports whether leases on g follow ref and have k still. n.mu is held.
func (n *Node) followers(ref name.Ref, k ledger.Key, g GPU) bool {
	for l := range n.mapped {
		if l.gpu == g && l.order.Follow && l.Ref() == ref && l.key() == k {
			return true
		}
	}
	return false
}
