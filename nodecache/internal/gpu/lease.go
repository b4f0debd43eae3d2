package gpu

import (
	"context"
	"fmt"
	"os"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/registry/name"
)

// Terms are what a client agrees to.
type Terms struct {
	Client   string // for people
	PID      int
	Priority int  // when it waits for room, and against those who want its
	Yield    bool // it lets others have its room when it is asked to
	Follow   bool // it wants what its reference names now; who holds the Device swaps
	Waiting  func(done, total int64)
}

// mostAsks is how many a client may be behind. It has to answer to a pause before
// the next, so one that is further behind does not read.
const mostAsks = 16

// Lease is the use of what a version is on the GPU, by one client. It has an image,
// or else waits for one or does not want one now.
type Lease struct {
	device *Device
	terms  Terms
	asks   chan Ask
	ctx    context.Context // until Release
	end    context.CancelFunc

	// device.mu protects these.
	version   Version // that it is of
	image     *image  // that it has; nil for none
	since     time.Time
	priority  int
	pausing   *pause // that it has to answer to
	stubborn  bool   // it did not answer to a pause in time
	acquiring bool
	released  bool
}

// Lease leases a version, and brings it onto the GPU first. The image is the first
// that is asked.
func (d *Device) Lease(ctx context.Context, v Version, terms Terms) (*Lease, error) {
	ctx, cancel := d.within(ctx)
	defer cancel()
	l := &Lease{device: d, terms: terms, asks: make(chan Ask, mostAsks), version: v, priority: terms.Priority}
	_, err := d.bring(ctx, v, Order{Priority: terms.Priority, Waiting: terms.Waiting}, func(im *image) {
		l.ctx, l.end = context.WithCancel(d.ctx)
		d.leases[l] = struct{}{}
		d.attach(l, im, 0)
	})
	if err != nil {
		return nil, fmt.Errorf("GPU %s: %w", d.config.UUID, err)
	}
	return l, nil
}

// attach gives a client the image of its version, which is leased for it in the
// account. d.mu is held.
func (d *Device) attach(l *Lease, im *image, paused uint64) {
	l.image, l.since = im, d.config.Now()
	l.pausing, l.stubborn = nil, false
	im.leases[l] = struct{}{}
	l.showImage(paused)
}

// showImage asks to map the image, and to reserve addresses for whatever may come
// onto the GPU. d.mu is held.
func (l *Lease) showImage(paused uint64) {
	shown := *l.image.shown
	shown.Ref = l.version.Ref.String()
	shown.Reserve = max(shown.Size, up(l.device.config.Budget, l.device.cut.unit))
	l.ask(Ask{Image: &shown, ID: paused})
}

// park takes the image from a client. d.mu is held.
func (d *Device) park(l *Lease) {
	if l.image == nil {
		return
	}
	delete(l.image.leases, l)
	d.ledger.Unlease(l.image.version.Key, d.config.Now())
	l.image = nil
	d.answered(l)
	l.pausing = nil
	d.bell.Ring()
}

// ask tells the client. d.mu is held.
func (l *Lease) ask(a Ask) {
	if l.released {
		return
	}
	select {
	case l.asks <- a:
	default: // it does not read: whoever sends for it is stuck, and cuts it off
		l.device.config.Logger.Warn("client of a GPU does not read", "client", l.terms.Client)
	}
}

// Ref returns what the client uses now.
func (l *Lease) Ref() name.Ref {
	l.device.mu.Lock()
	defer l.device.mu.Unlock()
	return l.version.Ref
}

// Key returns the version that the client uses now.
func (l *Lease) Key() ledger.Key {
	l.device.mu.Lock()
	defer l.device.mu.Unlock()
	return l.version.Key
}

// Version returns the digest of Key.
func (l *Lease) Version() chunker.Digest { return l.Key().Digest }

// Asks gets what the client is to do, in order. It is closed by Release.
func (l *Lease) Asks() <-chan Ask { return l.asks }

// Export returns a descriptor of a slab of the image that was asked to be mapped
// last. The caller closes it.
func (l *Lease) Export(id uint64) (*os.File, error) {
	l.device.mu.Lock()
	var found *slab
	if l.image != nil {
		for _, s := range l.image.slabs {
			if s.id == id {
				found = s
			}
		}
	}
	l.device.mu.Unlock()
	if found == nil {
		return nil, fmt.Errorf("slab %d of GPU %s: %w", id, l.device.config.UUID, ErrLost)
	}
	return l.device.export(found)
}

// Detach says that the client has unmapped everything.
func (l *Lease) Detach() {
	l.device.mu.Lock()
	defer l.device.mu.Unlock()
	l.device.park(l)
	l.ask(Ask{Detached: true})
}

// Acquire wants the image again, of which the client has nothing. It does not wait:
// an image or a denial is asked, which comes after the deadline at the latest; 0 is
// no deadline.
func (l *Lease) Acquire(priority int, deadline time.Duration) {
	d := l.device
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case l.released || l.acquiring || d.closed:
		return
	}
	d.park(l) // who wants it has nothing, so that is an answer to pauses too
	l.acquiring, l.priority = true, priority
	d.work.Go(func() { l.acquire(priority, deadline) })
}

// acquire brings the image and gives it to the client, unless a swap has given the
// lease another version meanwhile: then that.
func (l *Lease) acquire(priority int, deadline time.Duration) {
	ctx, cancel := context.WithCancel(l.ctx)
	if deadline > 0 {
		ctx, cancel = context.WithTimeout(l.ctx, deadline)
	}
	defer cancel()
	d := l.device
	for {
		d.mu.Lock()
		v := l.version
		d.mu.Unlock()
		moved := false
		_, err := d.bring(ctx, v, Order{Priority: priority, Waiting: l.terms.Waiting}, func(im *image) {
			if moved = l.version.Key != v.Key; !moved {
				l.acquiring = false // from here on it may want it again
			}
			if moved || l.released || l.image != nil {
				d.unuse(im)
				return
			}
			d.attach(l, im, 0)
		})
		if err != nil {
			l.deny(err)
		}
		if !moved {
			d.bell.Ring()
			return
		}
	}
}

// deny says that there is no image, unless a swap has brought one meanwhile.
func (l *Lease) deny(err error) {
	d := l.device
	d.mu.Lock()
	defer d.mu.Unlock()
	l.acquiring = false
	if l.image == nil {
		l.ask(Ask{Denied: fmt.Errorf("GPU %s: %w", d.config.UUID, err)})
	}
}

// Release ends the lease, once. Whatever the client has mapped, it is done with it.
func (l *Lease) Release() {
	d := l.device
	d.mu.Lock()
	defer d.mu.Unlock()
	if l.released {
		return
	}
	l.end()
	d.park(l)
	l.released = true
	delete(d.leases, l)
	close(l.asks)
}
