package fakecuda

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

func mapFile(f *os.File, size int) ([]byte, error) {
	if err := f.Truncate(int64(size)); err != nil {
		return nil, err
	}
	return unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
}

func unmap(data []byte) error { return unix.Munmap(data) }

func lockFile(f *os.File) error {
	for {
		if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); !errors.Is(err, unix.EINTR) {
			return err
		}
	}
}

func unlockFile(f *os.File) { _ = unix.Flock(int(f.Fd()), unix.LOCK_UN) }

// occupant makes the file of a piece of memory without pages, with the lock on it
// that says that somebody holds it.
func occupant(size int64) (f *os.File, inode, filesystem uint64, err error) {
	fd, err := unix.MemfdCreate("fakecuda-occupied", unix.MFD_CLOEXEC)
	if err != nil {
		return nil, 0, 0, err
	}
	f = os.NewFile(uintptr(fd), "fakecuda-occupied")
	var st unix.Stat_t
	err = errors.Join(f.Truncate(size), unix.Fstat(fd, &st),
		unix.FcntlFlock(uintptr(fd), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK}))
	if err != nil {
		return nil, 0, 0, errors.Join(err, f.Close())
	}
	return f, st.Ino, uint64(st.Dev), nil
}

func deviceNumber(major, minor uint32) uint64 { return unix.Mkdev(major, minor) }
