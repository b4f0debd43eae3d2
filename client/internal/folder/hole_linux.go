package folder

import (
	"os"

	"golang.org/x/sys/unix"
)

// punch makes the run of file at offset read as zeros without taking room. Not
// every file system can.
func punch(file *os.File, offset, size int64) error {
	return unix.Fallocate(int(file.Fd()), unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, offset, size)
}
