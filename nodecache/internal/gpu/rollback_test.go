package gpu

import (
	"context"
	"errors"
	"testing"

	"github.com/ingot-ml/ingot/openapi"
)

// TestSwapRollsBack has a swap fail between two copies into the slabs of the version
// before, of which there are three. Whoever uses it looks at every byte as it goes on.
func TestSwapRollsBack(t *testing.T) {
	broken := errors.New("broken")
	for at := 1; at <= 3; at++ {
		w := newWorld(t, 40*half)
		x := family(1, 4, 16)
		y := x.with("layers.0.attn.weight", 97, 0).with("layers.2.mlp.weight", 98, 1).with("layers.3.attn.weight", 99, 2)
		base, variant := w.version("acme/base:main", x), w.version("acme/base:variant", y)
		c := w.lease(base, Terms{Client: "engine"}, w.want(map[*Version]weights{&base: x, &variant: y}))
		copies := 0
		w.fail = func(what string) error {
			if what == "copy" {
				if copies++; copies == at {
					return broken
				}
			}
			return nil
		}
		_, err := w.device.Swap(context.Background(), base.Key, variant, Order{})
		w.fail = nil
		if !errors.Is(err, broken) || errors.Is(err, ErrLost) {
			t.Errorf("a swap that fails at copy %d: %v", at, err)
		}
		c.await(func() bool { return c.shown == 2 })
		if c.version() != base.Key.Digest.String() {
			t.Errorf("after a swap that failed at copy %d the client has %s", at, c.version())
		}
		if err := w.device.Verify(context.Background(), base); err != nil {
			t.Errorf("after a swap that failed at copy %d: %v", at, err)
		}
		if r := mustSwap(t, w.device, base.Key, variant); r.Kind != openapi.SwapInPlace || r.Copies != 3 {
			t.Errorf("the swap after it: %+v", r)
		}
		c.await(func() bool { return c.shown == 3 })
		c.release()
		w.close()
	}
}
