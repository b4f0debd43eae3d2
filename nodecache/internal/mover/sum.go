package mover

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/cuda/ptx"
)

// summer is the kernel that sums, and where its sums are read to. It is made when it
// is needed first.
type summer struct {
	kernel cuda.Function
	sums   []byte // memory of the host
}

func newSummer(b *cuda.Bound) (*summer, error) {
	module, err := b.Load(ptx.Source())
	if err != nil {
		return nil, err
	}
	kernel, err := b.Function(module, ptx.NameSum64)
	if err != nil {
		return nil, undone(err, b.Unload(module))
	}
	sums, err := mapMemory(maxList * 8)
	if err != nil {
		return nil, undone(err, b.Unload(module))
	}
	return &summer{kernel, sums}, nil
}

// sum computes the checksums of ranges.
func (e *engine) sum(ranges [][3]uint64) (_ []uint64, err error) {
	if len(ranges) > maxList {
		return nil, fmt.Errorf("%d ranges: %w", len(ranges), ErrUnknown)
	}
	if e.summer == nil {
		if e.summer, err = newSummer(e.bound); err != nil {
			return nil, err
		}
	}
	// Memory of the device is taken only meanwhile: it is for models.
	size := e.device.info.Granularity
	handle, err := e.device.device.Create(size)
	if err != nil {
		return nil, err
	}
	at, err := e.device.place(e.bound, size, handle)
	if also := e.device.device.Release(handle); also != nil {
		return nil, fmt.Errorf("sum: %w: %w", also, errState)
	}
	if err != nil {
		return nil, err
	}
	err = e.sumTo(at, ranges)
	if also := e.device.displace(e.bound, at, size); also != nil {
		return nil, errors.Join(err, fmt.Errorf("sum: %w: %w", also, errState))
	}
	if err != nil {
		return nil, err
	}
	sums := make([]uint64, len(ranges))
	for i := range sums {
		sums[i] = binary.LittleEndian.Uint64(e.summer.sums[8*i:])
	}
	return sums, nil
}

// sumTo sums ranges into memory of the device, and reads it. The stream is idle when
// it returns, or the mover has to end.
func (e *engine) sumTo(at cuda.Ptr, ranges [][3]uint64) error {
	e.begin(func(int64) {})
	n := int64(len(ranges)) * 8
	if n == 0 {
		return nil
	}
	err := e.bound.Memset(at, 0, n, e.device.stream)
	for i := 0; i < len(ranges) && err == nil; i++ {
		err = e.sumOne(at+cuda.Ptr(8*i), ranges[i])
	}
	if err == nil {
		err = e.bound.DtoH(e.summer.sums[:n], at, e.device.stream)
	}
	return e.settle(err)
}

func (e *engine) sumOne(out cuda.Ptr, r [3]uint64) error {
	if r[1] > math.MaxInt64 || r[2] > math.MaxInt64 || r[1]%8 != 0 {
		return fmt.Errorf("sum of %d bytes at %d of slab %d: %w", r[2], r[1], r[0], ErrUnknown)
	}
	n := int64(r[2])
	return e.give(r[0], int64(r[1]), n, func(at cuda.Ptr, _ uint64) error {
		return e.bound.Launch(e.summer.kernel, ptx.Grid((n+7)/8), ptx.Block, e.device.stream, out, at, uint64(n))
	})
}
