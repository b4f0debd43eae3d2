package main

import (
	"encoding/binary"
	"errors"
	"fmt"
	"sync"

	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/cuda/ptx"
	"github.com/ingot-ml/ingot/integration/gpuclient"
)

// summer compares what is on the GPU with what was written into the files, by the
// checksum of every chunk, which the GPU computes.
type summer struct {
	b      *bench
	stack  *stack
	module cuda.Module
	sum    cuda.Function

	mu  sync.Mutex // held by who uses out: several clients may look at once
	out *area
}

func (b *bench) newSummer(s *stack) (*summer, error) {
	u := &summer{b: b, stack: s}
	err := b.context.With(func(bound *cuda.Bound) (err error) {
		if u.module, err = bound.Load(ptx.Source()); err != nil {
			return err
		}
		if u.sum, err = bound.Function(u.module, ptx.NameSum64); err != nil {
			return err
		}
		room := int64(s.tensors*s.chunks) * 8
		u.out, err = newArea(b.device, bound, (room+granule-1)/granule*granule)
		return err
	})
	return u, err
}

func (u *summer) close() error {
	if u.out == nil {
		return nil
	}
	return u.b.context.With(func(bound *cuda.Bound) error {
		return errors.Join(u.out.free(bound), bound.Unload(u.module))
	})
}

// check is what a lease has its images looked at by.
func (u *summer) check(v *gpuclient.View) error {
	of, known := u.stack.variants[v.Image.Version.String()]
	if !known {
		return fmt.Errorf("image of %s, which nobody has pushed", v.Image.Version)
	}
	shape := u.stack.layout
	if of.name == otherTag {
		shape = u.stack.beside
	}
	at := map[string]cuda.Ptr{}
	for _, t := range v.Image.Tensors {
		if t.Bytes != shape.tensorBytes() || t.DType != "BF16" {
			return fmt.Errorf("tensor %s of %d bytes, %s: want %d, BF16", t.Name, t.Bytes, t.DType, shape.tensorBytes())
		}
		at[t.Name] = cuda.Ptr(v.Address() + uint64(t.Offset))
	}
	if len(at) != shape.tensors {
		return fmt.Errorf("image of %s has %d tensors, want %d", of.name, len(at), shape.tensors)
	}
	got, err := u.compute(shape, at)
	if err != nil {
		return err
	}
	return u.compare(shape, of, got)
}

// compute returns the checksums of all chunks, in order.
func (u *summer) compute(shape layout, at map[string]cuda.Ptr) ([]byte, error) {
	n := int64(shape.tensors*shape.chunks) * 8
	out := make([]byte, n)
	u.mu.Lock()
	defer u.mu.Unlock()
	err := u.b.context.With(func(bound *cuda.Bound) error {
		return withStream(bound, func(s cuda.Stream) error {
			if err := bound.Memset(u.out.at, 0, n, s); err != nil {
				return err
			}
			for i := range shape.tensors * shape.chunks {
				from := at[shape.name(i/shape.chunks)] + cuda.Ptr(i%shape.chunks*chunk)
				to := u.out.at + cuda.Ptr(8*i)
				if err := bound.Launch(u.sum, ptx.Grid(chunk/8), ptx.Block, s, to, from, uint64(chunk)); err != nil {
					return err
				}
			}
			return bound.DtoH(out, u.out.at, s)
		})
	})
	return out, err
}

func (u *summer) compare(shape layout, of variant, got []byte) error {
	wrong, first := 0, ""
	for tensor := range shape.tensors {
		for i := range shape.chunks {
			sum := binary.LittleEndian.Uint64(got[8*(tensor*shape.chunks+i):])
			if sum != u.stack.files.sum(of, tensor, i) {
				if wrong == 0 {
					first = fmt.Sprintf("chunk %d of %s", i, shape.name(tensor))
				}
				wrong++
			}
		}
	}
	if wrong > 0 {
		return fmt.Errorf("%d chunks of %s are wrong on the GPU, the first is %s", wrong, of.name, first)
	}
	return nil
}
