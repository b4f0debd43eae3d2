package gpu

import (
	"context"
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/openapi"
)

// inPlace is how a version comes over another with the same layout.
type inPlace struct {
	*swap
	layout  *layout
	slabs   []*slab                 // of the new version, by place; nil for those to be made
	over    map[*slab]int           // to be written over, and their places
	shared  map[*slab]bool          // of other versions
	unmap   []int                   // places that get another slab
	fresh   map[chunker.Digest]bool // names of recipes to be made
	need    int64                   // bytes of these
	stopped *pause                  // for which all have paused
}

// plan finds for every place of the new version the slab that costs least: the one
// that is there, one of another version, the old one written over, or a new one. d.mu
// is held.
func (s *swap) plan(l *layout) *inPlace {
	d := s.device
	p := &inPlace{swap: s, layout: l, over: map[*slab]int{}, shared: map[*slab]bool{}, fresh: map[chunker.Digest]bool{}}
	needed, uses := map[*slab]bool{}, map[*slab]int{}
	often := map[slabName]int{}
	for i, r := range l.slabs {
		n := slabName{s.to.Key.Repo.Namespace, r.name}
		p.slabs = append(p.slabs, d.slabs[n])
		needed[d.slabs[n]] = true
		uses[s.from.slabs[i]]++
		often[n]++
	}
	for i, r := range l.slabs {
		old, n := s.from.slabs[i], slabName{s.to.Key.Repo.Namespace, r.name}
		switch {
		case p.slabs[i] == old:
		case p.slabs[i] != nil:
			p.unmap = append(p.unmap, i)
			if !p.slabs[i].images[s.from] {
				p.shared[p.slabs[i]] = true
			}
		case len(old.images) == 1 && uses[old] == 1 && often[n] == 1 && !needed[old]:
			p.slabs[i] = old
			p.over[old] = i
		default:
			p.unmap = append(p.unmap, i)
			if !p.fresh[r.name] {
				p.fresh[r.name] = true
				p.need += r.size
			}
		}
	}
	return p
}

// holdName is how the account calls the room for new slabs of a swap.
const holdName = "slabs of a swap"

// inPlace brings the other version over the first.
func (s *swap) inPlace(ctx context.Context, l *layout) error {
	d := s.device
	p, kept, err := s.settle(ctx, l)
	defer d.ledger.Unhold(holdName)
	defer func() { d.unkeep(kept) }()
	if err != nil {
		return err
	}
	made, err := p.prepare(ctx)
	if err != nil {
		return err
	}
	changes, err := p.changes()
	if err == nil {
		err = p.change(ctx, changes)
	}
	if err != nil {
		d.free(made...)
		return err
	}
	return p.commit(made)
}

// change writes the changes, while everybody has paused.
func (p *inPlace) change(ctx context.Context, s *script) (err error) {
	d := p.device
	d.mu.Lock()
	kept := p.keep(s.sources)
	d.mu.Unlock()
	defer d.unkeep(kept)
	if p.stopped, err = p.halt(ctx, p.unmap); err != nil {
		return err
	}
	if err := d.run(ctx, s, p.order.Waiting, &p.receipt); err != nil {
		return p.revert(ctx, err)
	}
	return nil
}

// keep leases what sources are in, but for the first version, which the swap has.
// d.mu is held.
func (p *inPlace) keep(sources map[*slab]bool) []ledger.Key {
	for s := range sources {
		if s.images[p.from] {
			delete(sources, s)
		}
	}
	return p.device.keep(sources)
}

// settle plans until there is room for what is planned. kept are leases of versions
// whose slabs the new one shares.
func (s *swap) settle(ctx context.Context, l *layout) (p *inPlace, kept []ledger.Key, err error) {
	d := s.device
	for held := int64(0); ; held = p.need {
		d.mu.Lock()
		p = s.plan(l)
		kept = d.keep(p.shared)
		d.mu.Unlock()
		if p.need <= held {
			d.ledger.Hold(holdName, p.need)
			return p, kept, nil
		}
		d.unkeep(kept)
		began := d.config.Now()
		err := d.room(ctx, s.turn, func() (ledger.Eviction, error) { return d.ledger.TryHold(holdName, p.need, d.config.Now()) })
		s.QueuedMS += milliseconds(d.config.Now().Sub(began))
		if err != nil {
			return p, nil, err
		}
	}
}

