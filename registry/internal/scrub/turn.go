package scrub

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

const (
	// beatEvery is how often who does a round says that it lives.
	beatEvery = 30 * time.Minute
	// deadAfter is how long nobody is heard before another begins the round anew.
	deadAfter = 2 * time.Hour
	// lookAfter is how long one waits at most before looking again whose turn it is.
	lookAfter = time.Hour
)

// turn is a process's part in taking turns. Clocks decide only who reads: two that
// read at the same time do no harm.
type turn struct {
	*Scrubber
	key   string // of the register that tells whose turn it is
	owner string
}

func newTurn(s *Scrubber, key string) (*turn, error) {
	owner, err := s.book.Token(record.NonceLen)
	return &turn{s, key, owner}, err
}

// take begins a round, if one is due and nobody else does it. Otherwise it returns
// how long to wait before looking again.
func (t *turn) take(ctx context.Context, every time.Duration) (wait time.Duration, err error) {
	var r record.Round
	at, err := t.book.Load(ctx, t.key, &r)
	if err != nil {
		return 0, fmt.Errorf("look whose turn it is: %w", err)
	}
	now := t.Now().UTC()
	switch {
	case at == registers.Absent:
	case r.Ended:
		wait = r.Began.Add(every).Sub(now)
	case r.Owner != t.owner:
		wait = r.Beat.Add(deadAfter).Sub(now)
	}
	if wait > 0 {
		return min(max(wait, againAfter), lookAfter), nil
	}
	r.Owner, r.Began, r.Beat, r.Ended = t.owner, now, now, false
	_, err = t.book.Swap(ctx, t.key, at, &r)
	if errors.Is(err, registers.ErrConflict) {
		return againAfter, nil // somebody was faster
	}
	return 0, err
}

// during does a round and lets the others know that it goes on, and that it is over
// unless ctx ended.
func (t *turn) during(ctx context.Context, round func()) {
	beating, stop := context.WithCancel(ctx)
	var beats sync.WaitGroup
	beats.Go(func() {
		for sleep(beating, beatEvery); beating.Err() == nil; sleep(beating, beatEvery) {
			t.beat(beating, false)
		}
	})
	round()
	stop()
	beats.Wait()
	if ctx.Err() == nil {
		t.beat(ctx, true)
	}
}

// beat says that the round goes on or is over. When that fails, the round is done
// once more than it had to be.
func (t *turn) beat(ctx context.Context, ended bool) {
	var r record.Round
	at, err := t.book.Load(ctx, t.key, &r)
	if err == nil && r.Owner == t.owner {
		r.Beat, r.Ended = t.Now().UTC(), ended
		_, err = t.book.Swap(ctx, t.key, at, &r)
	}
	if err != nil && ctx.Err() == nil && !errors.Is(err, registers.ErrConflict) {
		t.Logger.WarnContext(ctx, "other replicas may do the same once more", "error", err)
	}
}
