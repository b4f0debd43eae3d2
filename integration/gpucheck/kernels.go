package main

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/cuda/ptx"
)

// kernels loads the kernels, compares each with its twin over a length that is a
// multiple of nothing, and measures it over a longer one.
func kernels(_ context.Context, b *bench) error {
	const odd = 1<<20 + 5 // elements
	most := int64(512 * mib)
	if b.report.Fake {
		most = 4 * mib
	}
	return b.withArea(3*most, func(bound *cuda.Bound, a *area, s cuda.Stream) error {
		begin := time.Now()
		m, err := bound.Load(ptx.Source())
		if err != nil {
			return err
		}
		b.measured("load the kernels", float64(time.Since(begin).Microseconds())/1000, "ms")
		k := &kernelRun{b: b, bound: bound, module: m, stream: s, area: a, third: most}
		err = errors.Join(
			k.planes(odd, ptx.NameMerge2, ptx.Merge2), k.planes(odd, ptx.NameMergeBF16, ptx.MergeBF16),
			k.delta(odd), k.sum(2*odd+1))
		return errors.Join(err, bound.Unload(m))
	})
}

// kernelRun is an area in three parts, and the kernels to run over them.
type kernelRun struct {
	b      *bench
	bound  *cuda.Bound
	module cuda.Module
	stream cuda.Stream
	area   *area
	third  int64
}

func (k *kernelRun) part(i int) cuda.Ptr { return k.area.at + cuda.Ptr(int64(i)*k.third) }

// launch runs a kernel over n pieces of work and waits for it.
func (k *kernelRun) launch(name string, n int64, args ...any) (time.Duration, error) {
	f, err := k.bound.Function(k.module, name)
	if err != nil {
		return 0, err
	}
	begin := time.Now()
	if err := k.bound.Launch(f, ptx.Grid(n), ptx.Block, k.stream, args...); err != nil {
		return 0, err
	}
	return time.Since(begin), k.bound.Synchronize(k.stream)
}

// rate measures a kernel that moves so many bytes, the best of three.
func (k *kernelRun) rate(name string, moved, n int64, args ...any) error {
	best := time.Duration(1 << 62)
	for range 3 {
		begin := time.Now()
		if _, err := k.launch(name, n, args...); err != nil {
			return err
		}
		best = min(best, time.Since(begin))
	}
	k.b.measured(name+", read and written", float64(moved)/best.Seconds()/1e9, "GB/s")
	return nil
}

// put copies random bytes into a part.
func (k *kernelRun) put(i int, n int64, seed byte) ([]byte, error) {
	run := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(run) // it never fails
	if err := k.bound.HtoD(k.part(i), run, k.stream); err != nil {
		return nil, err
	}
	return run, k.bound.Synchronize(k.stream)
}

// two compares a kernel of two sources with its twin.
func (k *kernelRun) two(name string, elements, source int64, twin func(dst, one, other []byte)) error {
	one, err := k.put(1, source, 1)
	if err != nil {
		return err
	}
	other, err := k.put(2, source, 2)
	if err != nil {
		return err
	}
	want := make([]byte, 2*elements+2)
	twin(want, one, other)
	copy(want[2*elements:], "\xa7\xa7")
	if err := k.bound.Memset(k.part(0), 0xa7, 2*elements+2, k.stream); err != nil {
		return err
	}
	if _, err := k.launch(name, elements, k.part(0), k.part(1), k.part(2), uint64(elements)); err != nil {
		return err
	}
	got, err := read(k.bound, k.part(0), int64(len(want)))
	if err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("%s does not give what its twin gives", name)
	}
	k.b.right(name+" as its twin", "")
	return nil
}

func (k *kernelRun) planes(odd int64, name string, twin func(dst, low, high []byte)) error {
	if err := k.two(name, odd, odd, twin); err != nil {
		return err
	}
	n := k.third / 2
	return k.rate(name, 4*n, n, k.part(0), k.part(1), k.part(2), uint64(n))
}

func (k *kernelRun) delta(odd int64) error {
	if err := k.two(ptx.NameDelta16, odd, 2*odd, ptx.Delta16); err != nil {
		return err
	}
	n := k.third / 2
	return k.rate(ptx.NameDelta16, 6*n, n, k.part(0), k.part(1), k.part(2), uint64(n))
}

func (k *kernelRun) sum(odd int64) error {
	run, err := k.put(1, odd, 3)
	if err != nil {
		return err
	}
	if err := k.bound.Memset(k.part(0), 0, 8, k.stream); err != nil {
		return err
	}
	if _, err := k.launch(ptx.NameSum64, odd/8, k.part(0), k.part(1), uint64(odd)); err != nil {
		return err
	}
	got, err := read(k.bound, k.part(0), 8)
	if err != nil {
		return err
	}
	if binary.LittleEndian.Uint64(got) != ptx.Sum64(run) {
		return errors.New("ingot_sum64 does not give what its twin gives")
	}
	k.b.right(ptx.NameSum64+" as its twin", "")
	return k.rate(ptx.NameSum64, k.third, k.third/8, k.part(0), k.part(1), uint64(k.third))
}
