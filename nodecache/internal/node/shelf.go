package node

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/ingot-ml/ingot/nodecache/internal/bell"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/openapi"
)

// shelf is a tier and the account of who holds what in it. Those who want room
// stand in line, so that a large version is not starved by many small ones.
type shelf struct {
	tier    openapi.Tier
	ledger  *ledger.Ledger
	line    *semaphore.Weighted
	bell    bell.Bell // rings when there may be room
	waiting atomic.Int64
	now     func() time.Time

	// change is held while the account changes and the tier follows it: what has
	// left the one has left the other before anybody else looks. Of two shelves the
	// faster tier's comes first.
	change sync.Mutex
	// clear takes out of the tier what has left the account.
	clear func(ledger.Eviction)
	// evicted hears of versions that had to make room.
	evicted func(versions int)
}

func newShelf(t openapi.Tier, l *ledger.Ledger, now func() time.Time) *shelf {
	return &shelf{tier: t, ledger: l, line: semaphore.NewWeighted(1), now: now}
}

// admit makes e a holder of its chunks and leases it, so that it stays. It waits
// for room until ctx ends; the error is then why there is none.
func (s *shelf) admit(ctx context.Context, e ledger.Entry) error {
	return s.inLine(ctx, func() error { return s.blocked(e) }, func() error { return s.try(e) })
}

// try is admit without waiting.
func (s *shelf) try(e ledger.Entry) error {
	s.change.Lock()
	defer s.change.Unlock()
	out, err := s.ledger.Admit(e, s.now())
	if err != nil {
		return err
	}
	if err := s.ledger.Lease(e.Key, s.now()); err != nil {
		return fmt.Errorf("lease what was just admitted: %w", err)
	}
	s.evict(out)
	return nil
}

// evict clears what had to make room.
func (s *shelf) evict(out ledger.Eviction) {
	s.clear(out)
	s.evicted(len(out.Keys))
}

// hold keeps bytes for something that is no version, as admit does.
func (s *shelf) hold(ctx context.Context, name string, bytes int64) error {
	return s.inLine(ctx, func() error { return nil }, func() error {
		s.change.Lock()
		defer s.change.Unlock()
		out, err := s.ledger.TryHold(name, bytes, s.now())
		if err == nil {
			s.evict(out)
		}
		return err
	})
}

// unhold ends a hold.
func (s *shelf) unhold(name string) {
	s.ledger.Unhold(name)
	s.bell.Ring()
}

// inLine tries until there is room. blocked says why there was none for somebody
// who never came to try.
func (s *shelf) inLine(ctx context.Context, blocked, try func() error) error {
	s.waiting.Add(1)
	defer s.waiting.Add(-1)
	if err := s.line.Acquire(ctx, 1); err != nil {
		return errors.Join(blocked(), err)
	}
	defer s.line.Release(1)
	for {
		rung := s.bell.Next()
		err := try()
		if !errors.Is(err, ledger.ErrFull) {
			return err
		}
		select {
		case <-rung:
		case <-ctx.Done():
			return errors.Join(err, ctx.Err())
		}
	}
}

// blocked returns why e has no room now, nil if it has.
func (s *shelf) blocked(e ledger.Entry) error {
	_, _, err := s.ledger.Would(e)
	return err
}

// release ends one lease of admit or of a client.
func (s *shelf) release(k ledger.Key) {
	s.ledger.Unlease(k, s.now())
	s.bell.Ring()
}

// remove takes a version out, if nobody leases it. The bytes are what that frees.
func (s *shelf) remove(k ledger.Key) (freed int64, err error) {
	s.change.Lock()
	defer s.change.Unlock()
	before := s.ledger.Used()
	chunks, err := s.ledger.Remove(k)
	if err != nil {
		return 0, err
	}
	s.clear(ledger.Eviction{Keys: []ledger.Key{k}, Freed: chunks})
	s.bell.Ring()
	return before - s.ledger.Used(), nil
}

// loosen takes a version out of the account and leaves its chunks in the tier
// until their room is needed.
func (s *shelf) loosen(k ledger.Key) {
	s.change.Lock()
	defer s.change.Unlock()
	if s.ledger.Loosen(k) != nil {
		return // leased: loosened when that ends
	}
	s.clear(ledger.Eviction{Keys: []ledger.Key{k}})
	s.bell.Ring()
}

// trim lets what was not used for the longest time go, down to so many bytes.
func (s *shelf) trim(to int64) {
	s.change.Lock()
	defer s.change.Unlock()
	s.evict(s.ledger.Trim(to))
	s.bell.Ring()
}
