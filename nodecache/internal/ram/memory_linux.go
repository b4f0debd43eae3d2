package ram

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mapSegment makes a memfd of size bytes, none of them resident, and maps it.
func mapSegment(size int64, huge bool) (_ *segment, err error) {
	fd, err := unix.MemfdCreate("ingot", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate("ingot", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	g := &segment{write: os.NewFile(uintptr(fd), "memfd:ingot")}
	defer func() {
		if err != nil {
			err = errors.Join(err, g.unmap())
		}
	}()
	// Other users cannot open it again for writing through /proc.
	if err := g.write.Chmod(0o600); err != nil {
		return g, fmt.Errorf("memfd: %w", err)
	}
	if err := g.write.Truncate(size); err != nil {
		return g, fmt.Errorf("memfd of %d bytes: %w", size, err)
	}
	if g.read, err = os.Open(fmt.Sprintf("/proc/self/fd/%d", fd)); err != nil {
		return g, fmt.Errorf("memfd, for clients: %w", err)
	}
	g.data, err = unix.Mmap(fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return g, fmt.Errorf("map memfd of %d bytes: %w", size, err)
	}
	if huge {
		_ = unix.Madvise(g.data, unix.MADV_HUGEPAGE) // a system that can't has small pages
	}
	return g, nil
}

// unmap gives a segment back.
func (g *segment) unmap() error {
	var errs []error
	if g.data != nil {
		errs = append(errs, unix.Munmap(g.data))
	}
	for _, f := range []*os.File{g.read, g.write} {
		if f != nil {
			errs = append(errs, f.Close())
		}
	}
	return errors.Join(errs...)
}

// populate makes pages resident. What it can't do, writing will.
func populate(b []byte) { _ = unix.Madvise(b, unix.MADV_POPULATE_WRITE) }

// punch gives the memory of pages back; they read as zero from then on.
func (g *segment) punch(offset, length int64) {
	err := unix.Fallocate(int(g.write.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, offset, length)
	if err != nil { // a memfd that is not sealed can be punched
		clear(g.data[offset : offset+length])
	}
}
