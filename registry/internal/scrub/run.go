package scrub

import (
	"context"
	"time"
)

// againAfter is how long Run waits after a failure, and at least between rounds.
const againAfter = time.Minute

// Run verifies again and again, once in a period, until ctx ends. It begins each
// round with what a shallow verification does, and then reads everything at the rate
// of the Config, one object after the other. After a failure it waits and goes on
// where it was; a new process begins from the start. Of several processes that run
// on one registry, one at a time does a round.
func (s *Scrubber) Run(ctx context.Context, every time.Duration) {
	t, err := newTurn(s)
	if err != nil {
		s.Logger.ErrorContext(ctx, "what is stored is not read by itself", "error", err)
		return
	}
	for ctx.Err() == nil {
		wait, err := t.take(ctx, every)
		if err != nil {
			s.Logger.WarnContext(ctx, "reading what is stored begins later", "error", err)
			wait = againAfter
		}
		if wait > 0 {
			sleep(ctx, wait)
			continue
		}
		t.during(ctx, func() { s.round(ctx) })
	}
}

// round reads everything once.
func (s *Scrubber) round(ctx context.Context) {
	s.until(ctx, func() error {
		_, err := s.Verify(ctx, false, nil)
		return err
	})
	v := s.verification(true, nil)
	v.pace = &pace{rate: s.Rate, now: s.Now}
	w := &walk{verification: v, first: true}
	s.until(ctx, func() error { return w.objects(ctx) })
	s.until(ctx, func() error { return v.settle(ctx) })
	if ctx.Err() != nil {
		return
	}
	v.fill()
	s.Logger.InfoContext(ctx, "read everything that is stored", "objects", v.report.Objects, "bytes", v.report.Bytes,
		"bad", len(v.report.Bad), "healed", v.report.Healed)
}

// until does f until it succeeds or ctx ends.
func (s *Scrubber) until(ctx context.Context, f func() error) {
	for ctx.Err() == nil {
		err := f()
		if err == nil || ctx.Err() != nil {
			return
		}
		s.Logger.WarnContext(ctx, "reading what is stored goes on later", "error", err)
		sleep(ctx, againAfter)
	}
}
