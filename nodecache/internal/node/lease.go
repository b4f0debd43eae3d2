package node

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/nodecache/internal/ram"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// Lease is the right to use a version in RAM until Release.
type Lease struct {
	node     *Node
	ref      name.Ref
	key      ledger.Key
	manifest *manifest.Manifest
	order    LeaseOrder
	tensors  tensors // of a stream
	job      *job    // that brings what is not there yet; nil when all is
	window   *window
	moved    mailbox
	release  sync.Once
	files    bool            // those of the version are leased too
	used     map[uint64]bool // segments; nil before they are known. Only who saves the state uses it
}

// Lease brings the version that o names into RAM, if it is not there, and leases
// it. waiting hears how far that is. A whole version is there when Lease returns,
// the others have their room.
func (n *Node) Lease(ctx context.Context, o LeaseOrder, waiting func(done, total int64)) (*Lease, error) {
	what := fmt.Sprintf("lease %s", o.Ref)
	if n.ram == nil {
		return nil, noTier(what, openapi.TierRAM)
	}
	bounded, cancel := n.within(ctx, o.Deadline)
	defer cancel()
	d, err := n.pick(bounded, o.Ref)
	if err != nil {
		return nil, told(what, err)
	}
	d, stays := n.comes(o.Ref, d)
	k := ledger.Key{Repo: o.Ref.Repo, Digest: d}
	n.hit(k)
	var l *Lease
	if l = n.leasePresent(o, k); l == nil && o.Mode == openapi.LeaseWindow {
		l, err = n.leaseWindow(bounded, o, k)
	} else if l == nil {
		l, err = n.lease(bounded, o, k, stays, waiting)
	}
	if errors.Is(err, errStays) {
		return n.Lease(ctx, o, waiting) // as if it had asked now
	}
	if err != nil {
		n.forgetModel(o.Ref)
		return nil, told(what, err)
	}
	n.events.tell(openapi.NodeEvent{Type: openapi.EventLeased, Ref: o.Ref.String(), Version: d.String(), Tier: openapi.TierRAM, Message: o.Client})
	n.dirty.Ring()
	return l, nil
}

