package node

import (
	"os"
	"testing"

	"golang.org/x/sys/unix"
)

// TestHolds: a process has a segment while that is open or mapped, and no longer.
func TestHolds(t *testing.T) {
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "test")
	if err := file.Truncate(4096); err != nil {
		t.Fatal(err)
	}
	var stat unix.Stat_t
	if err := unix.Fstat(fd, &stat); err != nil {
		t.Fatal(err)
	}
	s := Orphan{Device: uint64(stat.Dev), Inode: stat.Ino}
	if !holds(os.Getpid(), s) {
		t.Error("an open segment is not found")
	}
	mapped, err := unix.Mmap(fd, 0, 4096, unix.PROT_READ, unix.MAP_PRIVATE)
	if err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if !holds(os.Getpid(), s) {
		t.Error("a mapped segment is not found")
	}
	if err := unix.Munmap(mapped); err != nil {
		t.Fatal(err)
	}
	if holds(os.Getpid(), s) {
		t.Error("a segment that is gone is found")
	}
	if holds(1<<30, s) {
		t.Error("a process that is not there has a segment")
	}
}
