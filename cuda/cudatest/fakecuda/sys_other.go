//go:build !linux

package fakecuda

import (
	"errors"
	"os"
)

func mapFile(*os.File, int) ([]byte, error) { return nil, errors.ErrUnsupported }
func unmap([]byte) error                    { return nil }
func lockFile(*os.File) error               { return errors.ErrUnsupported }
func unlockFile(*os.File)                   {}
func occupant(int64) (f *os.File, inode, filesystem uint64, err error) {
	return nil, 0, 0, errors.ErrUnsupported
}
func deviceNumber(major, minor uint32) uint64 { return uint64(major)<<32 | uint64(minor) }
