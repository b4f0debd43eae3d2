package ram

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/unix"
)

// source is where the memory of segments comes from.
type source struct {
	// mount is a tmpfs that no path leads to, nil where there is none. It gives huge
	// pages to who asks for them, while for memfds the system's setting of
	// shmem_enabled decides, which by default is never.
	mount *os.File
}

// openSource returns memfds, or for huge pages something better if the process may
// mount.
func openSource(huge bool) source {
	if !huge {
		return source{}
	}
	mount, err := mountHuge()
	if err != nil {
		return source{}
	}
	return source{mount}
}

// mountHuge makes a tmpfs of no limit but the tier's, whose files can have huge
// pages.
func mountHuge() (*os.File, error) {
	fs, err := unix.Fsopen("tmpfs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, err
	}
	defer func() { _ = unix.Close(fs) }() // the mount has what it needs
	for key, value := range map[string]string{"huge": "advise", "size": "0"} {
		if err := unix.FsconfigSetString(fs, key, value); err != nil {
			return nil, err
		}
	}
	if err := unix.FsconfigCreate(fs); err != nil {
		return nil, err
	}
	fd, err := unix.Fsmount(fs, unix.FSMOUNT_CLOEXEC, unix.MOUNT_ATTR_NOEXEC|unix.MOUNT_ATTR_NOSUID|unix.MOUNT_ATTR_NODEV)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), "tmpfs:ingot"), nil
}

// close is for when no more segments are needed. Those that there are stay.
func (s source) close() error {
	if s.mount == nil {
		return nil
	}
	return s.mount.Close()
}

// file makes an empty file that has no name.
func (s source) file() (fd int, err error) {
	if s.mount != nil {
		fd, err = unix.Openat(int(s.mount.Fd()), ".", unix.O_TMPFILE|unix.O_RDWR|unix.O_CLOEXEC, 0o600)
		if err != nil {
			return fd, fmt.Errorf("file in a tmpfs: %w", err)
		}
		return fd, nil
	}
	fd, err = unix.MemfdCreate("ingot", unix.MFD_CLOEXEC|unix.MFD_NOEXEC_SEAL)
	if errors.Is(err, unix.EINVAL) { // before Linux 6.3
		fd, err = unix.MemfdCreate("ingot", unix.MFD_CLOEXEC)
	}
	if err != nil {
		return fd, fmt.Errorf("memfd_create: %w", err)
	}
	return fd, nil
}

// mapSegment makes a segment of size bytes, none of them resident.
func (s source) mapSegment(size int64) (_ *segment, err error) {
	fd, err := s.file()
	if err != nil {
		return nil, err
	}
	// The mapping is enough to write and to give back; what can be written through
	// is not kept.
	write := os.NewFile(uintptr(fd), "segment")
	g := &segment{}
	defer func() {
		err = errors.Join(err, write.Close())
		if err != nil {
			err = errors.Join(err, g.unmap())
		}
	}()
	// Other users cannot open it again for writing through /proc.
	if err := write.Chmod(0o600); err != nil {
		return g, fmt.Errorf("segment: %w", err)
	}
	if err := write.Truncate(size); err != nil {
		return g, fmt.Errorf("segment of %d bytes: %w", size, err)
	}
	if g.file, err = os.Open(fmt.Sprintf("/proc/self/fd/%d", fd)); err != nil {
		return g, fmt.Errorf("segment, for clients: %w", err)
	}
	g.data, err = unix.Mmap(fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
	if err != nil {
		return g, fmt.Errorf("map segment of %d bytes: %w", size, err)
	}
	wantHuge(g.data, false)
	return g, nil
}

// duplicate opens a descriptor again.
func duplicate(f *os.File) (*os.File, error) {
	fd, err := unix.FcntlInt(f.Fd(), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("duplicate a descriptor: %w", err)
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
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
