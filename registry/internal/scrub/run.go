package scrub

import (
	"context"
	"fmt"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// againAfter is how long Run waits after a failure, and at least between rounds.
const againAfter = time.Minute

// Run verifies again and again, once in a period, until ctx ends. It begins each
// round with what a shallow verification does, and then reads everything at the rate
// of the Config, one object after the other. After a failure it waits and goes on
// where it was; a new process begins from the start. Of several processes that run
// on one registry, one at a time does a round.
func (s *Scrubber) Run(ctx context.Context, every time.Duration) {
	t, err := newTurn(s, record.RoundKey)
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
	s.until(ctx, func() error { return v.deltas(ctx) })
	s.until(ctx, func() error { return v.settle(ctx) })
	if ctx.Err() != nil {
		return
	}
	v.fill()
	s.told(v.report)
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

// firstRecode is how long a process leaves chunks as they are: who starts it has other
// things to do.
const firstRecode = 10 * time.Minute

// RecodeEvery does a Recode of everything once in a period, one chunk at a time, until
// ctx ends. Nothing is read when no version has changed since. Of several processes that
// run on one registry, one at a time does so.
func (s *Scrubber) RecodeEvery(ctx context.Context, every time.Duration) {
	t, err := newTurn(s, record.CompactKey)
	if err != nil {
		s.Logger.ErrorContext(ctx, "chunks are not stored otherwise by itself", "error", err)
		return
	}
	var last placeHash
	for sleep(ctx, min(every, firstRecode)); ctx.Err() == nil; {
		wait, err := t.take(ctx, every)
		if err != nil {
			s.Logger.WarnContext(ctx, "chunks are stored otherwise later", "error", err)
			wait = againAfter
		}
		if wait > 0 {
			sleep(ctx, wait)
			continue
		}
		t.during(ctx, func() { last = s.recodeIfChanged(ctx, last) })
	}
}

// recodeIfChanged does a Recode unless all heads are as they were, and returns how they
// are after it.
func (s *Scrubber) recodeIfChanged(ctx context.Context, last placeHash) placeHash {
	heads, err := s.headsHash(ctx)
	if err == nil && heads == last {
		return last
	}
	if err == nil {
		r := &recoding{Scrubber: s, tell: func(openapi.CompactProgress) {}, workers: 1}
		_, err = s.recodeWith(ctx, r, "")
	}
	if err == nil {
		heads, err = s.headsHash(ctx)
	}
	if err != nil {
		if ctx.Err() == nil {
			s.Logger.WarnContext(ctx, "some chunks are stored as they were", "error", err)
		}
		return placeHash{}
	}
	return heads
}

// headsHash stands for all heads as they are.
func (s *Scrubber) headsHash(ctx context.Context) (sum placeHash, err error) {
	err = s.book.Each(ctx, record.HeadPrefix, "", func(e registers.Entry) (bool, error) {
		h := place{object: fmt.Sprintf("%s %s", e.Key, e.Version)}.hash()
		sum[0], sum[1] = sum[0]+h[0], sum[1]+h[1]
		return true, nil
	})
	return sum, err
}
