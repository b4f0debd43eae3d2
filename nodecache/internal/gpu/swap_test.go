package gpu

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/nodecache/internal/mover"
	"github.com/ingot-ml/ingot/openapi"
)

// half is half of the least slab.
const half = 32 << 10

// three are a base, a variant in which one chunk of one layer differs, and a model
// of another shape.
func (w *world) three() (base, variant, other Version, want map[string]weights) {
	x := family(1, 4, 16) // a slab for each layer
	y := x.with("layers.2.mlp.weight", 99, 1)
	z := family(2, 2, 22)
	base, variant, other = w.version("acme/base:main", x), w.version("acme/base:variant", y), w.version("acme/other:main", z)
	return base, variant, other, w.want(map[*Version]weights{&base: x, &variant: y, &other: z})
}

func TestLoadSharesSlabs(t *testing.T) {
	w := newWorld(t, 40*half)
	base, variant, _, want := w.three()
	r := mustLoad(t, w.device, base)
	if r.Kind != openapi.SwapLoad || r.BytesUploaded != r.BytesTotal || r.SlabsNew != r.SlabsTotal || r.BytesReused != 0 || r.BytesDeviceCopied != 0 {
		t.Errorf("load of the base: %+v", r)
	}
	alone := w.used()
	r = mustLoad(t, w.device, variant)
	if r.SlabsNew != 1 || r.BytesUploaded != chunkSize || r.BytesUploaded+r.BytesDeviceCopied+r.BytesReused != r.BytesTotal {
		t.Errorf("load of the variant: %+v", r)
	}
	if grown := w.used() - alone; grown != 2*half {
		t.Errorf("the variant takes %d bytes beside the base", grown)
	}
	if r = mustLoad(t, w.device, variant); r.Kind != openapi.SwapResident || r.Copies != 0 {
		t.Errorf("load of what is there: %+v", r)
	}
	for _, v := range []Version{base, variant} {
		if err := w.device.Verify(context.Background(), v); err != nil {
			t.Error(err)
		}
		w.lease(v, Terms{}, want).release()
	}
	w.close()
}

func TestSwapInPlace(t *testing.T) {
	w := newWorld(t, 40*half)
	base, variant, _, want := w.three()
	c := w.lease(base, Terms{Client: "engine"}, want)
	slabs := c.image.Slabs
	r := mustSwap(t, w.device, base.Key, variant)
	if r.Kind != openapi.SwapInPlace || r.BytesUploaded != chunkSize || r.Copies != 1 || r.BytesDeviceCopied != 0 ||
		r.SlabsInPlace != 1 || r.SlabsNew != 0 || r.Leases != 1 || r.BytesReused != r.BytesTotal-chunkSize {
		t.Errorf("swap: %+v", r)
	}
	c.await(func() bool { return c.shown == 2 })
	if w.device.Has(base.Key) || !w.device.Has(variant.Key) || c.version() != variant.Key.Digest.String() {
		t.Error("the base is on the GPU still, or the client has it")
	}
	for i, s := range c.image.Slabs {
		if s != slabs[i] {
			t.Errorf("slab %d was %v and is %v", i, slabs[i], s)
		}
	}
	back := mustSwap(t, w.device, variant.Key, base)
	if back.Kind != openapi.SwapInPlace || back.BytesUploaded != chunkSize {
		t.Errorf("swap back: %+v", back)
	}
	c.await(func() bool { return c.shown == 3 })
	if err := w.device.Verify(context.Background(), base); err != nil {
		t.Error(err)
	}
	c.release()
	w.close()
}

// TestSwapSharedSlab swaps a version whose slab with the difference another version
// has too: that one must not be written to.
func TestSwapSharedSlab(t *testing.T) {
	w := newWorld(t, 40*half)
	x := family(1, 4, 16)
	y, z := x.with("layers.2.mlp.weight", 99, 1), x.with("layers.0.attn.weight", 98, 0)
	base, variant, third := w.version("acme/m:a", x), w.version("acme/m:b", y), w.version("acme/m:c", z)
	want := w.want(map[*Version]weights{&base: x, &variant: y, &third: z})
	other := w.lease(third, Terms{}, want)
	c := w.lease(base, Terms{}, want)
	r := mustSwap(t, w.device, base.Key, variant)
	if r.Kind != openapi.SwapInPlace || r.SlabsNew != 1 || r.BytesUploaded != chunkSize || r.BytesDeviceCopied == 0 {
		t.Errorf("swap: %+v", r)
	}
	c.await(func() bool { return c.shown == 2 })
	for _, v := range []Version{variant, third} {
		if err := w.device.Verify(context.Background(), v); err != nil {
			t.Error(err)
		}
	}
	other.release()
	c.release()
	w.close()
}

