package scrub

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
)

// patience is how long to wait for a store that fails, before each further try.
var patience = [...]time.Duration{time.Second, 10 * time.Second}

// patiently tries again what fails because of the store, and not because of what is
// in it: a verification is long, and one failure is no reason to begin it again.
func patiently(ctx context.Context, f func() error) error {
	err := f()
	for _, pause := range patience {
		if err == nil || says(err) || ctx.Err() != nil {
			return err
		}
		if !sleep(ctx, pause) {
			return err
		}
		err = f()
	}
	return err
}

// says reports whether an error tells something about the object.
func says(err error) bool {
	return errors.Is(err, blobs.ErrNotFound) || errors.Is(err, blobs.ErrName) ||
		errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
}

// sleep returns false when ctx ended before.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// pace spreads reading over time. It is safe for concurrent use; the nil pace does
// not hold anybody up.
type pace struct {
	rate int64 // bytes a second
	now  func() time.Time

	mu   sync.Mutex // protects next
	next time.Time  // when the next may read
}

// wait returns when another n bytes may be read, or ctx ends.
func (p *pace) wait(ctx context.Context, n int64) error {
	if p == nil {
		return nil
	}
	now := p.now()
	p.mu.Lock()
	begin := p.next
	if begin.Before(now) {
		begin = now
	}
	p.next = begin.Add(time.Duration(float64(n) / float64(p.rate) * float64(time.Second)))
	p.mu.Unlock()
	if pause := begin.Sub(now); pause > 0 && !sleep(ctx, pause) {
		return ctx.Err()
	}
	return nil
}