// prepare makes and fills the new slabs, while the first version is in use still.
func (p *inPlace) prepare(ctx context.Context) (made []*slab, err error) {
	d := p.device
	defer func() {
		if err != nil {
			d.free(made...)
		}
	}()
	known := map[slabName]*slab{}
	for i, r := range p.layout.slabs {
		n := slabName{p.to.Key.Repo.Namespace, r.name}
		if p.slabs[i] == nil && known[n] == nil {
			one, err := d.create(ctx, n, r)
			if err != nil {
				return made, err
			}
			known[n] = one
			made = append(made, one)
		}
		if p.slabs[i] == nil {
			p.slabs[i] = known[n]
		}
	}
	s := script{sources: map[*slab]bool{}}
	d.mu.Lock()
	for _, one := range made {
		if err = d.fill(&s, one, p.held, nil); err != nil {
			break
		}
	}
	kept := p.keep(s.sources)
	d.mu.Unlock()
	defer d.unkeep(kept)
	if err == nil {
		err = d.run(ctx, &s, nil, &p.receipt)
	}
	return made, err
}

// changes are what differs in the slabs that are to be written over.
func (p *inPlace) changes() (*script, error) {
	d := p.device
	busy := map[*slab]bool{}
	for s := range p.over {
		busy[s] = true
	}
	s := &script{sources: map[*slab]bool{}}
	d.mu.Lock()
	defer d.mu.Unlock()
	for i, one := range p.slabs {
		if !busy[one] {
			continue
		}
		for _, e := range p.layout.slabs[i].extents {
			if one.recipe.has(e) {
				continue
			}
			if err := d.write(s, one, e, p.held, busy); err != nil {
				return nil, err
			}
		}
	}
	return s, nil
}

// revert puts back what was written over, and has everybody go on. If that fails the
// image is gone.
func (p *inPlace) revert(ctx context.Context, cause error) error {
	d := p.device
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), rollbackTime)
	defer cancel()
	held, err := p.from.version.Hold(ctx)
	if err == nil {
		err = p.restore(ctx, held)
		held.Release()
	}
	if err != nil {
		p.lose(cause)
		return errors.Join(cause, fmt.Errorf("put back what was there: %w", err), ErrLost)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.resume(p.stopped)
	return cause
}

// restore writes what differs as it was.
func (p *inPlace) restore(ctx context.Context, held *Held) error {
	s := script{}
	for one, i := range p.over {
		for _, e := range one.recipe.extents {
			if p.layout.slabs[i].has(e) {
				continue
			}
			if err := upload(&s, one, e, held); err != nil {
				return err
			}
		}
	}
	var unused receipt
	return p.device.run(ctx, &s, nil, &unused)
}

// lose takes the first version off the GPU, of which nothing is known any more.
func (p *inPlace) lose(cause error) {
	d := p.device
	d.change.Lock()
	defer d.change.Unlock()
	d.mu.Lock()
	for l := range p.from.leases {
		d.park(l)
		l.ask(Ask{Lost: fmt.Errorf("%w: %w", ErrLost, cause)})
	}
	p.unlease()
	d.mu.Unlock()
	if _, err := d.ledger.Remove(p.from.version.Key); err != nil {
		d.config.Logger.Error("an image that is lost is still in use", "gpu", d.config.UUID, "version", p.from.version.Key.String(), "err", err)
	}
	d.drop(p.from)
}

// commit makes the new version the one that is there, for the account and for
// those who use it.
func (p *inPlace) commit(made []*slab) error {
	d, now := p.device, p.device.config.Now()
	d.change.Lock()
	defer d.change.Unlock()
	d.mu.Lock()
	im := &image{version: p.to, layout: p.layout, slabs: p.slabs}
	for s, i := range p.over {
		d.become(s, p.layout.slabs[i])
	}
	for range p.from.leases {
		d.ledger.Unlease(p.from.version.Key, now)
	}
	p.unlease()
	d.ledger.Unhold(holdName)
	_, err := d.ledger.Remove(p.from.version.Key)
	if err == nil {
		_, err = d.ledger.Admit(entryOf(p.to.Key, p.layout), now)
	}
	if err != nil {
		d.mu.Unlock()
		d.config.Logger.Error("the account of a GPU is wrong", "gpu", d.config.UUID, "err", err) // the room is held
		return err
	}
	d.publish(im)
	p.account(im, made)
	for l := range p.from.leases {
		if d.ledger.Lease(p.to.Key, now) == nil {
			im.leases[l] = struct{}{}
			l.image, l.since = im, now
		}
	}
	clear(p.from.leases)
	p.follow(p.from.version.Key, p.to)
	d.resume(p.stopped)
	p.PausedMS = milliseconds(d.config.Now().Sub(p.paused))
	d.mu.Unlock()
	d.drop(p.from)
	d.bell.Ring()
	return nil
}

// account fills the receipt in.
func (p *inPlace) account(im *image, made []*slab) {
	p.Kind = openapi.SwapInPlace
	p.SlabsTotal, p.SlabsNew, p.SlabsInPlace = len(im.slabs), len(made), len(p.over)
	p.SlabsShared = p.SlabsTotal - p.SlabsNew - p.SlabsInPlace
	p.BytesTotal = im.layout.bytes
	p.BytesReused = p.BytesTotal - p.BytesUploaded - p.BytesDeviceCopied
}
