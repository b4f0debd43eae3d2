//go:build linux && (amd64 || arm64)

package cuda_test

import (
	"errors"
	"testing"

	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/cuda/ptx"
)

// walk makes every call once, or more often, and gives everything back that it can,
// whatever fails. It returns all failures, in their order.
func walk(mem []byte) error {
	d, err := cuda.Open("")
	if err != nil {
		return err
	}
	v := d.Devices()[0]
	_, attribute := v.Attribute(cuda.HostNUMANode)
	_, granularity := v.Granularity()
	c, err := v.Retain()
	if err != nil {
		return errors.Join(attribute, granularity, err)
	}
	err = c.With(func(b *cuda.Bound) error { return walkBound(b, v, mem) })
	return errors.Join(attribute, granularity, err, c.Close())
}

func walkBound(b *cuda.Bound, v *cuda.Device, mem []byte) error {
	_, _, info := b.MemInfo()
	return errors.Join(info, walkMemory(b, v, mem), walkStreams(b), b.SynchronizeContext())
}

func walkMemory(b *cuda.Bound, v *cuda.Device, mem []byte) error {
	h, err := v.Create(slab)
	if err != nil {
		return err
	}
	p, err := place(b, h, slab, true)
	if err == nil {
		n := int64(len(mem))
		err = errors.Join(b.Register(mem, cuda.RegisterPortable), b.HtoD(p, mem, 0), b.DtoD(p+slab/2, p, n, 0),
			b.Memset(p, 1, n, 0), walkModule(b, p), b.DtoH(mem, p, 0), b.Synchronize(0), unregister(b, mem), b.Unmap(p, slab))
	}
	if p != 0 {
		err = errors.Join(err, b.FreeAddress(p, slab))
	}
	return errors.Join(err, walkExport(v, h), v.Release(h))
}

// unregister tries twice: what is still registered must not go away.
func unregister(b *cuda.Bound, mem []byte) error {
	err := b.Unregister(mem)
	if err != nil {
		err = errors.Join(err, b.Unregister(mem))
	}
	return err
}

func walkExport(v *cuda.Device, h cuda.Handle) error {
	f, err := v.Export(h)
	if err != nil {
		return err
	}
	same, err := v.Import(f)
	if err == nil {
		err = v.Release(same)
	}
	return errors.Join(err, f.Close())
}

func walkStreams(b *cuda.Bound) error {
	s, err := b.NewStream()
	if err != nil {
		return err
	}
	e, err := b.NewEvent()
	if err != nil {
		return errors.Join(err, b.DestroyStream(s))
	}
	err = errors.Join(b.Record(e, s), b.Wait(s, e), b.Synchronize(s), b.SynchronizeEvent(e))
	_, elapsed := b.Elapsed(e, e)
	_, stream := b.Query(s)
	_, event := b.QueryEvent(e)
	return errors.Join(err, elapsed, stream, event, b.DestroyEvent(e), b.DestroyStream(s))
}

// walkModule has a kernel count memory at p.
func walkModule(b *cuda.Bound, p cuda.Ptr) error {
	m, err := b.Load(ptx.Source())
	if err != nil {
		return err
	}
	f, err := b.Function(m, ptx.NameSum64)
	if err == nil {
		err = b.Launch(f, 1, ptx.Block, 0, p, p+4096, uint64(4096))
	}
	return errors.Join(err, b.Synchronize(0), b.Unload(m))
}

// TestFakeEveryCallIsChecked has each call of the driver fail in turn, the first time
// that it is made, and wants to hear of it: the call, the code and the class.
func TestFakeEveryCallIsChecked(t *testing.T) {
	f := fakeOf(t, 1)
	mem := shared(t, 64<<10)
	if err := walk(mem); err != nil {
		t.Fatalf("without a fault: %v", err)
	}
	for _, call := range cuda.Symbols() {
		if call == "cuGetErrorName" || call == "cuDriverGetVersion" {
			continue // the fake cannot make them fail: see TestFakeErrorNames, TestFakeOpenCalls
		}
		for _, c := range []struct {
			fault string
			code  cuda.Result
			class string
		}{{"2", cuda.OutOfMemory, "ErrOutOfMemory"}, {"400", cuda.InvalidHandle, ""}, {"801", cuda.NotSupported, "ErrUnsupported"}} {
			f.Reset(call + ":1=" + c.fault)
			err := walk(mem)
			if call == "cuDevicePrimaryCtxSetFlags_v2" && c.code == cuda.NotSupported && err == nil {
				continue // which can be borne
			}
			if call == "cuInit" && c.code != cuda.OutOfMemory {
				c.class = "ErrNoDriver"
			}
			wantRefused(t, err, call, c.code)
			if got := classOf(t, first(err)); got != c.class {
				t.Errorf("%v: class %q, want %q", err, got, c.class)
			}
		}
	}
	f.Reset("")
	if err := walk(mem); err != nil {
		t.Errorf("after all faults: %v", err)
	}
}

// first returns the first failure of the driver: others may follow from it.
func first(err error) error {
	var refused *cuda.Error
	if errors.As(err, &refused) {
		return refused
	}
	return err
}

// TestFakeErrorNames has names of codes from the driver, and without its help.
func TestFakeErrorNames(t *testing.T) {
	f := fakeOf(t, 1)
	d := open(t)
	for _, spoil := range []func(){
		func() {},
		func() { d.Redirect("cuGetErrorName", "cuMemRelease") }, // which has never heard of that handle
		func() { d.Forget("cuGetErrorName") },
	} {
		spoil()
		f.Reset("cuMemCreate:1=2")
		_, err := d.Devices()[0].Create(slab)
		wantRefused(t, err, "cuMemCreate", cuda.OutOfMemory)
	}
}

// TestFakeMissingFunctions does without what a driver may lack.
func TestFakeMissingFunctions(t *testing.T) {
	fakeOf(t, 1)
	d := open(t)
	for _, name := range []string{"cuStreamWaitEvent", "cuEventElapsedTime"} {
		d.Forget(name)
	}
	within(t, retain(t, d.Devices()[0]), func(b *cuda.Bound) error {
		_, err := b.Elapsed(1, 1)
		for _, err := range []error{err, b.Wait(1, 1)} {
			if classOf(t, err) != "ErrUnsupported" {
				t.Error(err)
			}
		}
		return nil
	})
}
