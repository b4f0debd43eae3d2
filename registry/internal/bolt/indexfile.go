package bolt

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"sync/atomic"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"
)

// The index is written without syncs, so that after a power cut its pages may be
// of different times. A marker beside the file says that it was synced and closed:
// it is written last of all and removed, for good, before anything else is done.
const (
	markerSuffix = ".clean"
	formatIndex  = "ingot index 2\n" // another layout of the file is another number
)

// Index tells in which versions chunks were seen. All methods are safe for
// concurrent use.
type Index struct {
	path    string
	db      *bbolt.DB
	fresh   atomic.Bool
	suspect atomic.Bool // a write failed: do not trust the file another time
}

// OpenIndex opens the file, which it makes if need be. One that cannot be trusted
// it removes first; see Fresh. It fails with ErrInUse at once when another process
// has the file open.
func OpenIndex(path string) (*Index, error) {
	if err := removeUnlessClean(path); err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	x := &Index{path: path}
	err := x.open()
	if err != nil && !errors.Is(err, ErrInUse) { // damaged all the same
		err = errors.Join(remove(path), x.open())
	}
	if err != nil {
		return nil, fmt.Errorf("open index: %w", err)
	}
	return x, nil
}

// Fresh reports whether the index knows too little, because its file is new: who
// opened it adds all versions there are, and then calls Rebuilt.
func (x *Index) Fresh() bool { return x.fresh.Load() }

// Rebuilt notes that all versions were added. Without it the next OpenIndex starts
// anew.
func (x *Index) Rebuilt() { x.fresh.Store(false) }

// Close waits for the calls under way and closes the file, so that OpenIndex finds
// it again, if it is complete. Calls that come later get ErrClosed.
func (x *Index) Close() error {
	err := x.db.Sync()
	if err = errors.Join(err, x.db.Close()); err == nil && !x.fresh.Load() && !x.suspect.Load() {
		err = writeMarker(x.path)
	}
	if err != nil {
		return fmt.Errorf("close index: %w", err)
	}
	return nil
}

func (x *Index) open() error {
	db, err := openFile(x.path, true)
	if err != nil {
		return err
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		x.fresh.Store(tx.Bucket(bucketChunks) == nil)
		for _, name := range [][]byte{bucketChunks, bucketNamespaces, bucketRepos, bucketSources, bucketNumbers} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return errors.Join(err, db.Close())
	}
	x.db = db
	return nil
}

// removeUnlessClean removes the marker, and the file too if the marker was not the
// right one. It looks whether another process has the file before it does; the
// two cannot race, since who opens the index holds the registers beside it.
func removeUnlessClean(path string) error {
	if err := checkFree(path); err != nil {
		return err
	}
	marker, err := os.ReadFile(path + markerSuffix)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if string(marker) != formatIndex {
		if err := remove(path); err != nil {
			return err
		}
	}
	if err := remove(path + markerSuffix); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// checkFree fails when another process has the file open.
func checkFree(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	err = unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB)
	if errors.Is(err, unix.EWOULDBLOCK) {
		err = inUse(path)
	}
	return errors.Join(err, f.Close()) // the lock goes with the file
}

// writeMarker says that the file is whole. If it cannot be finished it says
// nothing: only the whole text counts.
func writeMarker(path string) error {
	f, err := os.Create(path + markerSuffix)
	if err != nil {
		return err
	}
	_, err = f.WriteString(formatIndex)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return syncFolder(filepath.Dir(path))
}

// remove removes a file that may be absent.
func remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}
