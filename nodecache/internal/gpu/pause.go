package gpu

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/nodecache/internal/bell"
	"github.com/ingot-ml/ingot/openapi"
)

// pause is a wait for clients to stop using an image. Device.mu protects it.
type pause struct {
	id      uint64
	reason  string
	waiting map[*Lease]bool // that have not answered
	stopped []*Lease        // that have, in a swap
	over    bool            // nobody waits for the others any more
	bell    bell.Bell       // rings when somebody has answered
}

// newPause asks those of all who have an image to stop. d.mu is held.
func (d *Device) newPause(im *image, who func(*Lease) bool, reason string, unmap []int, within time.Duration) *pause {
	d.lastPause++
	p := &pause{id: d.lastPause, reason: reason, waiting: map[*Lease]bool{}}
	for l := range im.leases {
		if !who(l) {
			continue
		}
		p.waiting[l] = true
		l.pausing = p
		l.ask(Ask{Pause: &openapi.LeasePause{ID: p.id, Reason: reason, Unmap: unmap, Deadline: within.Seconds()}})
	}
	if len(p.waiting) > 0 {
		d.tell(im.version, openapi.EventPaused, 0, reason)
	}
	return p
}

func everybody(*Lease) bool { return true }

// all are the places of an image.
func (im *image) all() []int {
	list := make([]int, len(im.slabs))
	for i := range list {
		list[i] = i
	}
	return list
}

// pauseForRoom has those who use an image let others have its room. Who does not in
// time is not asked again. d.mu is held.
func (d *Device) pauseForRoom(im *image) {
	p := d.newPause(im, everybody, openapi.PauseRoom, im.all(), d.config.PauseWait)
	d.work.Go(func() {
		if d.answers(d.ctx, p, d.config.PauseWait) {
			return
		}
		d.mu.Lock()
		for l := range p.waiting {
			l.stubborn = true
		}
		im.vacating = false
		d.mu.Unlock()
		d.bell.Ring()
	})
}

// answers reports whether all who are asked to pause have answered within a time.
func (d *Device) answers(ctx context.Context, p *pause, within time.Duration) bool {
	timer := time.NewTimer(within)
	defer timer.Stop()
	for {
		rung := p.bell.Next()
		d.mu.Lock()
		left := len(p.waiting)
		d.mu.Unlock()
		if left == 0 {
			return true
		}
		select {
		case <-rung:
		case <-timer.C:
			return false
		case <-ctx.Done():
			return false
		}
	}
}

// Paused says that the client has stopped and unmapped what it was asked to. A pause
// that is over, or that nobody asked for, is answered with the image.
func (l *Lease) Paused(id uint64) {
	d := l.device
	d.mu.Lock()
	defer d.mu.Unlock()
	p := l.pausing
	switch {
	case l.image == nil:
		return
	case p == nil || p.over:
		l.pausing, l.stubborn = nil, false
		l.showImage(id)
	case p.id != id || !p.waiting[l]: // the answer to the newer one counts
	case p.reason == openapi.PauseRoom:
		d.park(l)
	default:
		p.stopped = append(p.stopped, l)
		d.answered(l)
	}
}

// answered ends the wait for a client, which has stopped or is gone. d.mu is held.
func (d *Device) answered(l *Lease) {
	p := l.pausing
	if p == nil || !p.waiting[l] {
		return
	}
	delete(p.waiting, l)
	l.stubborn = false
	p.bell.Ring()
	d.bell.Ring()
}

// halt has those of all who use an image pause for a swap, and returns when they
// have. If one does not, those who did go on, and the error names it.
func (d *Device) halt(ctx context.Context, im *image, who func(*Lease) bool, unmap []int) (*pause, error) {
	within := d.config.PauseWait
	if end, ok := ctx.Deadline(); ok {
		within = max(0, min(within, time.Until(end)))
	}
	d.mu.Lock()
	p := d.newPause(im, who, openapi.PauseSwap, unmap, within)
	d.mu.Unlock()
	if !d.answers(ctx, p, within) {
		return nil, d.giveUp(p)
	}
	return p, nil
}

// giveUp lets those go on who have stopped. An answer that comes late gets the image
// too.
func (d *Device) giveUp(p *pause) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	p.over = true
	var names []string
	for l := range p.waiting {
		names = append(names, l.terms.Client)
	}
	d.resume(p)
	slices.Sort(names)
	return fmt.Errorf("%s: %w", strings.Join(names, ", "), ErrPause)
}

// resume shows those who have stopped the image that they have now. d.mu is held.
func (d *Device) resume(p *pause) (resumed int) {
	for _, l := range p.stopped {
		if l.image != nil && l.pausing == p {
			l.pausing = nil
			l.showImage(p.id)
			resumed++
		}
	}
	p.stopped = nil
	return resumed
}
