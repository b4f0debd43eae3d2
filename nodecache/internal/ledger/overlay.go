package ledger

import (
	"fmt"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
)

// Overlay is a version that comes into the room of another, which has left the
// account but for its room: until Commit that is taken still, so that Undo can give
// it back.
type Overlay struct {
	ledger   *Ledger
	from, to *entry
	turned   []turned
}

// turned is a chunk whose room another has now.
type turned struct {
	chunk *chunk
	swap  tier.Exchange
}

// Overlay makes e come in the place of a version that only the caller leases, and
// leases e instead. The chunks of over come into the room of those that go, which
// the first version alone must hold. For the others there must be room beside it; if
// there is none, others leave.
//
// The errors are ErrUnknown, ErrLeased, ErrShared and a *FullError.
func (l *Ledger) Overlay(from Key, e Entry, over []tier.Exchange, now time.Time) (*Overlay, Eviction, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	o := &Overlay{ledger: l, from: l.entries[from]}
	if err := o.check(e, over); err != nil {
		return nil, Eviction{}, fmt.Errorf("%s over %s: %w", e.Key, from, err)
	}
	for _, swap := range over {
		c := l.find(Chunk{e.Domain, swap.Goes.Digest})
		o.turned = append(o.turned, turned{c, swap})
		c.rename(swap.Comes.Digest)
	}
	l.count -= from.counts()
	in := l.enter(e)
	out, err := l.fit(in)
	if err != nil {
		l.undo(in)
		l.count += from.counts()
		o.turnBack()
		return nil, Eviction{}, err
	}
	for _, c := range in.chunks {
		l.tighten(c)
	}
	l.order.Remove(o.from.place)
	delete(l.entries, from)
	o.to = in.entry
	o.to.leases = 1
	l.insert(o.to, now)
	return o, l.evict(out), nil
}

// check reports why e cannot come over the first version. l.mu is held.
func (o *Overlay) check(e Entry, over []tier.Exchange) error {
	l := o.ledger
	switch {
	case o.from == nil:
		return ErrUnknown
	case o.from.leases != 1 || l.entries[e.Key] != nil:
		return ErrLeased
	}
	own := make(map[*chunk]bool, len(o.from.chunks))
	for _, c := range o.from.chunks {
		own[c] = c.holders == 1
	}
	comes := make(map[Chunk]bool, len(over))
	for _, swap := range over {
		goes, into := l.find(Chunk{e.Domain, swap.Goes.Digest}), Chunk{e.Domain, swap.Comes.Digest}
		if goes == nil || !own[goes] || comes[into] || l.find(into) != nil || l.cost(swap.Comes.Size) != goes.cost {
			return fmt.Errorf("chunk %s in the place of %s: %w", swap.Comes.Digest.Short(), swap.Goes.Digest.Short(), ErrShared)
		}
		own[goes], comes[into] = false, true
	}
	for _, ref := range e.Chunks { // what stays is not what goes
		if c := l.find(Chunk{e.Domain, ref.Digest}); c != nil {
			if mine, known := own[c]; known && !mine && c.holders == 1 {
				return fmt.Errorf("chunk %s is in both versions: %w", ref.Digest.Short(), ErrShared)
			}
		}
	}
	return nil
}

// rename gives the room of a chunk to another. The account has none of its name.
func (c *chunk) rename(to chunker.Digest) {
	delete(c.domain.chunks, c.digest)
	c.digest = to
	c.domain.chunks[to] = c
}

// turnBack gives the chunks that went their names again.
func (o *Overlay) turnBack() {
	for _, t := range o.turned {
		t.chunk.rename(t.swap.Goes.Digest)
	}
}

// Commit ends it: what the first version alone held and nobody came into the room of
// is free.
func (o *Overlay) Commit() (freed []Chunk) {
	o.ledger.mu.Lock()
	defer o.ledger.mu.Unlock()
	o.from.release()
	return o.ledger.sweep(o.from)
}

// Undo makes the account what it was. The first version is leased once again, and
// freed is what came beside it. If somebody came meanwhile who holds what has come,
// or wants what has gone, ok is false: then neither version is in the account, and
// freed is what nobody else holds of both.
func (o *Overlay) Undo(now time.Time) (freed []Chunk, ok bool) {
	l := o.ledger
	l.mu.Lock()
	defer l.mu.Unlock()
	ok = l.entries[o.from.key] == nil && o.to.leases == 1
	for _, t := range o.turned {
		ok = ok && t.chunk.holders == 2 && l.find(Chunk{t.chunk.domain.name, t.swap.Goes.Digest}) == nil
	}
	o.to.leases = 0
	o.to.release()
	l.forget(o.to)
	if !ok {
		o.from.release()
		return append(l.sweep(o.to), l.sweep(o.from)...), false
	}
	freed = l.sweep(o.to)
	o.turnBack()
	l.insert(o.from, now)
	return freed, true
}

// sweep takes what nobody holds of a version out of the account.
func (l *Ledger) sweep(e *entry) (freed []Chunk) {
	for _, c := range e.chunks {
		if c.holders == 0 && !c.gone {
			freed = append(freed, c.name())
			l.delete(c)
		}
	}
	return freed
}
