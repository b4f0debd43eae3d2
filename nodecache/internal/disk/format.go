package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Errors of Open.
var (
	// ErrInUse reports a folder that another process has open.
	ErrInUse = errors.New("another agent uses it")
	// ErrFormat reports a folder that this ingot can't read.
	ErrFormat = errors.New("unknown format")
)

const (
	formatName = "FORMAT"
	formatText = "ingot node 1\n"
	lockName   = "lock"
)

// lockRoot takes the folder for this process, until unlock or its end.
func (s *Store) lockRoot() error {
	f, err := os.OpenFile(s.path(lockName), os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = fmt.Errorf("%w%s; stop that one first, or choose another folder", ErrInUse, owner(f))
	}
	if err == nil {
		err = f.Truncate(0)
	}
	if err == nil {
		_, err = fmt.Fprintf(f, "%d\n", os.Getpid())
	}
	if err != nil {
		return errors.Join(err, f.Close())
	}
	s.lock = f
	return nil
}

// owner says which process has the lock, if that has written it.
func owner(f *os.File) string {
	b := make([]byte, 20)
	n, _ := f.ReadAt(b, 0) // the file is shorter
	if pid := strings.TrimSpace(string(b[:n])); pid != "" {
		return " (process " + pid + ")"
	}
	return ""
}

func (s *Store) unlock() error {
	if s.lock == nil {
		return nil
	}
	return s.lock.Close()
}

// checkFormat makes the file that says what the folder is, or reads it.
func (s *Store) checkFormat() error {
	text, err := readFile(s.path(formatName), 1<<10)
	switch {
	case err == nil && string(text) == formatText:
		return nil
	case err == nil:
		return fmt.Errorf("its file %s says %.40q, this ingot knows %q: %w", formatName, text, formatText, ErrFormat)
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if _, err := os.Lstat(s.path(chunksName)); !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("there is a folder %s and no file %s: %w", chunksName, formatName, errors.Join(ErrFormat, err))
	}
	return replaceFile(s.path(formatName), []byte(formatText))
}
