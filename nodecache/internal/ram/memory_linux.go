package ram

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// mapSegment makes a memfd of size bytes, none of them resident, and maps it.
func mapSegment(size int64) (_ *segment, err error) {
	fd, err := unix.MemfdCreate("ingot", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate("ingot", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return nil, fmt.Errorf("memfd_create: %w", err)
	}
	// The mapping is enough to write and to give back; what can be written through
	// is not kept.
	write := os.NewFile(uintptr(fd), "memfd:ingot")
	g := &segment{}
	defer func() {
		err = errors.Join(err, write.Close())
		if err != nil {
			err = errors.Join(err, g.unmap())
		}
	}()
	// Other users cannot open it again for writing through /proc.
	if err := write.Chmod(0o600); err != nil {
		return g, fmt.Errorf("memfd: %w", err)
	}
	if err := write.Truncate(size); err != nil {
		return g, fmt.Errorf("memfd of %d bytes: %w", size, err)
	}
	if g.file, err = os.Open(fmt.Sprintf("/proc/self/fd/%d", fd)); err != nil {
		return g, fmt.Errorf("memfd, for clients: %w", err)
	}
	g.data, err = unix.Mmap(fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return g, fmt.Errorf("map memfd of %d bytes: %w", size, err)
	}
	wantHuge(g.data, false)
	return g, nil
}

// unmap gives a segment back.
func (g *segment) unmap() error {
	var errs []error
	if g.data != nil {
		errs = append(errs, unix.Munmap(g.data))
	}
	if g.file != nil {
		errs = append(errs, g.file.Close())
	}
	return errors.Join(errs...)
}

// wantHuge says whether a huge page may be taken for what is filled of b. A system
// that has none, or no mapping left to remember it by, has small ones.
func wantHuge(b []byte, huge bool) {
	advice := unix.MADV_NOHUGEPAGE
	if huge {
		advice = unix.MADV_HUGEPAGE
	}
	_ = unix.Madvise(b, advice)
}

// populate makes pages resident in one call, instead of a fault for each. What it
// can't do, writing will.
func populate(b []byte) {
	for unix.Madvise(b, unix.MADV_POPULATE_WRITE) == unix.EINTR {
	}
}

// punch gives the memory of pages back; they read as zero from then on.
func (g *segment) punch(offset, length int64) {
	b := g.data[offset : offset+length]
	if err := unix.Madvise(b, unix.MADV_REMOVE); err != nil { // memory that is locked, say
		clear(b)
	}
}

// resident is how many bytes the segment takes, 0 if the system does not tell.
func (g *segment) resident() int64 {
	var stat unix.Stat_t
	if err := unix.Fstat(int(g.file.Fd()), &stat); err != nil {
		return 0
	}
	return stat.Blocks * 512
}
