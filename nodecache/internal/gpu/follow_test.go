package gpu

import (
	"errors"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// follow swaps for those who follow the reference of the version that comes.
func (w *world) follow(from, to Version) openapi.SwapReceipt {
	w.t.Helper()
	r, err := w.device.Swap(w.t.Context(), from.Key, to, Order{Follow: true})
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

// as is a version under the name of another reference.
func (v Version) as(ref string) Version {
	parsed, err := name.ParseRef(ref)
	if err != nil {
		panic(err)
	}
	v.Ref = parsed
	return v
}

// TestSwapFollowers moves those alone who follow a reference: others keep the
// version that it was before, under whatever name they lease that.
func TestSwapFollowers(t *testing.T) {
	w := newWorld(t, 40*half)
	base, variant, _, want := w.three()
	prod := "acme/base:prod"
	follows := w.lease(base.as(prod), Terms{Follow: true}, want)
	parked := w.lease(base.as(prod), Terms{Follow: true}, want)
	parked.detach()
	others := []*client{
		w.lease(base.as(prod), Terms{}, want),
		w.lease(base, Terms{Follow: true}, want), // of another reference
	}
	r := w.follow(base, variant.as(prod))
	if r.Kind != openapi.SwapRemap || r.Leases != 2 || r.SlabsNew != 1 || r.BytesUploaded != chunkSize {
		t.Errorf("swap: %+v", r)
	}
	follows.await(func() bool { return follows.shown == 2 })
	if follows.version() != variant.Key.Digest.String() || follows.lease.Ref().String() != prod {
		t.Errorf("who follows has %s of %s", follows.version(), follows.lease.Ref())
	}
	for _, c := range others {
		if c.shown != 1 || c.version() != base.Key.Digest.String() {
			t.Errorf("who does not follow was shown %d images, the last of %s", c.shown, c.version())
		}
	}
	if parked.lease.Key() != variant.Key {
		t.Error("who has no image now would get the old version")
	}
	parked.lease.Acquire(0, time.Minute)
	parked.await(func() bool { return parked.shown == 2 })
	for _, v := range []Version{base, variant} {
		if err := w.device.Verify(t.Context(), v); err != nil {
			t.Error(err)
		}
	}
	for _, c := range append(others, follows, parked) {
		c.release()
	}
	w.close()
}

// TestSwapLastFollower swaps in place when all who use a version follow.
func TestSwapLastFollower(t *testing.T) {
	w := newWorld(t, 40*half)
	base, variant, _, want := w.three()
	c := w.lease(base.as("acme/base:prod"), Terms{Follow: true}, want)
	if r := w.follow(base, variant.as("acme/base:prod")); r.Kind != openapi.SwapInPlace || r.BytesUploaded != chunkSize || r.Leases != 1 {
		t.Errorf("swap: %+v", r)
	}
	c.await(func() bool { return c.shown == 2 })
	c.release()
	w.close()
}

// TestSwapOfNothing swaps a version that is not there: who follows and has no image
// gets the other one when he wants it, and nobody else.
func TestSwapOfNothing(t *testing.T) {
	w := newWorld(t, 40*half)
	base, variant, other, want := w.three()
	follows := w.lease(base.as("acme/base:prod"), Terms{Follow: true}, want)
	stays := w.lease(base.as("acme/base:prod"), Terms{}, want)
	follows.detach()
	stays.detach()
	if _, err := w.device.Unload(base.Key); err != nil {
		t.Fatal(err)
	}
	if _, err := w.device.Swap(t.Context(), base.Key, other, Order{}); !errors.Is(err, ErrNotOn) || follows.lease.Key() != base.Key || stays.lease.Key() != base.Key {
		t.Errorf("a swap of what is not there: %v", err)
	}
	_, err := w.device.Swap(t.Context(), base.Key, variant.as("acme/base:prod"), Order{Follow: true})
	if !errors.Is(err, ErrNotOn) || follows.lease.Key() != variant.Key || stays.lease.Key() != base.Key {
		t.Errorf("one for those who follow: %v", err)
	}
	follows.release()
	stays.release()
	w.close()
}
