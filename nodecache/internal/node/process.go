package node

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"
)

// holds reports whether a process still has a segment, open or mapped. Of a
// process that may not be looked into it is true, until that ends.
func holds(pid int, s Orphan) bool {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	open, err := hasOpen(filepath.Join(dir, "fd"), s)
	if err == nil && !open {
		open, err = hasMapped(filepath.Join(dir, "maps"), s)
	}
	return open || err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, unix.ESRCH)
}

// hasOpen looks through the descriptors of a process.
func hasOpen(dir string, s Orphan) (bool, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return false, err
	}
	for _, e := range entries {
		var stat unix.Stat_t
		err := unix.Stat(filepath.Join(dir, e.Name()), &stat) // fails for one that was just closed
		if err == nil && uint64(stat.Dev) == s.Device && stat.Ino == s.Inode {
			return true, nil
		}
	}
	return false, nil
}

// hasMapped looks through the mappings of a process, whose lines are
// "address permissions offset device inode name".
func hasMapped(path string, s Orphan) (bool, error) {
	maps, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	file := fmt.Sprintf(" %02x:%02x %d ", unix.Major(s.Device), unix.Minor(s.Device), s.Inode)
	return bytes.Contains(maps, []byte(file)), nil
}
