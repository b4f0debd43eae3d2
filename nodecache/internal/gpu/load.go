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

// Load brings a version onto the GPU beside what is there, and waits for room until
// ctx ends.
func (d *Device) Load(ctx context.Context, v Version, o Order) (openapi.SwapReceipt, error) {
	began := d.config.Now()
	ctx, cancel := d.within(ctx)
	defer cancel()
	r, err := d.bring(ctx, v, o, d.unuse)
	if err != nil {
		return r, fmt.Errorf("GPU %s: %w", d.config.UUID, err)
	}
	r.TotalMS = milliseconds(d.config.Now().Sub(began))
	return r, nil
}

// Hint brings a version onto the GPU if there is room for it that nobody has.
func (d *Device) Hint(ctx context.Context, v Version) error {
	held, err := v.Hold(ctx)
	if err != nil {
		return err
	}
	_, evict, err := d.ledger.Would(entryOf(v.Key, newLayout(held.Manifest, d.cut)))
	held.Release()
	if err != nil || len(evict) > 0 {
		return err
	}
	_, err = d.Load(ctx, v, Order{Priority: lowest})
	return err
}

// lowest is a priority behind that of all who ask.
const lowest = -1 << 31

// highest is a priority before that of all who ask.
const highest = 1<<31 - 1

// receipt begins the receipt of bringing a version.
func (d *Device) receipt(v Version) openapi.SwapReceipt {
	return openapi.SwapReceipt{To: v.Ref.String(), Version: v.Key.Digest, Device: d.config.UUID}
}

// within returns a context that ends with the Device too.
func (d *Device) within(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancelCause(ctx)
	stop := context.AfterFunc(d.ctx, func() { cancel(ErrClosed) })
	return ctx, func() { stop(); cancel(nil) }
}

// unuse is for who only wants an image to be there. d.mu is held.
func (d *Device) unuse(im *image) { d.ledger.Unlease(im.version.Key, d.config.Now()) }

// bring gives use the image of a version, which it makes if need be. It is leased
// for use in the account. While use is called d.mu is held, and nobody changes what
// is on the GPU between that and the look at what is there.
func (d *Device) bring(ctx context.Context, v Version, o Order, use func(im *image)) (openapi.SwapReceipt, error) {
	r := d.receipt(v)
	if d.take(v.Key, &r, use) {
		return r, nil
	}
	held, err := v.Hold(ctx)
	if err != nil {
		return r, err
	}
	defer held.Release()
	began := d.config.Now()
	t, err := d.line.enter(ctx, o.Priority)
	if err != nil {
		return r, fmt.Errorf("wait in line: %w", err)
	}
	defer t.leave()
	if d.take(v.Key, &r, use) {
		r.QueuedMS = milliseconds(d.config.Now().Sub(began))
		return r, nil
	}
	im, err := d.load(ctx, t, v, held, o, began, &r)
	for errors.Is(err, errThere) {
		if d.take(v.Key, &r, use) {
			return r, nil
		}
		im, err = d.load(ctx, t, v, held, o, d.config.Now(), &r)
	}
	if err == nil {
		d.mu.Lock()
		use(im)
		d.mu.Unlock()
	}
	return r, err
}

// errThere reports a version that somebody else has brought, who came first.
var errThere = errors.New("the version is there")

// take gives use the image of a version that is there and that nobody is about to
// take away; false for none.
func (d *Device) take(k ledger.Key, r *openapi.SwapReceipt, use func(im *image)) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	im := d.images[k]
	if im == nil || im.vacating || im.swapping || d.ledger.Lease(k, d.config.Now()) != nil {
		return false
	}
	im.reused(r)
	use(im)
	return true
}

// reused makes the receipt that of an image which was there.
func (im *image) reused(r *openapi.SwapReceipt) {
	r.Kind = openapi.SwapResident
	r.BytesTotal, r.BytesReused = im.layout.bytes, im.layout.bytes
	r.SlabsTotal, r.SlabsShared = len(im.slabs), len(im.slabs)
}

// load makes an image, leased once. t is at the front.
func (d *Device) load(ctx context.Context, t *turn, v Version, held *Held, o Order, began time.Time, r *openapi.SwapReceipt) (*image, error) {
	l := newLayout(held.Manifest, d.cut)
	if len(l.slabs) == 0 {
		return nil, fmt.Errorf("%s: %w", v.Key, ErrNoTensors)
	}
	im := &image{version: v, layout: l}
	err := d.room(ctx, t, func() (ledger.Eviction, error) { return d.admit(im) })
	r.QueuedMS += milliseconds(d.config.Now().Sub(began))
	if err != nil {
		return nil, err
	}
	making, span := trace.Start(ctx, "gpu load")
	err = d.make(making, im, held, o, r)
	span.End(err)
	if err != nil {
		d.undo(im)
		return nil, err
	}
	d.tell(v, openapi.EventLoaded, l.bytes, "")
	return im, nil
}

// admit makes an image a holder of its slabs and leases it.
func (d *Device) admit(im *image) (ledger.Eviction, error) {
	if d.Has(im.version.Key) {
		return ledger.Eviction{}, errThere
	}
	out, err := d.ledger.Admit(entryOf(im.version.Key, im.layout), d.config.Now())
	if err != nil {
		return out, err
	}
	d.reserve(im)
	return out, d.ledger.Lease(im.version.Key, d.config.Now())
}

// undo takes an image back that was admitted and is not there.
func (d *Device) undo(im *image) {
	d.change.Lock()
	defer d.change.Unlock()
	d.ledger.Unlease(im.version.Key, d.config.Now())
	if _, err := d.ledger.Remove(im.version.Key); err != nil {
		d.config.Logger.Error("an image that failed is still in use", "gpu", d.config.UUID, "version", im.version.Key.String(), "err", err)
	}
	d.drop(im)
	d.bell.Ring()
}

func milliseconds(t time.Duration) float64 { return float64(t) / float64(time.Millisecond) }
