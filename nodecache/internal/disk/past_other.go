//go:build !linux

package disk

import "os"

func readPast(*os.File, []byte, *[tailLen]byte) bool { return false }
