package bolt

import (
	"context"
	"errors"

	"go.etcd.io/bbolt"

	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// Commits returns how many commits the file has seen.
func (r *Registers) Commits() (n int, err error) {
	err = r.db.View(func(tx *bbolt.Tx) error { n = tx.ID(); return nil })
	return n, err
}

// Hold keeps the committer from committing until the function is called.
func (r *Registers) Hold() (release func() error, err error) {
	tx, err := r.db.Begin(true)
	if err != nil {
		return nil, err
	}
	return tx.Rollback, nil
}

// Enqueue is the first half of a CAS that makes a register; the function is the
// other half.
func (r *Registers) Enqueue(ctx context.Context, key, val string) (wait func() error) {
	w := &write{ctx: ctx, key: key, want: registers.Absent, val: []byte(val), done: make(chan struct{})}
	if err := r.enqueue(w); err != nil {
		return func() error { return err }
	}
	return func() error { <-w.done; return w.err }
}

// SetMaxSize makes commits fail that would make the file longer than that.
func (r *Registers) SetMaxSize(bytes int) { r.db.MaxSize = bytes }

// Damage overwrites the format of the file, or of one register if key is not
// empty.
func Damage(path, key string) error {
	db, err := openFile(path, false)
	if err != nil {
		return err
	}
	return errors.Join(db.Update(func(tx *bbolt.Tx) error {
		if key != "" {
			return tx.Bucket(bucketRegisters).Put([]byte(key), []byte("short"))
		}
		return tx.Bucket(bucketMeta).Put(keyFormat, []byte("ingot registers 2"))
	}), db.Close())
}

// LookFromCommit commits something, and reports whether a reader could begin
// meanwhile.
func (r *Registers) LookFromCommit() (canBegin bool, err error) {
	tx, err := r.db.Begin(true)
	if err != nil {
		return false, err
	}
	tx.OnCommit(func() {
		if canBegin = r.publishing.TryRLock(); canBegin {
			r.publishing.RUnlock()
		}
	})
	err = r.publish(tx)
	return canBegin, err
}
