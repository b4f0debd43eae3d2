package agent

import (
	"errors"
	"fmt"
	"math/bits"

	"github.com/ingot-ml/ingot/openapi"
)

// Stats says how the tensors of a lease got into the process.
type Stats struct {
	Mapped   int64 // bytes of tensors that are the agent's pages
	Copied   int64 // bytes of tensors that had to be copied
	Mappings int   // that the lease has now
}

// views are the tensors that a lease has mapped or copied.
type views struct {
	budget *budget
	shared map[uint64]mapping // whole segments, for all tensors of one part
	own    []mapping          // of tensors of several parts
	known  map[spot][]byte
	stats  Stats
	// sliding is that of the tensor of a window that is in use.
	sliding *mapping
}

// view returns the bytes of a tensor that lies in parts, mapped if they can be.
func (v *views) view(t *openapi.LeaseTensor, parts []part) ([]byte, error) {
	if len(parts) == 0 {
		return []byte{}, nil
	}
	if !joins(parts) || parts[0].offset%alignment(t) != 0 {
		return v.copy(parts)
	}
	m, at, ok := v.mapped(parts)
	if !ok {
		return v.copy(parts)
	}
	v.stats.Mapped += t.Bytes
	return m.bytes(at, t.Bytes), nil
}

// mapped returns a mapping of parts that join, and where in it they begin; not ok
// when the process has too many already.
//
// A tensor of one part takes the mapping of its whole segment, which costs
// addresses and no memory, and serves thousands of small tensors at once.
func (v *views) mapped(parts []part) (m mapping, at int64, ok bool) {
	if len(parts) > 1 {
		m, ok = v.add(parts)
		if ok {
			v.own = append(v.own, m)
		}
		return m, parts[0].offset % page, ok
	}
	s := parts[0].segment
	m, ok = v.shared[s.ID]
	if !ok {
		if m, ok = v.add([]part{{segment: s, length: s.Size}}); ok {
			v.shared[s.ID] = m
		}
	}
	return m, parts[0].offset, ok
}

// add makes a mapping within the budget. One that the system refuses is a tensor
// to copy.
func (v *views) add(parts []part) (mapping, bool) {
	n := int64(len(parts))
	if !v.budget.take(n) {
		return mapping{}, false
	}
	m, err := mapParts(parts)
	if err != nil {
		v.budget.give(n)
		return mapping{}, false
	}
	v.stats.Mappings += int(n)
	return m, true
}

// drop gives a mapping back.
func (v *views) drop(m mapping) error {
	v.budget.give(m.pieces)
	v.stats.Mappings -= int(m.pieces)
	return m.unmap()
}

// copy reads the bytes of parts.
func (v *views) copy(parts []part) ([]byte, error) {
	var size int64
	for _, p := range parts {
		size += p.length
	}
	b := make([]byte, size)
	at := b
	for _, p := range parts {
		if _, err := p.file.ReadAt(at[:p.length], p.offset); err != nil {
			return nil, fmt.Errorf("read a segment: %w", err)
		}
		at = at[p.length:]
	}
	v.stats.Copied += size
	return b, nil
}

// free unmaps everything.
func (v *views) free() (err error) {
	for _, m := range v.shared {
		err = errors.Join(err, v.drop(m))
	}
	for _, m := range v.own {
		err = errors.Join(err, v.drop(m))
	}
	if v.sliding != nil {
		err = errors.Join(err, v.drop(*v.sliding))
	}
	clear(v.shared)
	clear(v.known)
	v.sliding = nil
	v.own = nil
	return err
}

// alignment returns what the address of a tensor must be a multiple of: the size
// of its elements, as far as that is a power of two.
func alignment(t *openapi.LeaseTensor) int64 {
	count := uint64(1)
	for _, n := range t.Shape {
		high, low := bits.Mul64(count, n)
		if high != 0 || low == 0 {
			return 1
		}
		count = low
	}
	width := uint64(t.Bytes) / count
	if width == 0 || uint64(t.Bytes)%count != 0 {
		return 1 // elements that share bytes, in blocks
	}
	return int64(min(width&-width, 16))
}
