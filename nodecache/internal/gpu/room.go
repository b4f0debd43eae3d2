package gpu

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
)

// attempt changes the account and drops what has to leave for that.
func (d *Device) attempt(try func() (ledger.Eviction, error)) error {
	d.change.Lock()
	defer d.change.Unlock()
	out, err := try()
	if err != nil {
		return err
	}
	d.evict(out)
	return nil
}

// room attempts until there is room, and has those pause for it who let others have
// theirs. t is at the front, and has left the line after an error of ctx.
func (d *Device) room(ctx context.Context, t *turn, try func() (ledger.Eviction, error)) error {
	defer d.calm()
	defer t.lacks(false)
	for {
		rung, come := d.bell.Next(), d.line.come.Next()
		err := d.attempt(try)
		if !errors.Is(err, ledger.ErrFull) || errors.Is(err, ledger.ErrTooLarge) {
			return err
		}
		if t.outranked() {
			d.calm()
			if gone := t.yield(ctx); gone != nil {
				return errors.Join(err, gone)
			}
			continue
		}
		t.lacks(true)
		timer := time.NewTimer(d.reclaim(t.priority))
		select {
		case <-rung:
		case <-come:
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return errors.Join(err, ctx.Err())
		}
		timer.Stop()
	}
}

// lookAgain is when somebody who waits for room looks again if nothing rings.
const lookAgain = time.Second

// reclaim asks those to pause whose time is up first, and returns when to look
// again.
func (d *Device) reclaim(priority int) time.Duration {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := d.config.Now()
	var first *image
	var at time.Time
	for _, im := range d.images {
		if im.vacating {
			return lookAgain // one at a time: it may do
		}
		until, ok := im.until(priority, d.config.Slice)
		if ok && (first == nil || until.Before(at)) {
			first, at = im, until
		}
	}
	if first == nil {
		return lookAgain
	}
	if wait := at.Sub(now); wait > 0 {
		return wait
	}
	first.vacating = true
	d.pauseForRoom(first)
	return lookAgain
}

// until returns when the image's users have had their time, as somebody of that
// priority sees it; false if they do not let others have the room. d.mu is held.
func (im *image) until(priority int, slice time.Duration) (at time.Time, ok bool) {
	if im.pinned || len(im.leases) == 0 {
		return at, false // nobody's pause would help
	}
	for l := range im.leases {
		if !l.terms.Yield || l.stubborn {
			return at, false
		}
		if end := l.since.Add(slice); l.priority >= priority && end.After(at) {
			at = end
		}
	}
	return at, true
}

// calm lets everybody have the images again that were being vacated.
func (d *Device) calm() {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, im := range d.images {
		im.vacating = false
	}
}

// allocate makes the slabs of an image that are not there, and gives each away as
// soon as it is made. The image has all of them when that is done, and until then
// those that it had.
func (d *Device) allocate(ctx context.Context, im *image, made chan<- *slab) error {
	known := map[slabName]*slab{}
	var all []*slab
	for _, r := range im.layout.slabs {
		if err := ctx.Err(); err != nil {
			return err
		}
		n := slabName{im.version.Key.Repo.Namespace, r.name}
		d.mu.Lock()
		s := d.slabs[n]
		d.mu.Unlock()
		if s == nil {
			s = known[n]
		}
		if s == nil {
			var err error
			if s, err = d.create(ctx, n, r); err != nil {
				return err
			}
			known[n] = s
			made <- s // has room for all
		}
		all = append(all, s)
	}
	im.slabs = all
	return nil
}

// The GPU may lack memory for a moment that the account has: a client that has ended
// takes a while to be gone for the driver.
const (
	memoryTime  = 5 * time.Second
	memoryPause = 20 * time.Millisecond
)

// create makes a slab whose room is accounted for. If the GPU has no memory for it
// although it should, what nobody uses leaves, and who has ended gets the time for
// that.
func (d *Device) create(ctx context.Context, n slabName, r *recipe) (*slab, error) {
	until := d.config.Now().Add(memoryTime)
	for {
		handle, err := d.createMemory(r.size)
		if err == nil {
			return d.give(n, r, handle)
		}
		if !errors.Is(err, cuda.ErrOutOfMemory) {
			return nil, fmt.Errorf("slab of %d bytes on GPU %s: %w", r.size, d.config.UUID, err)
		}
		if d.trim(r.size) {
			continue
		}
		if !d.config.Now().Before(until) || !sleep(ctx, memoryPause) {
			return nil, fmt.Errorf("slab of %d bytes on GPU %s: %w: %w", r.size, d.config.UUID, ErrMemory, err)
		}
	}
}

// sleep reports whether all of the time has passed before ctx ended.
func sleep(ctx context.Context, t time.Duration) bool {
	timer := time.NewTimer(t)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// createMemory makes memory unless that would take of the headroom. Where the
// driver doesn't say what is free, it says so itself when it has none.
func (d *Device) createMemory(size int64) (cuda.Handle, error) {
	if free, _, err := d.config.Bus.Memory(); err == nil && free < size+d.config.Headroom {
		return 0, fmt.Errorf("%d bytes are free, of which %d are for others: %w", free, d.config.Headroom, cuda.ErrOutOfMemory)
	}
	return d.config.Memory.Create(size)
}

// give makes a slab of memory and has the mover know it.
func (d *Device) give(n slabName, r *recipe, handle cuda.Handle) (*slab, error) {
	d.mu.Lock()
	d.lastSlab++
	s := &slab{id: d.lastSlab, size: r.size, handle: handle, name: n, recipe: r, images: map[*image]bool{}}
	d.mu.Unlock()
	if err := d.config.Bus.AddSlab(s.id, s.size, func() (*os.File, error) { return d.export(s) }); err != nil {
		d.free(s)
		return nil, fmt.Errorf("slab of %d bytes on GPU %s: %w", r.size, d.config.UUID, err)
	}
	return s, nil
}

// trim lets the versions go that nobody uses, until so many bytes are free that
// were not. It reports whether any went.
func (d *Device) trim(size int64) bool {
	d.change.Lock()
	defer d.change.Unlock()
	out := d.ledger.Trim(d.ledger.Used() - size)
	d.evict(out)
	return len(out.Keys) > 0
}
