package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/cuda"
)

// piece is how much memory one registration is of.
const piece = gib

// pinned is memory that the device reads itself.
type pinned struct {
	mem    []byte
	pieces [][]byte
}

// fill takes shared memory, as the agent's is, with something in each chunk. Nothing
// of it is pinned.
func fill(size int64) (p *pinned, err error) {
	fd, err := unix.MemfdCreate("gpucheck", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make shared memory: %w", err)
	}
	defer func() { err = errors.Join(err, unix.Close(fd)) }() // the mapping stays
	if err := unix.Ftruncate(fd, size); err != nil {
		return nil, fmt.Errorf("make shared memory: %w", err)
	}
	mem, err := unix.Mmap(fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map shared memory: %w", err)
	}
	for at := 0; at < len(mem); at += granule {
		mem[at] = byte(at / granule)
	}
	_ = unix.Madvise(mem, unix.MADV_POPULATE_WRITE) // an old kernel does it when pages are used
	return &pinned{mem: mem}, nil
}

// pin pins all of it.
func (p *pinned) pin(b *cuda.Bound) error {
	for at := 0; at < len(p.mem); at += piece {
		one := p.mem[at:min(at+piece, len(p.mem))]
		if err := b.Register(one, cuda.RegisterPortable); err != nil {
			return err
		}
		p.pieces = append(p.pieces, one)
	}
	return nil
}

// free gives the memory back, and what is pinned of it.
func (p *pinned) free(b *cuda.Bound) error {
	var errs []error
	for _, one := range p.pieces {
		errs = append(errs, b.Unregister(one))
	}
	return errors.Join(append(errs, unix.Munmap(p.mem))...)
}

// rawCopies measures what the driver itself does: what all else is compared with.
func rawCopies(ctx context.Context, b *bench) error {
	n := min(b.report.Model, 4*gib) / (64 * mib) * (64 * mib)
	perGiB := func(begin time.Time) float64 { return time.Since(begin).Seconds() / (float64(n) / gib) }
	return b.withArea(n, func(bound *cuda.Bound, a *area, s cuda.Stream) error {
		begin := time.Now()
		p, err := fill(n)
		if err != nil {
			return err
		}
		b.measured("fill shared memory", perGiB(begin), "s/GiB")
		r := &copyRun{b: b, bound: bound, area: a, from: p, stream: s}
		_, err = r.best(ctx, 64*mib, "copies of 64 MiB from memory that is not pinned")
		if err == nil {
			begin = time.Now()
			err = p.pin(bound)
			b.measured("pin shared memory", perGiB(begin), "s/GiB")
		}
		if err == nil {
			err = r.pinned(ctx)
		}
		begin = time.Now()
		err = errors.Join(err, p.free(bound))
		b.measured("unpin and free shared memory", perGiB(begin), "s/GiB")
		if err != nil {
			return err
		}
		return b.within(bound, a, s)
	})
}

// copyRun is memory to copy, and where to.
type copyRun struct {
	b      *bench
	bound  *cuda.Bound
	area   *area
	from   *pinned
	stream cuda.Stream
}

// pinned measures copies of several sizes.
func (r *copyRun) pinned(ctx context.Context) error {
	for _, each := range []int64{2 * mib, 4 * mib, 16 * mib, 64 * mib} {
		rate, err := r.best(ctx, each, fmt.Sprintf("copies of %s from pinned memory", size(each)))
		if err != nil {
			return err
		}
		r.b.raw = max(r.b.raw, rate)
	}
	return r.b.arrived(r.bound, r.area)
}

// best copies everything three times, and returns the best rate in GB/s.
func (r *copyRun) best(ctx context.Context, each int64, name string) (rate float64, err error) {
	for range 3 {
		if ctx.Err() != nil {
			return 0, context.Cause(ctx)
		}
		begin := time.Now()
		for at := int64(0); at < r.area.size; at += each {
			if err := r.bound.HtoD(r.area.at+cuda.Ptr(at), r.from.mem[at:at+each], r.stream); err != nil {
				return 0, err
			}
		}
		if err := r.bound.Synchronize(r.stream); err != nil {
			return 0, err
		}
		rate = max(rate, float64(r.area.size)/time.Since(begin).Seconds()/1e9)
	}
	r.b.measured(name, rate, "GB/s")
	return rate, nil
}

// arrived looks at what the copies have brought.
func (b *bench) arrived(bound *cuda.Bound, a *area) error {
	for _, at := range []int64{0, a.size / granule / 2 * granule, a.size - granule} {
		got, err := read(bound, a.at+cuda.Ptr(at), 1)
		if err != nil {
			return err
		}
		if want := byte(at / granule); got[0] != want {
			return fmt.Errorf("byte %d of what was copied is %d, want %d", at, got[0], want)
		}
	}
	return nil
}

// within measures copies inside of the device.
func (b *bench) within(bound *cuda.Bound, a *area, s cuda.Stream) error {
	half := a.size / 2
	best := time.Duration(1 << 62)
	for range 3 {
		begin := time.Now()
		if err := bound.DtoD(a.at, a.at+cuda.Ptr(half), half, s); err != nil {
			return err
		}
		if err := bound.Synchronize(s); err != nil {
			return err
		}
		best = min(best, time.Since(begin))
	}
	b.measured("copy within the GPU", float64(half)/best.Seconds()/1e9, "GB/s")
	return nil
}
