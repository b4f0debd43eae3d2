//go:build linux && (amd64 || arm64)

package cuda_test

import (
	"errors"
	"runtime"
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/cuda/cudatest"
)

// onThread runs f on an OS thread that nothing else has used, or will.
func onThread(f func()) {
	done := make(chan struct{})
	go func() {
		runtime.LockOSThread() // and never unlocks: the thread ends with the goroutine
		defer close(done)
		f()
	}()
	<-done
}

// TestFakeContextIsOfThread sees that a thread has a context inside of With, and none
// before and after.
func TestFakeContextIsOfThread(t *testing.T) {
	fakeOf(t, 1)
	d := open(t)
	c := retain(t, d.Devices()[0])
	onThread(func() {
		wantRefused(t, d.RawMemInfo(), "cuMemGetInfo_v2", cuda.InvalidContext)
		if err := c.With(func(*cuda.Bound) error { return d.RawMemInfo() }); err != nil {
			t.Error(err)
		}
		wantRefused(t, d.RawMemInfo(), "cuMemGetInfo_v2", cuda.InvalidContext)
	})
}

// TestFakeWithPanics leaves no context behind, and lets others go on.
func TestFakeWithPanics(t *testing.T) {
	fakeOf(t, 1)
	d := open(t)
	c := retain(t, d.Devices()[0])
	onThread(func() {
		func() {
			defer func() {
				if recover() == nil {
					t.Error("the panic is lost")
				}
			}()
			_ = c.With(func(*cuda.Bound) error { panic("test") })
		}()
		wantRefused(t, d.RawMemInfo(), "cuMemGetInfo_v2", cuda.InvalidContext)
	})
	within(t, c, func(b *cuda.Bound) error { return b.SynchronizeContext() })
}

// everyMethod calls all methods of a Bound.
func everyMethod(b *cuda.Bound) map[string]error {
	mem := make([]byte, 1)
	errs := map[string]error{
		"Register": b.Register(mem, 0), "Unregister": b.Unregister(mem), "FreeAddress": b.FreeAddress(1, 1),
		"Map": b.Map(1, 1, 1), "Unmap": b.Unmap(1, 1), "SetAccess": b.SetAccess(1, 1, true),
		"DestroyStream": b.DestroyStream(1), "Synchronize": b.Synchronize(1), "Wait": b.Wait(1, 1),
		"Record": b.Record(1, 1), "SynchronizeEvent": b.SynchronizeEvent(1), "DestroyEvent": b.DestroyEvent(1),
		"HtoD": b.HtoD(1, mem, 0), "DtoH": b.DtoH(mem, 1, 0), "DtoD": b.DtoD(1, 2, 1, 0), "Memset": b.Memset(1, 0, 1, 0),
		"HtoD of nothing": b.HtoD(1, nil, 0), "DtoH of nothing": b.DtoH(nil, 1, 0),
		"Launch": b.Launch(1, 1, 1, 0), "Unload": b.Unload(1), "SynchronizeContext": b.SynchronizeContext(),
	}
	_, _, errs["MemInfo"] = b.MemInfo()
	_, errs["Reserve"] = b.Reserve(1, 0)
	_, errs["NewStream"] = b.NewStream()
	_, errs["Query"] = b.Query(1)
	_, errs["NewEvent"] = b.NewEvent()
	_, errs["QueryEvent"] = b.QueryEvent(1)
	_, errs["Elapsed"] = b.Elapsed(1, 1)
	_, errs["Load"] = b.Load(mem)
	_, errs["Function"] = b.Function(1, "f")
	return errs
}

// TestFakeBoundMisuse uses a Bound where it is not good.
func TestFakeBoundMisuse(t *testing.T) {
	f := fakeOf(t, 2)
	devices := open(t).Devices()
	c, other := retain(t, devices[0]), retain(t, devices[1])
	refuses := func(where string, b *cuda.Bound) {
		t.Helper()
		before := f.TotalCalls()
		for method, err := range everyMethod(b) {
			if classOf(t, err) != "ErrUnbound" {
				t.Errorf("%s, %s: %v", where, method, err)
			}
		}
		if n := f.TotalCalls() - before; n != 0 {
			t.Errorf("%s: the driver got %d calls", where, n)
		}
	}
	var kept *cuda.Bound
	within(t, c, func(b *cuda.Bound) error {
		kept = b
		onThread(func() { refuses("another thread", b) })
		err := other.With(func(*cuda.Bound) error {
			refuses("inside of another context", b)
			return nil
		})
		_, _, again := b.MemInfo()
		return errors.Join(err, again)
	})
	refuses("after With", kept)
	refuses("never bound", new(cuda.Bound))
	within(t, c, func(*cuda.Bound) error {
		refuses("in a later With", kept)
		return nil
	})
}

