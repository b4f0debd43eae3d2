package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync"

	"go.etcd.io/bbolt"

	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// The buckets of the file. A register's value is its version, a big-endian u64
// from the bucket's sequence, and then the bytes.
var (
	bucketMeta      = []byte("meta")
	bucketRegisters = []byte("registers")
	keyFormat       = []byte("format")
	formatRegisters = []byte("ingot registers 1")
)

const versionLen = 8 // bytes

// Registers is an engine of registers in one bbolt file.
type Registers struct {
	db     *bbolt.DB
	wake   chan struct{} // holds one: there is something to do
	ended  chan struct{} // closed when the committer has ended
	failed chan error    // holds the error of the commit that failed

	// publishing is held during a commit, and by readers while their transaction
	// begins: bbolt shows a commit before it is on the disk, and who has read a
	// value acts on it.
	publishing sync.RWMutex

	mu      sync.Mutex // protects the fields below; never held across a call out
	pending []*write
	closed  error // what calls get from now on
}

// write is a CAS on its way through the committer, which owns the result until
// done is closed.
type write struct {
	ctx     context.Context
	key     string
	want    registers.Version
	val     []byte
	version registers.Version
	err     error
	done    chan struct{}
}

// OpenRegisters opens the file, which it makes if need be. It fails with ErrInUse
// at once when another process has it open.
func OpenRegisters(path string) (*Registers, error) {
	db, err := openFile(path, false)
	if err != nil {
		return nil, fmt.Errorf("open registers: %w", err)
	}
	if err := errors.Join(db.Update(initRegisters), syncFolder(filepath.Dir(path))); err != nil {
		return nil, errors.Join(fmt.Errorf("open registers %s: %w", path, err), db.Close())
	}
	r := &Registers{
		db:     db,
		wake:   make(chan struct{}, 1),
		ended:  make(chan struct{}),
		failed: make(chan error, 1),
	}
	go r.commits()
	return r, nil
}

// OpenReadOnly opens registers that nobody writes: several processes may have them
// open so, and none may have them open otherwise. The file must be there.
func OpenReadOnly(path string) (*Registers, error) {
	if _, err := os.Stat(path); err != nil {
		return nil, fmt.Errorf("open registers: %w", err)
	}
	db, err := openWith(path, &bbolt.Options{ReadOnly: true})
	if err != nil {
		return nil, fmt.Errorf("open registers: %w", err)
	}
	if err := db.View(checkRegisters); err != nil {
		return nil, errors.Join(fmt.Errorf("open registers %s: %w", path, err), db.Close())
	}
	r := &Registers{db: db, wake: make(chan struct{}, 1), ended: make(chan struct{}), failed: make(chan error, 1)}
	close(r.ended) // nobody commits
	return r, nil
}

// syncFolder makes the name of a new file durable, which bbolt leaves to us.
func syncFolder(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// initRegisters makes the buckets of a new file and checks the format of an old
// one.
func initRegisters(tx *bbolt.Tx) error {
	if tx.Bucket(bucketMeta) != nil {
		return checkRegisters(tx)
	}
	meta, err := tx.CreateBucket(bucketMeta)
	if err != nil {
		return err
	}
	if _, err := tx.CreateBucket(bucketRegisters); err != nil {
		return err
	}
	return meta.Put(keyFormat, formatRegisters)
}

// checkRegisters returns ErrFormat for a file that this program cannot read.
func checkRegisters(tx *bbolt.Tx) error {
	meta := tx.Bucket(bucketMeta)
	if meta == nil {
		return fmt.Errorf("it says nothing of itself: %w", ErrFormat)
	}
	if format := meta.Get(keyFormat); !bytes.Equal(format, formatRegisters) {
		return fmt.Errorf("it says %.40q: %w", format, ErrFormat)
	}
	if tx.Bucket(bucketRegisters) == nil {
		return fmt.Errorf("it has no registers: %w", ErrFormat)
	}
	return nil
}

// Failed returns a channel that gets the error of a commit that failed. Who
// opened the registers then ends the process.
func (r *Registers) Failed() <-chan error { return r.failed }

// Close waits for the writes that were begun, and closes the file. Calls that
// come later get ErrClosed.
func (r *Registers) Close() error {
	r.refuse(ErrClosed)
	<-r.ended
	if err := r.db.Close(); err != nil {
		return fmt.Errorf("close registers: %w", err)
	}
	return nil
}

// Get implements registers.Engine.
func (r *Registers) Get(ctx context.Context, key string) ([]byte, registers.Version, error) {
	if err := registers.CheckKey(key); err != nil {
		return nil, registers.Absent, fmt.Errorf("get register: %w", err)
	}
	var val []byte
	version := registers.Absent
	err := r.view(ctx, func(b *bbolt.Bucket) error {
		stored := b.Get([]byte(key))
		if stored == nil {
			return registers.ErrNotFound
		}
		var err error
		version, val, err = split(stored)
		val = bytes.Clone(val)
		return err
	})
	if err != nil {
		return nil, registers.Absent, fmt.Errorf("get register %q: %w", key, err)
	}
	return val, version, nil
}

// List implements registers.Engine.
func (r *Registers) List(ctx context.Context, prefix, after string, n int) ([]registers.Entry, error) {
	if err := registers.CheckList(n); err != nil {
		return nil, fmt.Errorf("list registers %q: %w", prefix, err)
	}
	var entries []registers.Entry
	err := r.view(ctx, func(b *bbolt.Bucket) error {
		c := b.Cursor()
		k, v := c.Seek([]byte(max(prefix, after)))
		if k != nil && string(k) == after {
			k, v = c.Next()
		}
		for ; k != nil && len(entries) < n && bytes.HasPrefix(k, []byte(prefix)); k, v = c.Next() {
			version, _, err := split(v)
			if err != nil {
				return fmt.Errorf("%q: %w", k, err)
			}
			entries = append(entries, registers.Entry{Key: string(k), Version: version})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list registers %q: %w", prefix, err)
	}
	return entries, nil
}

// view calls f with the registers as the last commit left them on the disk.
func (r *Registers) view(ctx context.Context, f func(*bbolt.Bucket) error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	tx, err := r.beginRead()
	if err != nil {
		return closed(err)
	}
	defer func() { _ = tx.Rollback() }() // ends the reading, which cannot fail
	return f(tx.Bucket(bucketRegisters))
}

func (r *Registers) beginRead() (*bbolt.Tx, error) {
	r.publishing.RLock()
	defer r.publishing.RUnlock()
	if err := r.refusal(); err != nil {
		return nil, err
	}
	return r.db.Begin(false)
}

// split takes a stored value apart. The bytes are valid as long as the
// transaction.
func split(stored []byte) (registers.Version, []byte, error) {
	if len(stored) < versionLen {
		return registers.Absent, nil, fmt.Errorf("%d bytes are stored: %w", len(stored), ErrFormat)
	}
	return versionOf(binary.BigEndian.Uint64(stored)), stored[versionLen:], nil
}

func versionOf(n uint64) registers.Version { return registers.Version(strconv.FormatUint(n, 10)) }
