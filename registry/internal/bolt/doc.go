// Package bolt owns what the registry keeps in bbolt files: the registers of a
// registry on one machine, and the index of chunks that a replica keeps for
// itself.
//
// Laws:
//   - Registers is an engine of package registers. A write is answered after the
//     commit that holds it; writes that come while a commit is under way share the
//     next one.
//   - After a commit that failed nobody knows what the file holds, and the same
//     process must not find out by trying again. Registers then refuses every call,
//     and its owner ends the process; the next one reads what is there.
//   - Index is a cache. It may have forgotten what it was told, and it may name
//     sources that are no longer what they were; it is never evidence. A file that
//     is damaged, or was not closed, or is of another format, is thrown away.
//   - One process has a file open at a time.
//
// The layout of each file is described at its buckets; what the registers hold, in
// docs/formats/registry.md.
package bolt

import (
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bbolterrors "go.etcd.io/bbolt/errors"
)

// Errors of this package.
var (
	// ErrInUse reports a file that another process has open.
	ErrInUse = errors.New("in use by another process")
	// ErrClosed reports a call after Close.
	ErrClosed = errors.New("closed")
	// ErrFailed reports that an earlier commit failed. The process must end.
	ErrFailed = errors.New("stopped after a failed commit")
	// ErrReadOnly reports a write to registers that were opened for reading.
	ErrReadOnly = errors.New("opened for reading only")
	// ErrFormat reports a file of registers that this program does not know how to
	// read.
	ErrFormat = errors.New("not a register file of this format")
)

// openFile opens a bbolt file or fails at once if it is in use.
func openFile(path string, noSync bool) (*bbolt.DB, error) {
	return openWith(path, &bbolt.Options{
		FreelistType: bbolt.FreelistMapType,
		NoSync:       noSync,
		NoGrowSync:   noSync,
	})
}

func openWith(path string, opts *bbolt.Options) (*bbolt.DB, error) {
	opts.Timeout = time.Nanosecond // of waiting for the lock: one try
	db, err := bbolt.Open(path, 0o600, opts)
	if errors.Is(err, bbolterrors.ErrTimeout) {
		return nil, inUse(path)
	}
	return db, err
}

func inUse(path string) error {
	return fmt.Errorf("data directory %s is %w", filepath.Dir(path), ErrInUse)
}

// closed names the one error of bbolt that is about the caller.
func closed(err error) error {
	if errors.Is(err, bbolterrors.ErrDatabaseNotOpen) {
		return ErrClosed
	}
	return err
}
