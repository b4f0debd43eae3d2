package gpuclient

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"

	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/openapi"
)

// The rules of slabs and of what lies in them.
const (
	granule   = 2 << 20
	largest   = 512 << 20
	alignment = 512
)

// mapped is what a process has of images on a device: one reservation of addresses
// and the slabs in it. Its methods are called by one goroutine at a time.
type mapped struct {
	device  *cuda.Device
	context *cuda.Context
	base    cuda.Ptr
	reserve int64
	handles map[uint64]handle
	places  []place

	reads  sync.Mutex // held by who reads
	stream cuda.Stream
}

// handle is a slab that the client knows.
type handle struct {
	handle cuda.Handle
	size   int64
}

// place is a slab where it is mapped; id 0 is none.
type place struct {
	id       uint64
	at, size int64
}

func newMapped(d *cuda.Device, c *cuda.Context) *mapped {
	return &mapped{device: d, context: c, handles: map[uint64]handle{}}
}

func (m *mapped) address() uint64 { return uint64(m.base) }

// take imports a slab.
func (m *mapped) take(s openapi.LeaseSlab, f *os.File) error {
	switch h, known := m.handles[s.ID]; {
	case known && h.size == s.Size:
		return nil // whoever has not answered a pause may get again what it has
	case known || s.ID == 0 || s.Size <= 0 || s.Size%granule != 0 || s.Size > largest:
		return fmt.Errorf("slab %d of %d bytes: %w", s.ID, s.Size, ErrRules)
	}
	h, err := m.device.Import(f)
	if err != nil {
		return fmt.Errorf("slab %d: %w", s.ID, err)
	}
	m.handles[s.ID] = handle{h, s.Size}
	return nil
}

// show maps an image. What is mapped and stays is not touched.
func (m *mapped) show(i *openapi.LeaseImage) error {
	if err := m.judge(i); err != nil {
		return err
	}
	return m.context.With(func(b *cuda.Bound) error {
		if m.base == 0 {
			base, err := b.Reserve(i.Reserve, 0)
			if err != nil {
				return err
			}
			m.base, m.reserve = base, i.Reserve
		}
		if err := m.arrange(b, i.Slabs); err != nil {
			return err
		}
		return b.SetAccess(m.base, i.Size, false)
	})
}

// judge holds an image to the rules.
func (m *mapped) judge(i *openapi.LeaseImage) error {
	size := int64(0)
	for _, s := range i.Slabs {
		h, known := m.handles[s.ID]
		if !known || h.size != s.Size {
			return fmt.Errorf("slab %d of %d bytes, which is not known so: %w", s.ID, s.Size, ErrRules)
		}
		size += s.Size
	}
	if size != i.Size || i.Reserve < size || m.reserve > 0 && size > m.reserve {
		return fmt.Errorf("image of %d bytes in %d of addresses, of which there are %d: its slabs are %d: %w", i.Size, i.Reserve, m.reserve, size, ErrRules)
	}
	tensors := slices.Clone(i.Tensors)
	slices.SortFunc(tensors, func(a, b openapi.ImageTensor) int { return int(a.Offset - b.Offset) })
	end := int64(0)
	for _, t := range tensors {
		if t.Offset%alignment != 0 || t.Offset < end || t.Bytes < 0 || t.Offset+t.Bytes > size {
			return fmt.Errorf("tensor %s at %d of %d bytes, in an image of %d, after %d: %w", t.Name, t.Offset, t.Bytes, size, end, ErrRules)
		}
		end = t.Offset + t.Bytes
	}
	return nil
}

// arrange unmaps what is not where it was, and maps what is missing.
func (m *mapped) arrange(b *cuda.Bound, slabs []openapi.LeaseSlab) error {
	want, at := make([]place, len(slabs)), int64(0)
	for k, s := range slabs {
		want[k] = place{s.ID, at, s.Size}
		at += s.Size
	}
	for k, p := range m.places {
		if p.id != 0 && (k >= len(want) || want[k] != p) {
			if err := m.unmap(b, k); err != nil {
				return err
			}
		}
	}
	for len(m.places) < len(want) {
		m.places = append(m.places, place{})
	}
	m.places = m.places[:len(want)]
	for k, p := range want {
		if m.places[k] == p {
			continue
		}
		if err := b.Map(m.base+cuda.Ptr(p.at), p.size, m.handles[p.id].handle); err != nil {
			return err
		}
		m.places[k] = p
	}
	return m.forget()
}

// mappedOf returns those of the places at which something is mapped.
func (m *mapped) mappedOf(places []int) []int {
	return slices.DeleteFunc(slices.Clone(places), func(k int) bool {
		return k >= 0 && k < len(m.places) && m.places[k].id == 0
	})
}

// hide unmaps some places, once the device has done all that was asked of it.
func (m *mapped) hide(places []int) error {
	err := m.context.With(func(b *cuda.Bound) error {
		if err := b.SynchronizeContext(); err != nil {
			return err
		}
		for _, k := range places {
			if k < 0 || k >= len(m.places) || m.places[k].id == 0 {
				return fmt.Errorf("place %d of %d is to be unmapped: %w", k, len(m.places), ErrRules)
			}
			if err := m.unmap(b, k); err != nil {
				return err
			}
		}
		return nil
	})
	return errors.Join(err, m.forget())
}

func (m *mapped) unmap(b *cuda.Bound, k int) error {
	p := m.places[k]
	m.places[k].id = 0
	return b.Unmap(m.base+cuda.Ptr(p.at), p.size)
}

// forget releases the handles of slabs that are mapped nowhere.
func (m *mapped) forget() error {
	var errs []error
	for id, h := range m.handles {
		if !slices.ContainsFunc(m.places, func(p place) bool { return p.id == id }) {
			errs = append(errs, m.device.Release(h.handle))
			delete(m.handles, id)
		}
	}
	return errors.Join(errs...)
}

// clear unmaps everything; the addresses stay reserved.
func (m *mapped) clear() error {
	var all []int
	for k, p := range m.places {
		if p.id != 0 {
			all = append(all, k)
		}
	}
	err := m.hide(all)
	m.places = nil
	return err
}

// close gives back what clear leaves.
func (m *mapped) close() error {
	err := m.context.With(func(b *cuda.Bound) error {
		var errs []error
		if m.stream != 0 {
			errs = append(errs, b.DestroyStream(m.stream))
		}
		if m.base != 0 {
			errs = append(errs, b.FreeAddress(m.base, m.reserve))
		}
		return errors.Join(errs...)
	})
	return errors.Join(err, m.context.Close())
}
