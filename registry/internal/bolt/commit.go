package bolt

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"go.etcd.io/bbolt"

	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// CAS implements registers.Engine. Once the write is queued, CAS waits for its
// commit whatever becomes of ctx, so that the outcome is known; a write whose ctx
// has ended before the commit begins is left out. Only a commit that fails ends
// with ErrUnknown.
func (r *Registers) CAS(ctx context.Context, key string, want registers.Version, val []byte) (registers.Version, error) {
	if err := registers.CheckWrite(key, val); err != nil {
		return registers.Absent, fmt.Errorf("write register: %w", err)
	}
	if r.db.IsReadOnly() {
		return registers.Absent, fmt.Errorf("write register %q: %w", key, ErrReadOnly)
	}
	w := &write{ctx: ctx, key: key, want: want, val: val, done: make(chan struct{})}
	if err := r.enqueue(w); err != nil {
		return registers.Absent, fmt.Errorf("write register %q: %w", key, err)
	}
	<-w.done
	if w.err != nil {
		return registers.Absent, fmt.Errorf("write register %q: %w", key, w.err)
	}
	return w.version, nil
}

func (r *Registers) enqueue(w *write) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed != nil {
		return r.closed
	}
	r.pending = append(r.pending, w)
	r.signal()
	return nil
}

// refuse makes every later call fail with err, unless they do already, and tells
// the committer.
func (r *Registers) refuse(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed == nil {
		r.closed = err
	}
	r.signal()
}

func (r *Registers) refusal() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.closed
}

func (r *Registers) signal() {
	select {
	case r.wake <- struct{}{}:
	default: // it is awake
	}
}

// take returns what is queued, and whether more may come.
func (r *Registers) take() (batch []*write, more bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	batch, r.pending = r.pending, nil
	return batch, r.closed == nil
}

// commits is the committer: it writes whatever has gathered during the last
// commit in one transaction. It ends when the registers are closed and nothing is
// queued, or when a commit has failed.
func (r *Registers) commits() {
	defer close(r.ended)
	for range r.wake {
		batch, more := r.take()
		if err := r.commit(batch); err != nil {
			r.fail(batch, err)
			return
		}
		for _, w := range batch {
			close(w.done)
		}
		if !more {
			return
		}
	}
}

// fail answers those whose write was in the failed commit, and those who wait for
// the next, and refuses all others.
func (r *Registers) fail(batch []*write, cause error) {
	cause = fmt.Errorf("%w: %w", ErrFailed, cause)
	r.refuse(cause)
	for _, w := range batch {
		w.err = fmt.Errorf("%w: %w", registers.ErrUnknown, cause)
		close(w.done)
	}
	late, _ := r.take()
	for _, w := range late {
		w.err = cause
		close(w.done)
	}
	r.failed <- cause
}

// commit applies a batch, in order, and makes it durable. A batch that changes
// nothing costs no commit.
func (r *Registers) commit(batch []*write) error {
	if len(batch) == 0 {
		return nil
	}
	tx, err := r.db.Begin(true)
	if err != nil {
		return err
	}
	changed := false
	for _, w := range batch {
		if err := apply(tx.Bucket(bucketRegisters), w); err != nil {
			return errors.Join(err, tx.Rollback())
		}
		changed = changed || w.err == nil
	}
	if !changed {
		return tx.Rollback()
	}
	return r.publish(tx)
}

// publish commits. After a failure no reader may see what the file has now, so
// they are refused before the next of them begins.
func (r *Registers) publish(tx *bbolt.Tx) error {
	r.publishing.Lock()
	defer r.publishing.Unlock()
	err := tx.Commit()
	if err != nil {
		r.refuse(fmt.Errorf("%w: %w", ErrFailed, err))
	}
	return err
}

// apply puts the write into the transaction, or sets its error. What it returns
// is about the transaction.
func apply(b *bbolt.Bucket, w *write) error {
	if w.err = w.ctx.Err(); w.err != nil {
		return nil
	}
	now := registers.Absent
	if stored := b.Get([]byte(w.key)); stored != nil {
		if now, _, w.err = split(stored); w.err != nil {
			return nil
		}
	}
	if now != w.want {
		w.err = registers.ErrConflict
		return nil
	}
	seq, err := b.NextSequence()
	if err != nil {
		return err
	}
	w.version = versionOf(seq)
	stored := binary.BigEndian.AppendUint64(make([]byte, 0, versionLen+len(w.val)), seq)
	return b.Put([]byte(w.key), append(stored, w.val...))
}
