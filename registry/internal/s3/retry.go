package s3

import (
	"context"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// How long a call that may be repeated is: some ten seconds in which a store may
// restart or ask to be spared.
const (
	tries      = 8
	firstPause = 100 * time.Millisecond
	longPause  = 3 * time.Second
)

// pauses returns the pauses between the tries of one call.
func (s *store) pauses() *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.Multiplier = s.pause, 30*s.pause, 2
	return b
}

// again calls f until it succeeds, fails for good, or has failed too often. Only
// what may happen twice is called so.
func (s *store) again(ctx context.Context, f func() error) error {
	pauses := s.pauses()
	for try := 1; ; try++ {
		err := f()
		if err == nil || try == tries || !transient(err) || !wait(ctx, pauses) {
			return err
		}
	}
}

// wait makes the next pause, and reports whether ctx lasted longer.
func wait(ctx context.Context, pauses *backoff.ExponentialBackOff) bool {
	timer := time.NewTimer(pauses.NextBackOff())
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return ctx.Err() == nil
	}
}