func TestSwapToOther(t *testing.T) {
	for name, budget := range map[string]int64{"beside": 40 * half, "instead": 12 * half} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, budget)
			base, _, other, want := w.three()
			a, b := w.lease(base, Terms{Client: "a"}, want), w.lease(base, Terms{Client: "b"}, want)
			r := mustSwap(t, w.device, base.Key, other)
			if r.Kind != openapi.SwapRemap || r.Leases != 2 || r.BytesUploaded != r.BytesTotal {
				t.Errorf("swap: %+v", r)
			}
			for _, c := range []*client{a, b} {
				c.await(func() bool { return c.shown == 2 })
				if c.version() != other.Key.Digest.String() || c.lease.Ref() != other.Ref {
					t.Errorf("client has %s", c.version())
				}
			}
			if there := w.device.Has(base.Key); there != (name == "beside") {
				t.Errorf("the base is there: %v", there)
			}
			if name == "beside" {
				r = mustSwap(t, w.device, other.Key, base)
				if r.Kind != openapi.SwapRemap || r.BytesUploaded != 0 || r.Copies != 0 || r.BytesReused != r.BytesTotal {
					t.Errorf("swap to what is there: %+v", r)
				}
				a.await(func() bool { return a.shown == 3 })
			}
			a.release()
			b.release()
			w.close()
		})
	}
}

func TestSwapOfParked(t *testing.T) {
	w := newWorld(t, 40*half)
	base, variant, _, want := w.three()
	c := w.lease(base, Terms{}, want)
	c.detach()
	if r := mustSwap(t, w.device, base.Key, variant); r.Leases != 1 || r.Kind != openapi.SwapInPlace {
		t.Errorf("swap: %+v", r)
	}
	c.lease.Acquire(0, 0)
	c.await(func() bool { return c.shown == 2 })
	if c.version() != variant.Key.Digest.String() {
		t.Errorf("client has %s", c.version())
	}
	c.release()
	w.close()
}

func TestSwapWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 40*half)
		base, variant, other, want := w.three()
		good := w.lease(base, Terms{Client: "good"}, want)
		l, err := w.device.Lease(context.Background(), base, Terms{Client: "deaf"})
		if err != nil {
			t.Fatal(err)
		}
		deaf := w.serve(l, want, true)
		for i, to := range []Version{variant, other} {
			_, err = w.device.Swap(context.Background(), base.Key, to, Order{})
			if !errors.Is(err, ErrPause) {
				t.Errorf("swap: %v", err)
			}
			good.await(func() bool { return good.shown == 2+i })
			if !w.device.Has(base.Key) || w.device.Has(variant.Key) || good.version() != base.Key.Digest.String() {
				t.Error("the swap was not undone")
			}
		}
		// One that answers late gets its image again, and may be swapped then.
		deaf.deaf.Store(false)
		synctest.Wait()
		shown := deaf.shown
		deaf.lease.Paused(999)
		deaf.await(func() bool { return deaf.shown == shown+1 })
		if r := mustSwap(t, w.device, base.Key, variant); r.Leases != 2 {
			t.Errorf("swap: %+v", r)
		}
		good.release()
		deaf.release()
		w.close()
	})
}

// TestSwapFails has copies fail at every place of every kind of swap, for good or
// once.
func TestSwapFails(t *testing.T) {
	broken := errors.New("broken")
	for _, one := range []struct {
		name   string
		budget int64
		err    error
		times  int
	}{
		{"for good", 40 * half, broken, 1 << 30},
		{"once", 40 * half, broken, 1},
		{"mover died", 40 * half, mover.ErrGone, 1},
		{"no room for both", 24 * half, broken, 1},
		{"no room for both, for good", 24 * half, broken, 1 << 30},
	} {
		for at := 1; ; at++ {
			if !swapFails(t, one.name, one.budget, one.err, at, one.times) {
				break
			}
		}
	}
}

