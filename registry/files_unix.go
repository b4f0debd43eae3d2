//go:build unix

package registry

import (
	"math"
	"syscall"
)

// openFiles returns how many files the process may have open; 0 if that is not known.
func openFiles() int {
	var most syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &most); err != nil {
		return 0
	}
	return int(min(uint64(most.Cur), math.MaxInt32)) //nolint:unconvert // it is signed on some systems
}
