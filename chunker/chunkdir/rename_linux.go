package chunkdir

import (
	"errors"

	"golang.org/x/sys/unix"
)

// rename gives a file its name, or fails with fs.ErrExist when there is one. Not
// every file system has a rename that does not replace.
func rename(from, to string) error {
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) {
		return relink(from, to)
	}
	return err
}
