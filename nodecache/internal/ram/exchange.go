package ram

import (
	"context"
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
)

// Exchange is memory that has been taken from one chunk, whose bytes it holds still,
// and that is another's to fill. One goroutine at a time uses it, which ends it: with
// Publish, Abandon or Return.
type Exchange struct {
	*Claim
	old   *place
	swap  tier.Exchange
	quiet <-chan struct{} // closed when nobody reads the old chunk; nil if nobody does
}

// Exchange takes memory from the chunks that go and gives it to those that come, of
// which the tier has none: from then on nobody finds those that go. It exchanges
// nothing if it fails. The caller sees to it that no process that was told where a
// chunk lies uses it.
func (d *Domain) Exchange(list []tier.Exchange) ([]*Exchange, error) {
	d.tier.mu.Lock()
	defer d.tier.mu.Unlock()
	known := make(map[chunker.Digest]bool, 2*len(list))
	for _, x := range list {
		p := d.places[x.Goes.Digest]
		switch {
		case p == nil || !p.published || p.size != x.Goes.Size || known[x.Goes.Digest]:
			return nil, fmt.Errorf("exchange %s: %w", x.Goes.Digest.Short(), tier.ErrAbsent)
		case d.places[x.Comes.Digest] != nil || known[x.Comes.Digest] || check(x.Comes.Size) != nil || pagesOf(x.Comes.Size) != pagesOf(p.size):
			return nil, fmt.Errorf("exchange %s for %s: it is there, or needs other memory", x.Goes.Digest.Short(), x.Comes.Digest.Short())
		}
		known[x.Goes.Digest], known[x.Comes.Digest] = true, true
	}
	out := make([]*Exchange, len(list))
	for i, x := range list {
		out[i] = d.exchange(x)
	}
	return out, nil
}

// exchange gives one place to another chunk. tier.mu is held.
func (d *Domain) exchange(x tier.Exchange) *Exchange {
	old := d.places[x.Goes.Digest]
	p := &place{segment: old.segment, page: old.page, size: x.Comes.Size, populated: true, done: make(chan struct{})}
	delete(d.places, x.Goes.Digest)
	d.places[x.Comes.Digest] = p
	out := &Exchange{Claim: &Claim{domain: d, digest: x.Comes.Digest, place: p, mine: true}, old: old, swap: x}
	if old.readers > 0 {
		old.quiet = make(chan struct{})
		out.quiet = old.quiet
	}
	return out
}

// Swap says what is exchanged.
func (x *Exchange) Swap() tier.Exchange { return x.swap }

// Old is the bytes of the chunk that goes, until Fill. They are in the memory that
// Fill writes to.
func (x *Exchange) Old() []byte { return x.old.bytes() }

// Fill writes the chunk that comes, when nobody reads the old one any more. The error
// is that of ctx, and then nothing is written.
func (x *Exchange) Fill(ctx context.Context, plain []byte) error {
	if len(plain) != int(x.place.size) {
		return fmt.Errorf("fill %s with %d bytes, want %d", x.digest.Short(), len(plain), x.place.size)
	}
	if x.quiet != nil {
		select {
		case <-x.quiet:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	n := copy(x.place.memory(), plain)
	clear(x.place.memory()[n:])
	return nil
}

// Return gives the memory, which was not filled, back to the chunk that went. If that
// has come to another place meanwhile, the memory is free.
func (x *Exchange) Return() {
	d := x.domain
	d.tier.mu.Lock()
	back := d.places[x.swap.Goes.Digest] == nil
	if back {
		delete(d.places, x.digest)
		d.places[x.swap.Goes.Digest] = x.old
	}
	d.tier.mu.Unlock()
	if !back {
		x.Abandon()
		return
	}
	x.end(func() {})
}
