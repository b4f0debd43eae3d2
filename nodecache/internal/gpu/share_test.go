package gpu

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
)

// use is one piece of work with the image: acquire, infer, release.
func (c *client) use(priority int, work time.Duration) error {
	for {
		<-c.working
		c.mu.Lock()
		ready := c.using
		c.mu.Unlock()
		if ready {
			time.Sleep(work)
			c.working <- struct{}{}
			return nil
		}
		c.working <- struct{}{}
		c.mu.Lock()
		c.denied = nil
		shown, parked := c.shown, c.parked
		c.mu.Unlock()
		if parked {
			c.lease.Acquire(priority, time.Minute)
		}
		c.await(func() bool { return c.shown > shown || c.denied != nil || c.parked != parked })
		c.mu.Lock()
		err := c.denied
		c.mu.Unlock()
		if err != nil {
			return err
		}
	}
}

// TestTwoServicesTakeTurns has two services use versions of which the GPU can hold
// one: each gets a slice after the other.
func TestTwoServicesTakeTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 12*half)
		base, _, other, want := w.three()
		counts := make([]int, 2)
		a := w.lease(base, Terms{Client: "a", Yield: true}, want)
		var all sync.WaitGroup
		until := time.Now().Add(time.Minute)
		serve := func(i int, c *client) {
			for time.Now().Before(until) {
				if err := c.use(0, 100*time.Millisecond); err != nil {
					t.Error(err)
				}
				counts[i]++
			}
		}
		all.Go(func() { serve(0, a) })
		b := w.lease(other, Terms{Client: "b", Yield: true}, want)
		all.Go(func() { serve(1, b) })
		all.Wait()
		if turns := a.shown; turns < 25 || turns > 35 || counts[0]+counts[1] < 500 || counts[0] < 250 || counts[1] < 250 {
			t.Errorf("in a minute a had %d turns, and %d pieces of work were done, want 30 turns and 300 each", turns, counts)
		}
		a.release()
		b.release()
		w.close()
	})
}

// TestPriority lets somebody with a higher one not wait for a slice to end, and come
// before those who wait already.
func TestPriority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 12*half)
		w.device.config.Slice = time.Hour
		base, _, other, want := w.three()
		third := family(7, 4, 16)
		late := w.version("acme/late:main", third)
		want[late.Key.Digest.String()] = third
		a := w.lease(base, Terms{Client: "a", Yield: true}, want)
		started := time.Now()
		var order []string
		var all sync.WaitGroup
		var mu sync.Mutex
		for _, one := range []struct {
			v        Version
			priority int
		}{{late, 0}, {other, 5}} {
			all.Go(func() {
				c := w.lease(one.v, Terms{Client: one.v.Ref.String(), Priority: one.priority, Yield: true}, want)
				mu.Lock()
				order = append(order, one.v.Ref.String())
				mu.Unlock()
				c.release()
			})
			synctest.Wait() // it stands in line
		}
		all.Wait()
		if took := time.Since(started); len(order) != 2 || order[0] != other.Ref.String() || took > time.Minute {
			t.Errorf("in %v came %v", took, order)
		}
		a.release()
		w.close()
	})
}

// TestNobodyIsForced has somebody wait for the room of one who does not yield, and
// of one who is pinned.
func TestNobodyIsForced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 12*half)
		base, _, other, want := w.three()
		a := w.lease(base, Terms{Client: "a"}, want)
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		if _, err := w.device.Lease(ctx, other, Terms{Priority: 9}); !errors.Is(err, ledger.ErrFull) || a.shown != 1 {
			t.Errorf("lease: %v", err)
		}
		a.release()
		w.device.Pin(base.Key, true)
		ctx, cancel = context.WithTimeout(context.Background(), time.Hour)
		defer cancel()
		if _, err := w.device.Load(ctx, other, Order{}); !errors.Is(err, ledger.ErrFull) {
			t.Errorf("load: %v", err)
		}
		w.device.Pin(base.Key, false)
		if err := w.device.Hint(context.Background(), other); err != nil || w.device.Has(other.Key) {
			t.Errorf("a hint has made room: %v", err)
		}
		if _, err := w.device.Unload(base.Key); err != nil {
			t.Error(err)
		}
		if err := w.device.Hint(context.Background(), other); err != nil || !w.device.Has(other.Key) {
			t.Errorf("a hint was not followed: %v", err)
		}
		w.close()
	})
}

