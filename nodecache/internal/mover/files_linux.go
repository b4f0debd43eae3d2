package mover

import (
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// duplicate opens a descriptor again.
func duplicate(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate a descriptor: %w", err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// mapFile maps size bytes of a file that this process shares, to read. With write it
// opens the file again to map it for writing too, because some devices take no other
// memory; nothing here writes.
func mapFile(f *os.File, size int64, write bool) ([]byte, error) {
	protection := unix.PROT_READ
	if write {
		again, err := os.OpenFile(fmt.Sprintf("/proc/self/fd/%d", f.Fd()), os.O_RDWR, 0)
		if err != nil {
			return nil, fmt.Errorf("open memory again: %w", err)
		}
		defer func() { _ = again.Close() }() // the mapping stays
		f, protection = again, unix.PROT_READ|unix.PROT_WRITE
	}
	// Beyond the end of a file there is nothing to read.
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if info.Size() < size {
		return nil, fmt.Errorf("map %d bytes of memory that has %d: %w", size, info.Size(), ErrUnknown)
	}
	data, err := unix.Mmap(int(f.Fd()), 0, int(size), protection, unix.MAP_SHARED)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes of memory: %w", size, err)
	}
	return data, nil
}

// mapMemory returns memory that is not Go's.
func mapMemory(size int64) ([]byte, error) {
	data, err := unix.Mmap(-1, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANON)
	if err != nil {
		return nil, fmt.Errorf("map %d bytes: %w", size, err)
	}
	return data, nil
}

func unmap(data []byte) error { return unix.Munmap(data) }
