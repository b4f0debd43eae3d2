package disk

import (
	"errors"
	"os"

	"golang.org/x/sys/unix"
)

// syncAll makes all that was written to the file system of a folder be on the
// disk.
func syncAll(folder string) error {
	f, err := os.Open(folder)
	if err != nil {
		return err
	}
	return errors.Join(unix.Syncfs(int(f.Fd())), f.Close())
}