// TestAnything does what clients and operators may do, in any order, while copies
// fail now and then. The world and the clients look at every byte.
func TestAnything(t *testing.T) {
	rounds := 40
	if testing.Short() {
		rounds = 10
	}
	for seed := range rounds {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { anything(t, uint64(seed)) })
		})
	}
}

func anything(t *testing.T, seed uint64) {
	r := rand.New(rand.NewPCG(seed, 6))
	w := newWorld(t, int64(6+r.IntN(20))*2*half)
	w.lossy = true
	base := family(1, 4, 16)
	all := []weights{base, family(2, 2, 22), family(3, 3, 16)}
	for i := range 3 {
		all = append(all, base.with(fmt.Sprintf("layers.%d.attn.weight", i), int64(50+i), i, i+1))
	}
	var versions []Version
	want := map[string]weights{}
	for i, x := range all {
		v := w.version(fmt.Sprintf("acme/m%d:main", i), x)
		versions = append(versions, v)
		want[v.Key.Digest.String()] = x
	}
	flaw := errors.New("flaw")
	var fail sync.Mutex
	chance := rand.New(rand.NewPCG(seed, 7))
	w.fail = func(what string) error {
		fail.Lock()
		defer fail.Unlock()
		if what != "memory" && chance.IntN(400) == 0 {
			return flaw
		}
		return nil
	}
	var work sync.WaitGroup
	for range 4 {
		own := rand.New(rand.NewPCG(seed, r.Uint64()))
		work.Go(func() { anyClient(w, own, versions, want) })
	}
	own := rand.New(rand.NewPCG(seed, r.Uint64()))
	for range 20 {
		anyOrder(w, own, versions)
	}
	work.Wait()
	fail.Lock()
	flaw = nil
	fail.Unlock()
	for _, v := range versions {
		if err := w.device.Verify(context.Background(), v); err != nil && !errors.Is(err, ErrNotOn) {
			t.Error(err)
		}
	}
	w.close()
}

func anyClient(w *world, r *rand.Rand, versions []Version, want map[string]weights) {
	for range 4 {
		ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+r.IntN(60))*time.Second)
		l, err := w.device.Lease(ctx, versions[r.IntN(len(versions))], Terms{Client: "any", Yield: r.IntN(4) > 0, Priority: r.IntN(2)})
		cancel()
		if err != nil {
			time.Sleep(time.Second)
			continue
		}
		c := w.serve(l, want, r.IntN(8) == 0)
		for range r.IntN(6) {
			if r.IntN(5) == 0 && !c.deaf.Load() {
				c.detach()
			}
			_ = c.use(r.IntN(2), time.Duration(r.IntN(3000))*time.Millisecond) // denied is an answer
		}
		c.release()
	}
}

func anyOrder(w *world, r *rand.Rand, versions []Version) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Duration(1+r.IntN(60))*time.Second)
	defer cancel()
	a, b := versions[r.IntN(len(versions))], versions[r.IntN(len(versions))]
	switch r.IntN(6) {
	case 0, 1:
		_, _ = w.device.Swap(ctx, a.Key, b, Order{Priority: r.IntN(2)}) // any error is allowed here and below
	case 2:
		_, _ = w.device.Load(ctx, a, Order{})
	case 3:
		_, _ = w.device.Unload(a.Key)
	case 4:
		w.device.Pin(a.Key, r.IntN(3) == 0)
	default:
		time.Sleep(time.Duration(r.IntN(5000)) * time.Millisecond)
	}
}