func swapFails(t *testing.T, name string, budget int64, broken error, at, times int) (failed bool) {
	w := newWorld(t, budget)
	defer w.close()
	w.lossy = true
	base, variant, other, want := w.three()
	c := w.lease(base, Terms{Client: "engine"}, want)
	defer c.release()
	calls := 0
	w.fail = func(what string) error {
		if what == "memory" {
			return nil
		}
		if calls++; calls >= at && calls < at+times {
			failed = true
			return broken
		}
		return nil
	}
	to := variant
	if budget < 40*half {
		to = other
	}
	_, err := w.device.Swap(context.Background(), base.Key, to, Order{})
	w.fail = nil
	switch {
	case err == nil:
		c.await(func() bool { return c.shown == 2 })
		if c.version() != to.Key.Digest.String() || !w.device.Has(to.Key) {
			t.Errorf("%s at %d: the client has %s", name, at, c.version())
		}
	case errors.Is(err, ErrLost):
		c.await(func() bool { return c.lost != nil })
		if w.device.Has(base.Key) || w.device.Has(to.Key) {
			t.Errorf("%s at %d: what is lost is on the GPU", name, at)
		}
		c.lease.Acquire(0, 0)
		c.await(func() bool { return c.lost == nil })
	default:
		if !errors.Is(err, broken) || !w.device.Has(base.Key) || c.version() != base.Key.Digest.String() {
			t.Errorf("%s at %d: %v, and the client has %s", name, at, err, c.version())
		}
	}
	return failed
}

func TestErrors(t *testing.T) {
	w := newWorld(t, 12*half)
	base, variant, other, want := w.three()
	c := w.lease(base, Terms{Client: "engine"}, want)
	if _, err := w.device.Swap(context.Background(), other.Key, variant, Order{}); !errors.Is(err, ErrNotOn) {
		t.Errorf("swap of what is not there: %v", err)
	}
	if _, err := w.device.Unload(base.Key); !errors.Is(err, ledger.ErrLeased) {
		t.Errorf("unload of what is in use: %v", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Millisecond)
	defer cancel()
	var full *ledger.FullError
	if _, err := w.device.Load(ctx, other, Order{}); !errors.As(err, &full) || !errors.Is(err, context.DeadlineExceeded) || len(full.Holders) != 1 {
		t.Errorf("load without room: %v", err)
	}
	large := w.version("acme/large:main", family(3, 20, 16))
	if _, err := w.device.Load(context.Background(), large, Order{}); !errors.Is(err, ledger.ErrTooLarge) {
		t.Errorf("load of what is too large: %v", err)
	}
	none := w.version("acme/none:main", weights{})
	if _, err := w.device.Load(context.Background(), none, Order{}); !errors.Is(err, ErrNoTensors) {
		t.Errorf("load of nothing: %v", err)
	}
	c.release()
	if freed, err := w.device.Unload(base.Key); err != nil || freed == 0 || w.used() != 0 {
		t.Errorf("unload: %d, %v", freed, err)
	}
	w.close()
}

// TestMemoryOfOthers has others fill the GPU, although the budget has room.
func TestMemoryOfOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 40*half)
		base, _, other, want := w.three()
		mustLoad(t, w.device, base)
		w.real = w.used() + half
		mustLoad(t, w.device, other) // the base has to go
		if w.device.Has(base.Key) {
			t.Error("what nobody uses is on the GPU still")
		}
		c := w.lease(other, Terms{}, want)
		if _, err := w.device.Load(context.Background(), base, Order{}); !errors.Is(err, ErrMemory) || !errors.Is(err, cuda.ErrOutOfMemory) {
			t.Errorf("load: %v", err)
		}
		w.real = 40 * half
		w.device.config.Headroom = 40*half - w.used()
		if _, err := w.device.Load(context.Background(), base, Order{}); !errors.Is(err, ErrMemory) {
			t.Errorf("load into the headroom: %v", err)
		}
		c.release()
		w.close()
	})
}

// TestMemoryOfTheDead has a client gone for the account before it is for the driver.
func TestMemoryOfTheDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 12*half)
		base, _, other, _ := w.three()
		mustLoad(t, w.device, base)
		w.real = w.used() // which the base goes on taking
		w.lag = time.Second
		mustLoad(t, w.device, other)
		w.close()
	})
}

func TestFailed(t *testing.T) {
	w := newWorld(t, 40*half)
	base, _, other, want := w.three()
	c := w.lease(base, Terms{}, want)
	mustLoad(t, w.device, other)
	w.lossy = true
	w.device.Failed(cuda.ErrNoDevice)
	c.await(func() bool { return errors.Is(c.lost, ErrLost) && errors.Is(c.lost, cuda.ErrNoDevice) })
	if w.device.Has(base.Key) || w.device.Has(other.Key) {
		t.Error("something is on the GPU still")
	}
	c.lease.Acquire(0, 0)
	c.await(func() bool { return c.shown == 2 })
	c.release()
	w.close()
}
