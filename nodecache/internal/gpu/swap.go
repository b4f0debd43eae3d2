package gpu

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/trace"
)

// swap is one version that comes in the place of another.
type swap struct {
	device *Device
	turn   *turn
	from   *image
	leased bool // from is, for the swap
	to     Version
	held   *Held // of to; nil if that is on the GPU
	order  Order
	began  time.Time
	paused time.Time // when the first was asked to
	receipt
}

type receipt = openapi.SwapReceipt

// Swap has all who use a version use another, or those whom the order names. If the
// other has the same tensors in the same places, is not on the GPU, and nobody goes
// on with the first, what differs is written over slabs that no other version has,
// and the first version is gone from the GPU then. Otherwise the other one comes
// beside it, or where there is no room for both in its place.
//
// A swap that fails leaves everybody with what he had. If that is not possible the
// error is ErrLost too, and they have been told.
func (d *Device) Swap(ctx context.Context, from ledger.Key, to Version, o Order) (openapi.SwapReceipt, error) {
	s := &swap{device: d, to: to, order: o, began: d.config.Now(), receipt: d.receipt(to)}
	ctx, span := trace.Start(ctx, "gpu swap")
	err := s.do(ctx, from)
	span.Text("ingot.swap", string(s.Kind))
	span.End(err)
	s.TotalMS = milliseconds(d.config.Now().Sub(s.began))
	if err != nil {
		return s.receipt, fmt.Errorf("swap %s for %s on GPU %s: %w", from, to.Key, d.config.UUID, err)
	}
	if from != to.Key {
		d.tell(to, openapi.EventSwapped, s.BytesUploaded, fmt.Sprintf("from %s: %s, %d leases", from.Digest.Short(), s.Kind, s.Leases))
	}
	return s.receipt, nil
}

func (s *swap) do(ctx context.Context, from ledger.Key) (err error) {
	d := s.device
	if !d.Has(from) {
		if s.order.Follow { // who has no image now gets the other one when he wants it
			d.mu.Lock()
			s.follow(from, s.to)
			d.mu.Unlock()
		}
		return ErrNotOn
	}
	if !d.Has(s.to.Key) { // otherwise RAM need not have it
		if s.held, err = s.to.Hold(ctx); err != nil {
			return err
		}
		defer s.held.Release()
	}
	queued := d.config.Now()
	if s.turn, err = d.line.enter(ctx, s.order.Priority); err != nil {
		return fmt.Errorf("wait in line: %w", err)
	}
	defer s.turn.leave()
	s.turn.firm = true // others must not meet a version that is being replaced
	s.QueuedMS = milliseconds(d.config.Now().Sub(queued))
	if err := s.begin(from); err != nil {
		return err
	}
	defer s.finish()
	if from == s.to.Key {
		s.from.reused(&s.receipt)
		return nil
	}
	var there *image
	if d.take(s.to.Key, &s.receipt, func(im *image) { there = im }) {
		defer d.unkeep([]ledger.Key{s.to.Key})
		return s.show(ctx, there)
	}
	if s.held == nil { // it was on the GPU, and has left
		if s.held, err = s.to.Hold(ctx); err != nil {
			return err
		}
		defer s.held.Release()
	}
	return s.bring(ctx)
}

// begin leases the version that is to be replaced, and keeps others from it.
func (s *swap) begin(from ledger.Key) error {
	s.FromVersion = from.Digest.String()
	var r receipt
	if !s.device.take(from, &r, func(im *image) { s.from, im.swapping = im, true }) {
		return ErrNotOn
	}
	s.From, s.leased = s.from.version.Ref.String(), true
	return nil
}

// finish ends what begin began, as far as the version is there still.
func (s *swap) finish() {
	s.device.mu.Lock()
	defer s.device.mu.Unlock()
	s.from.swapping = false
	s.unlease()
	s.device.bell.Ring()
}

// unlease ends the lease that the swap has of the first version. d.mu is held.
func (s *swap) unlease() {
	if s.leased {
		s.leased = false
		s.device.unuse(s.from)
	}
}

// moves reports whether a lease of the first version is to be of the other. d.mu is
// held.
func (s *swap) moves(l *Lease) bool {
	return !s.order.Follow || l.terms.Follow && l.version.Ref == s.to.Ref
}

// shared reports whether somebody goes on using the first version. d.mu is held.
func (s *swap) shared() bool {
	for l := range s.from.leases {
		if !s.moves(l) {
			return true
		}
	}
	return false
}

// bring makes the other version, in the way that costs least.
func (s *swap) bring(ctx context.Context) error {
	d := s.device
	l := newLayout(s.held.Manifest, d.cut)
	if len(l.slabs) == 0 {
		return fmt.Errorf("%s: %w", s.to.Key, ErrNoTensors)
	}
	d.mu.Lock()
	over, shared := s.from.layout.like(l) && !s.from.pinned, s.shared()
	d.mu.Unlock()
	if over && !shared {
		return s.inPlace(ctx, l)
	}
	_, _, full := d.ledger.Would(entryOf(s.to.Key, l))
	if !shared && errors.Is(full, ledger.ErrFull) && !errors.Is(full, ledger.ErrTooLarge) {
		return s.instead(ctx)
	}
	im, err := d.load(ctx, s.turn, s.to, s.held, s.order, d.config.Now(), &s.receipt)
	if err != nil {
		return err
	}
	defer d.unkeep([]ledger.Key{s.to.Key})
	return s.show(ctx, im)
}

