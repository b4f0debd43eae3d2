package agent

import (
	"fmt"
	"os"
	"sync/atomic"
	"unsafe"

	"golang.org/x/sys/unix"
)

// budget is how many mappings may be made.
type budget struct {
	most int64
	used atomic.Int64
}

// take reports whether n more are within the budget, and takes them.
func (b *budget) take(n int64) bool {
	if b.used.Add(n) <= b.most {
		return true
	}
	b.used.Add(-n)
	return false
}

func (b *budget) give(n int64) { b.used.Add(-n) }

// mapping is pages of segments, behind each other.
type mapping struct {
	addr   unsafe.Pointer
	length int64
	pieces int64 // mappings of the system that it is made of
}

var page = int64(os.Getpagesize())

// down and up return the next whole number of pages.
func down(n int64) int64 { return n - n%page }
func up(n int64) int64   { return down(n + page - 1) }

// joins reports whether the parts are contiguous once their pages are mapped
// behind each other.
func joins(parts []part) bool {
	for i, p := range parts {
		first, last := i == 0, i == len(parts)-1
		if !first && p.offset%page != 0 || !last && (p.offset+p.length)%page != 0 {
			return false
		}
	}
	return true
}

// mapParts maps the pages of parts that join. They can be read only, and the
// mapping is private, so that no right to write can ever be added to the agent's
// memory.
func mapParts(parts []part) (mapping, error) {
	if len(parts) == 1 {
		start, end := down(parts[0].offset), up(parts[0].offset+parts[0].length)
		addr, err := mapPages(parts[0].file, start, nil, end-start, 0)
		return mapping{addr, end - start, 1}, err
	}
	m := mapping{pieces: int64(len(parts))}
	for _, p := range parts {
		m.length += up(p.offset+p.length) - down(p.offset)
	}
	// The reservation keeps others out of the addresses between the pieces.
	addr, err := unix.MmapPtr(-1, 0, nil, uintptr(m.length), unix.PROT_NONE, unix.MAP_PRIVATE|unix.MAP_ANON|unix.MAP_NORESERVE)
	if err != nil {
		return mapping{}, fmt.Errorf("reserve %d bytes of addresses: %w", m.length, err)
	}
	m.addr = addr
	at := int64(0)
	for _, p := range parts {
		start, end := down(p.offset), up(p.offset+p.length)
		if _, err := mapPages(p.file, start, unsafe.Add(addr, at), end-start, unix.MAP_FIXED); err != nil {
			_ = m.unmap() // the first error is the one to tell
			return mapping{}, err
		}
		at += end - start
	}
	return m, nil
}

func mapPages(f *os.File, offset int64, addr unsafe.Pointer, length int64, flags int) (unsafe.Pointer, error) {
	got, err := unix.MmapPtr(int(f.Fd()), offset, addr, uintptr(length), unix.PROT_READ, unix.MAP_PRIVATE|flags)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes of a segment: %w", length, err)
	}
	return got, nil
}

// bytes returns n bytes of the mapping from offset.
func (m mapping) bytes(offset, n int64) []byte {
	return unsafe.Slice((*byte)(unsafe.Add(m.addr, offset)), n)
}

func (m mapping) unmap() error {
	if err := unix.MunmapPtr(m.addr, uintptr(m.length)); err != nil {
		return fmt.Errorf("unmap %d bytes: %w", m.length, err)
	}
	return nil
}
