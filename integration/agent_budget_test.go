package integration_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// diskUsage adds up the blocks of the files below dir, as "du" does for files.
func diskUsage(t *testing.T, dir string) (bytes int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return ignoreMissing(err)
		}
		info, err := d.Info()
		if err != nil {
			return ignoreMissing(err)
		}
		bytes += info.Sys().(*syscall.Stat_t).Blocks * 512
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return bytes
}

// ignoreMissing is for files that go away while they are looked at.
func ignoreMissing(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// isSegment tells the memory of an agent by the name that the kernel shows: a memfd,
// or a file without a name in a file system that no path leads to.
func isSegment(name string) bool {
	return strings.HasPrefix(name, "/memfd:ingot") || strings.HasPrefix(name, "/#")
}

// memory is a segment as the kernel knows it.
type memory struct{ device, inode uint64 }

// memories returns the segments that a process has open, and the bytes that are
// resident in each.
func memories(pid int) (map[memory]int64, error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid), "fd")
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("list the descriptors of %d: %w", pid, err)
	}
	found := map[memory]int64{}
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if to, err := os.Readlink(path); err != nil || !isSegment(to) {
			continue
		}
		var stat syscall.Stat_t
		if syscall.Stat(path, &stat) == nil { // else it was just closed
			found[memory{stat.Dev, stat.Ino}] = stat.Blocks * 512
		}
	}
	return found, nil
}