// show has all who use the one image use the other, which is leased for that.
func (s *swap) show(ctx context.Context, im *image) error {
	p, err := s.halt(ctx, s.from.differences(im))
	if err != nil {
		return err
	}
	s.Kind = openapi.SwapRemap
	s.device.mu.Lock()
	defer s.device.mu.Unlock()
	s.move(im, p)
	return nil
}

// halt has all pause who use the first version and are to use the other.
func (s *swap) halt(ctx context.Context, unmap []int) (*pause, error) {
	s.paused = s.device.config.Now()
	return s.device.halt(ctx, s.from, s.moves, unmap)
}

// differences are the places whose slabs another image does not have there.
func (im *image) differences(o *image) []int {
	list := []int{}
	same := len(im.slabs) == len(o.slabs)
	for i := 0; same && i < len(im.slabs); i++ {
		same = im.slabs[i].size == o.slabs[i].size
	}
	for i := range im.slabs {
		if !same || im.slabs[i] != o.slabs[i] {
			list = append(list, i)
		}
	}
	return list
}

// move gives the leases of the first version the other one, and lets those go on
// who have paused. d.mu is held.
func (s *swap) move(im *image, p *pause) {
	d := s.device
	for l := range s.from.leases {
		if !s.moves(l) || d.ledger.Lease(im.version.Key, d.config.Now()) != nil {
			continue // the latter cannot be: whoever moves them holds a lease of it
		}
		d.ledger.Unlease(s.from.version.Key, d.config.Now())
		delete(s.from.leases, l)
		im.leases[l] = struct{}{}
		l.image, l.since = im, d.config.Now()
	}
	s.follow(s.from.version.Key, s.to)
	d.resume(p)
	s.PausedMS = milliseconds(d.config.Now().Sub(s.paused))
}

// follow makes the leases of the first version those of the other, by the name that
// this was asked for, whoever has its image too. d.mu is held.
func (s *swap) follow(from ledger.Key, to Version) {
	for l := range s.device.leases {
		if l.version.Key == from && s.moves(l) {
			l.version = to
			s.Leases++
		}
	}
}

// instead brings the other version when there is no room for both: the first one
// goes before.
func (s *swap) instead(ctx context.Context) error {
	d := s.device
	p, err := s.halt(ctx, s.from.all())
	if err != nil {
		return err
	}
	stopped := s.leave(p)
	im, err := d.load(ctx, s.turn, s.to, s.held, s.order, d.config.Now(), &s.receipt)
	if err != nil {
		im = s.back(ctx, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if err == nil {
		s.follow(s.from.version.Key, s.to)
	}
	if im != nil {
		d.attachAll(stopped, im, p.id)
		d.ledger.Unlease(im.version.Key, d.config.Now())
	} else {
		for _, l := range stopped {
			l.ask(Ask{Lost: fmt.Errorf("%w: %w", ErrLost, err)})
		}
		err = errors.Join(err, ErrLost)
	}
	if err == nil {
		s.Kind = openapi.SwapRemap
		s.PausedMS = milliseconds(d.config.Now().Sub(s.paused))
	}
	return err
}

// leave takes the first version from those who have paused, and from the swap.
func (s *swap) leave(p *pause) (stopped []*Lease) {
	d := s.device
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, l := range p.stopped {
		if l.image == s.from {
			d.park(l)
			stopped = append(stopped, l)
		}
	}
	s.unlease()
	return stopped
}

// rollbackTime is how long it may take to put back what was there.
const rollbackTime = time.Minute

// back brings the first version again after a failure; nil if that fails too.
func (s *swap) back(ctx context.Context, cause error) *image {
	d, v := s.device, s.from.version
	d.mu.Lock()
	im := d.images[v.Key]
	if im != nil && d.ledger.Lease(v.Key, d.config.Now()) != nil {
		im = nil // it is about to leave
	}
	d.mu.Unlock()
	if im != nil {
		return im
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
	defer cancel()
	held, err := v.Hold(ctx)
	if err == nil {
		defer held.Release()
		r := d.receipt(v)
		if im, err = d.load(ctx, s.turn, v, held, Order{}, d.config.Now(), &r); err == nil {
			return im
		}
	}
	d.config.Logger.Warn("a swap failed, and what was there cannot be put back", "gpu", d.config.UUID, "version", v.Key.String(), "cause", cause, "err", err)
	return nil
}

// attachAll gives clients that have paused an image, which is leased once. d.mu is
// held.
func (d *Device) attachAll(list []*Lease, im *image, paused uint64) {
	for _, l := range list {
		if !l.released && l.image == nil && d.ledger.Lease(im.version.Key, d.config.Now()) == nil {
			d.attach(l, im, paused)
		}
	}
}
