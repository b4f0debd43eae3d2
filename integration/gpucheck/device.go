package main

import (
	"errors"

	"github.com/ingot-ml/ingot/cuda"
)

const (
	mib = 1 << 20
	gib = 1 << 30
	// granule is what sizes of device memory are a multiple of.
	granule = 2 * mib
)

// area is device memory that is mapped.
type area struct {
	device *cuda.Device
	handle cuda.Handle
	at     cuda.Ptr
	size   int64
}

// newArea takes device memory and maps it.
func newArea(v *cuda.Device, b *cuda.Bound, size int64) (*area, error) {
	h, err := v.Create(size)
	if err != nil {
		return nil, err
	}
	return mapArea(v, b, h, size, true)
}

// mapArea maps device memory. The handle is released with the area, or at once if
// that fails.
func mapArea(v *cuda.Device, b *cuda.Bound, h cuda.Handle, size int64, write bool) (*area, error) {
	at, err := b.Reserve(size, 0)
	if err != nil {
		return nil, errors.Join(err, v.Release(h))
	}
	if err := b.Map(at, size, h); err != nil {
		return nil, errors.Join(err, b.FreeAddress(at, size), v.Release(h))
	}
	a := &area{device: v, handle: h, at: at, size: size}
	if err := b.SetAccess(at, size, write); err != nil {
		return nil, errors.Join(err, a.free(b))
	}
	return a, nil
}

// free gives an area back.
func (a *area) free(b *cuda.Bound) error {
	return errors.Join(b.Unmap(a.at, a.size), a.device.Release(a.handle), b.FreeAddress(a.at, a.size))
}

// withArea calls f with device memory of that size and a stream.
func (b *bench) withArea(size int64, f func(*cuda.Bound, *area, cuda.Stream) error) error {
	return b.context.With(func(bound *cuda.Bound) error {
		a, err := newArea(b.device, bound, size)
		if err != nil {
			return err
		}
		err = withStream(bound, func(s cuda.Stream) error { return f(bound, a, s) })
		return errors.Join(err, a.free(bound))
	})
}

func withStream(b *cuda.Bound, f func(cuda.Stream) error) error {
	s, err := b.NewStream()
	if err != nil {
		return err
	}
	err = f(s)
	return errors.Join(err, b.Synchronize(s), b.DestroyStream(s))
}

// read returns what is in device memory.
func read(b *cuda.Bound, from cuda.Ptr, n int64) ([]byte, error) {
	out := make([]byte, n)
	err := withStream(b, func(s cuda.Stream) error { return b.DtoH(out, from, s) })
	return out, err
}