// pick returns the version to lease: the one that is served, as long as the node
// has it, so that nobody waits for a registry to use what is there.
func (n *Node) pick(ctx context.Context, ref name.Ref) (chunker.Digest, error) {
	n.mu.Lock()
	m := n.models[ref]
	if m != nil && !m.current.IsZero() {
		v := n.versions[m.key(m.current)]
		if v.tier() > openapi.TierNone || m.Watch && !m.deleted && !m.target.IsZero() {
			d := m.current
			if v.tier() == openapi.TierNone {
				d = m.target
			}
			n.mu.Unlock()
			return d, nil
		}
	}
	n.mu.Unlock()
	d, err := n.resolve(ctx, ref)
	if err != nil {
		return d, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.model(ref).target = d
	return d, nil
}

// errStays reports a version that has not left its memory to the one that was waited
// for.
var errStays = errors.New("the version before it is leased again")

// comes returns the version to lease instead of d, if that is about to leave its memory
// to it: stays is closed when d can be leased again.
func (n *Node) comes(ref name.Ref, d chunker.Digest) (_ chunker.Digest, stays <-chan struct{}) {
	n.mu.Lock()
	defer n.mu.Unlock()
	m := n.models[ref]
	if m == nil || m.current != d || m.target == d {
		return d, nil
	}
	v := n.versions[m.key(d)]
	if v == nil || v.vacating == nil {
		return d, nil
	}
	return m.target, v.vacating
}

// hit counts in which tier a lease finds its version.
func (n *Node) hit(k ledger.Key) {
	n.mu.Lock()
	defer n.mu.Unlock()
	switch n.versions[k].tier() {
	case openapi.TierGPU:
		n.counters.Hits.GPU++
	case openapi.TierRAM:
		n.counters.Hits.RAM++
	case openapi.TierDisk:
		n.counters.Hits.Disk++
	default:
		n.counters.Hits.None++
	}
}

// lease leases a version that is to be in RAM as a whole.
func (n *Node) lease(ctx context.Context, o LeaseOrder, k ledger.Key, stays <-chan struct{}, waiting func(done, total int64)) (*Lease, error) {
	j := n.join(ctx, k, openapi.TierRAM, o.First)
	until := stays
	if o.Mode == openapi.LeaseStream && stays == nil {
		until = j.admitted
	}
	err := n.await(ctx, j, until, waiting)
	if stays != nil && closed(stays) && !(closed(j.done) && j.err == nil) {
		err = errStays
	}
	if err != nil {
		n.leave(j)
		return nil, err
	}
	// The job leases the version until the last waiter leaves.
	if err := n.ram.ledger.Lease(k, n.config.Now()); err != nil {
		n.leave(j)
		return nil, err
	}
	n.mu.Lock()
	l := n.newLease(o, k)
	n.mu.Unlock()
	if o.Mode == openapi.LeaseStream {
		l.job = j
	} else {
		n.leave(j)
	}
	return l, nil
}

// leasePresent leases a version if all of it is in RAM.
func (n *Node) leasePresent(o LeaseOrder, k ledger.Key) *Lease {
	n.mu.Lock()
	v := n.versions[k]
	if v == nil || !v.ram || n.ram.ledger.Lease(k, n.config.Now()) != nil {
		n.mu.Unlock()
		return nil
	}
	l := n.newLease(o, k)
	n.mu.Unlock()
	n.serve(k)
	return l
}

// newLease notes a lease. n.mu is held, and the account has it.
func (n *Node) newLease(o LeaseOrder, k ledger.Key) *Lease {
	v := n.version(k)
	v.leases++
	l := &Lease{node: n, ref: o.Ref, key: k, manifest: v.manifest, order: o, moved: newMailbox()}
	l.files = n.disk.ledger.Lease(k.AsFiles(), n.config.Now()) == nil
	m := n.model(o.Ref)
	m.leases[l] = struct{}{}
	m.hold, m.lastUse = max(m.hold, openapi.TierRAM), n.config.Now()
	return l
}

// Ref returns what was asked for.
func (l *Lease) Ref() name.Ref { return l.ref }

// Version returns the version that is leased.
func (l *Lease) Version() chunker.Digest { return l.key.Digest }

// Manifest returns the document of the version.
func (l *Lease) Manifest() *manifest.Manifest { return l.manifest }

// Place returns where a chunk is; false when it is not there yet.
func (l *Lease) Place(chunk uint32) (Place, bool) {
	if l.window != nil {
		return l.window.place(chunk)
	}
	segment, offset, length, ok := l.domain().Place(l.manifest.Chunks[chunk].Digest)
	return Place{segment, offset, length}, ok
}

// Segment returns a segment that Place has named.
func (l *Lease) Segment(id uint64) (Segment, error) {
	size, file, err := l.domain().Segment(id)
	if err != nil {
		return Segment{}, fmt.Errorf("lease %s: %w", l.ref, err)
	}
	return Segment{ID: id, Size: size, File: file}, nil
}

// Moved gets the version that the reference names now whenever that changes; of
// several, the last.
func (l *Lease) Moved() <-chan Move { return l.moved }

// Arrivals yields every tensor as soon as it is there: those that were asked for
// first, then the others in the order of the files. It ends early with the error
// of ctx, or that of the load.
func (l *Lease) Arrivals(ctx context.Context) iter.Seq2[Arrival, error] {
	if l.window != nil {
		return l.window.arrivals(ctx)
	}
	return func(yield func(Arrival, error) bool) {
		l.tensors = newTensors(l.manifest)
		for _, a := range l.tensors.inOrder(l.order.First) {
			if err := l.wait(ctx, a); err != nil {
				yield(Arrival{}, told(fmt.Sprintf("lease %s", l.ref), err))
				return
			}
			if !yield(a, nil) {
				return
			}
		}
	}
}

// Whole waits until all of the version is there.
func (l *Lease) Whole(ctx context.Context) error {
	if l.job == nil {
		return nil
	}
	return told(fmt.Sprintf("lease %s", l.ref), l.node.await(ctx, l.job, nil, nil))
}

// wait returns when all chunks of a tensor are there.
func (l *Lease) wait(ctx context.Context, a Arrival) error {
	if l.job == nil {
		return nil
	}
	for _, c := range l.tensors.chunks(a) {
		for !l.job.arrived.has(c) {
			rung := l.job.arrived.bell.Next()
			if l.job.arrived.has(c) {
				break
			}
			select {
			case <-rung:
			case <-l.job.done:
				if l.job.err != nil {
					return l.job.err
				}
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
	return nil
}

// Ack says that the client is done with the oldest tensor of a window.
func (l *Lease) Ack() {
	if l.window != nil {
		l.window.ack()
	}
}

// Release ends the lease.
func (l *Lease) Release() { l.release.Do(l.end) }

func (l *Lease) end() {
	n := l.node
	n.mu.Lock()
	if m := n.models[l.ref]; m != nil {
		delete(m.leases, l)
		m.lastUse = n.config.Now()
	}
	n.version(l.key).leases--
	n.mu.Unlock()
	if l.window != nil {
		l.window.close()
	} else {
		n.ram.release(l.key)
	}
	if l.files {
		n.ReleaseFiles(l.key)
	}
	if l.job != nil {
		n.leave(l.job)
	}
	n.settle(l.key)
	n.forgetModel(l.ref)
	n.events.tell(openapi.NodeEvent{Type: openapi.EventReleased, Ref: l.ref.String(), Version: l.key.Digest.String(), Tier: openapi.TierRAM, Message: l.order.Client})
	n.dirty.Ring()
}

func (l *Lease) domain() *ram.Domain { return l.node.config.RAM.Domain(l.key.Repo.Namespace) }
