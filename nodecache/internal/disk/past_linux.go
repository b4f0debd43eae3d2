package disk

import (
	"os"
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// directUnit is what disks want addresses, offsets and lengths to be multiples of
// when the page cache is not between.
const directUnit = 4096

// endBlocks are for what lies behind the last whole block of a file.
var endBlocks = sync.Pool{New: func() any {
	b := make([]byte, 2*directUnit)
	return b[directUnit-address(b)%directUnit:][:directUnit:directUnit]
}}

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }

// readPast reads a plain chunk past the page cache, and its tail into end: what
// comes from a disk is not copied, and what the tiers above keep is not in memory
// twice. It reports false, with nothing of use read, where that can't be: for a
// chunk or memory of no whole blocks, on some file systems, and when the page
// cache has the file, from where it comes faster.
func readPast(f *os.File, dst []byte, end *[tailLen]byte) bool {
	if len(dst)%directUnit != 0 || address(dst)%directUnit != 0 {
		return false
	}
	fd := int(f.Fd())
	n, err := unix.Preadv2(fd, [][]byte{end[:]}, int64(len(dst)), unix.RWF_NOWAIT)
	if err == nil && n == len(end) {
		return false // it is in the page cache
	}
	if _, err := unix.FcntlInt(f.Fd(), unix.F_SETFL, unix.O_RDONLY|unix.O_DIRECT); err != nil {
		return false
	}
	block := endBlocks.Get().([]byte)
	defer endBlocks.Put(block) //nolint:staticcheck // a slice header a chunk is nothing
	n, err = unix.Preadv(fd, [][]byte{dst, block}, 0)
	if err != nil || n != len(dst)+len(end) {
		_, _ = unix.FcntlInt(f.Fd(), unix.F_SETFL, unix.O_RDONLY) // read again as usual
		return false
	}
	copy(end[:], block)
	return true
}
