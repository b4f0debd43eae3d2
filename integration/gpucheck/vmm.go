package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ingot-ml/ingot/cuda"
)

// attributes says what the GPU is capable of, as far as the tier is concerned.
func attributes(_ context.Context, b *bench) error {
	for _, a := range []struct {
		name  string
		of    cuda.Attribute
		least int // that the tier needs
	}{
		{"compute capability, major", cuda.ComputeCapabilityMajor, 7},
		{"compute capability, minor", cuda.ComputeCapabilityMinor, 0},
		{"engines that copy", cuda.AsyncEngineCount, 1},
		{"virtual memory", cuda.VirtualMemory, 1},
		{"memory as descriptors", cuda.FileHandles, 1},
		{"memory of the host can be pinned", cuda.HostRegisterSupported, 1},
		{"memory that may only be read can be pinned", cuda.ReadOnlyRegister, 0},
		{"the GPU reads memory of the host that is not pinned", cuda.HostPageTables, 0},
	} {
		v, err := b.device.Attribute(a.of)
		if err != nil {
			return fmt.Errorf("%s: %w", a.name, err)
		}
		want := ""
		if a.least > 0 {
			want = fmt.Sprintf(">= %d", a.least)
		}
		b.counted(a.name, float64(v), "", want, v >= a.least)
	}
	return nil
}

// slabSize is that of the slabs of the models here: each layer has one.
const slabSize = 64 * mib

// slabCosts measures what the driver takes for the memory of an image, by its size.
func slabCosts(_ context.Context, b *bench) error {
	for _, each := range []int64{slabSize, 256 * mib, 512 * mib} {
		n := min(int(b.report.Model/each), 64)
		if n == 0 {
			continue
		}
		err := b.context.With(func(bound *cuda.Bound) error { return b.slabs(bound, n, each) })
		if err != nil {
			return fmt.Errorf("%d slabs of %s: %w", n, size(each), err)
		}
	}
	return nil
}

// slabs takes n slabs, hands them over to this very process as if it were another
// one, maps them there to read only, and gives all back.
func (b *bench) slabs(bound *cuda.Bound, n int, each int64) error {
	whole := int64(n) * each
	at, err := bound.Reserve(whole, 0)
	if err != nil {
		return err
	}
	var made, handed []cuda.Handle
	mapped, begun := 0, time.Now()
	step := func(name string, f func(i int) error) {
		if err != nil {
			return
		}
		begin := time.Now()
		for i := 0; i < n && err == nil; i++ {
			err = f(i)
		}
		b.measured(fmt.Sprintf("%s slabs of %s", name, size(each)), float64(time.Since(begin).Microseconds())/float64(n), "µs each")
	}
	step("take", func(int) error {
		h, err := b.device.Create(each)
		if err == nil {
			made = append(made, h)
		}
		return err
	})
	step("hand over", func(i int) error {
		h, err := b.pass(made[i])
		if err == nil {
			handed = append(handed, h)
		}
		return err
	})
	step("map", func(i int) error {
		err := bound.Map(at+cuda.Ptr(int64(i)*each), each, handed[i])
		if err == nil {
			mapped++
		}
		return err
	})
	if err == nil {
		begin := time.Now()
		err = bound.SetAccess(at, whole, false)
		b.measured(fmt.Sprintf("allow reading of all slabs of %s", size(each)), float64(time.Since(begin).Microseconds())/float64(n), "µs each")
	}
	if each == slabSize {
		b.slab = time.Since(begun) / time.Duration(n)
	}
	count := mapped
	step("unmap", func(i int) error {
		err := bound.Unmap(at+cuda.Ptr(int64(i)*each), each)
		if err == nil {
			count--
		}
		return err
	})
	for i := mapped - count; i < mapped; i++ {
		err = errors.Join(err, bound.Unmap(at+cuda.Ptr(int64(i)*each), each))
	}
	begin := time.Now()
	for _, h := range append(made, handed...) {
		err = errors.Join(err, b.device.Release(h))
	}
	b.measured(fmt.Sprintf("give back slabs of %s", size(each)), float64(time.Since(begin).Microseconds())/float64(n), "µs each")
	return errors.Join(err, bound.FreeAddress(at, whole))
}

// pass exports memory and imports it again.
func (b *bench) pass(h cuda.Handle) (cuda.Handle, error) {
	f, err := b.device.Export(h)
	if err != nil {
		return 0, err
	}
	again, err := b.device.Import(f)
	return again, errors.Join(err, f.Close())
}