// TestFakeWithin nests contexts of two devices: calls go to the device of the Bound.
func TestFakeWithin(t *testing.T) {
	fakeOf(t, 2)
	devices := open(t).Devices()
	first, second := retain(t, devices[0]), retain(t, devices[1])
	h, err := devices[1].Create(3 * slab)
	if err != nil {
		t.Fatal(err)
	}
	free := func(b *cuda.Bound) int64 {
		n, _, err := b.MemInfo()
		if err != nil {
			t.Error(err)
		}
		return n
	}
	within(t, first, func(a *cuda.Bound) error {
		err := second.With(func(b *cuda.Bound) error {
			if n := free(b); n != fakeMemory-3*slab {
				t.Errorf("the inner device has %d free", n)
			}
			return first.With(func(a *cuda.Bound) error {
				if n := free(a); n != fakeMemory {
					t.Errorf("the innermost device has %d free", n)
				}
				return nil
			})
		})
		if n := free(a); n != fakeMemory {
			t.Errorf("the outer device has %d free", n)
		}
		return err
	})
	if err := devices[1].Release(h); err != nil {
		t.Fatal(err)
	}
}

func TestFakeClose(t *testing.T) {
	f := fakeOf(t, 1)
	c, err := open(t).Devices()[0].Retain()
	if err != nil {
		t.Fatal(err)
	}
	within(t, c, func(*cuda.Bound) error {
		if err := c.Close(); err == nil {
			t.Error("a context closes inside of its With")
		}
		return nil
	})
	inside, closed := make(chan bool), make(chan error)
	leave := make(chan bool)
	go func() {
		_ = c.With(func(*cuda.Bound) error { close(inside); <-leave; return nil })
	}()
	<-inside
	go func() { closed <- c.Close() }()
	for c.With(func(*cuda.Bound) error { return nil }) == nil {
		runtime.Gosched() // until Close has begun
	}
	if n := f.Calls("cuDevicePrimaryCtxRelease_v2"); n != 0 {
		t.Error("the context was released while it was in use")
	}
	close(leave)
	if err := errors.Join(<-closed, c.Close()); err != nil {
		t.Error(err)
	}
	if n := f.Calls("cuDevicePrimaryCtxRelease_v2"); n != 1 {
		t.Errorf("the context was released %d times", n)
	}
	if err := c.With(func(*cuda.Bound) error { return nil }); classOf(t, err) != "ErrClosed" {
		t.Errorf("a closed context: %v", err)
	}
}

// TestFakeRetainFlags sees that waiting sleeps, and that a context is had without
// where that cannot be chosen.
func TestFakeRetainFlags(t *testing.T) {
	f := fakeOf(t, 1)
	v := open(t).Devices()[0]
	retain(t, v)
	if n := f.Calls("cuDevicePrimaryCtxSetFlags_v2"); n != 1 {
		t.Errorf("flags were set %d times", n)
	}
	f.Reset("cuDevicePrimaryCtxSetFlags_v2:1=708")
	retain(t, v)
	d := open(t)
	d.Forget("cuDevicePrimaryCtxSetFlags_v2")
	retain(t, d.Devices()[0])
}

// TestFakeManyGoroutines has 200 goroutines use two devices at once.
func TestFakeManyGoroutines(t *testing.T) {
	f := cudatest.Use(t, cudatest.Options{Devices: 2, Memory: fakeMemory})
	devices := open(t).Devices()
	contexts := []*cuda.Context{retain(t, devices[0]), retain(t, devices[1])}
	var wg sync.WaitGroup
	for i := range 200 {
		wg.Go(func() {
			err := contexts[i%2].With(func(b *cuda.Bound) error {
				for range 50 {
					runtime.Gosched()
					e, err := b.NewEvent()
					if err != nil {
						return err
					}
					if err := b.DestroyEvent(e); err != nil {
						return err
					}
				}
				return nil
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if made, gone := f.Calls("cuEventCreate"), f.Calls("cuEventDestroy_v2"); made != 200*50 || gone != made {
		t.Errorf("%d events were made, %d destroyed", made, gone)
	}
}
