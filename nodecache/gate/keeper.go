package gate

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"
)

const (
	// firstPause and longestPause are between tries for the model.
	firstPause   = 250 * time.Millisecond
	longestPause = 5 * time.Second
	// probePause is between questions whether the service is ready, each of which may
	// take probeTime.
	probePause = 250 * time.Millisecond
	probeTime  = 5 * time.Second
)

// keep brings the model in whenever a request waits, until ctx ends.
func (g *Gate) keep(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-g.barrier.wanted:
			g.stayAwake(ctx)
		}
	}
}

// stayAwake keeps the model for as long as there are requests, or until it is
// clear that it cannot be had.
func (g *Gate) stayAwake(ctx context.Context) {
	ctx, sleep := context.WithCancel(ctx)
	defer sleep()
	g.barrier.wake(sleep)
	defer g.barrier.slept()
	g.metrics.activations.Inc()
	for ctx.Err() == nil {
		err := g.attend(ctx)
		if errors.Is(err, ErrPermanent) {
			g.c.Logger.Error("the model cannot be had", "err", err)
			g.barrier.refuse(err)
			return
		}
	}
}

// attend brings the model in, and keeps the barrier open while the service is
// ready, until ctx ends or it is over with the model.
func (g *Gate) attend(ctx context.Context) error {
	began := time.Now()
	held, err := g.bringIn(ctx)
	if err != nil {
		return err
	}
	defer g.letGo(held)
	g.c.Logger.Info("model is there", "took", time.Since(began))
	for g.awaitReady(ctx, held.Over()) {
		g.barrier.open()
		if !began.IsZero() {
			g.metrics.activation.Observe(time.Since(began).Seconds())
			g.c.Logger.Info("requests pass", "took", time.Since(began))
			began = time.Time{}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-held.Over():
			g.c.Logger.Info("the model is gone, or has another version")
			return nil
		case <-g.barrier.lost:
			g.c.Logger.Warn("the service is not reached")
		}
	}
	return nil
}

// bringIn tries until the model is there, ctx ends, or no try can help.
func (g *Gate) bringIn(ctx context.Context) (Held, error) {
	for pause := firstPause; ; pause = min(2*pause, longestPause) {
		held, err := g.c.Model.Hold(ctx)
		if err == nil {
			return held, nil
		}
		if ctx.Err() != nil {
			return nil, context.Cause(ctx)
		}
		g.barrier.because(err)
		if errors.Is(err, ErrPermanent) {
			return nil, err
		}
		g.c.Logger.Warn("the model is not there", "err", err, "again_in", pause)
		if !wait(ctx, nil, pause) {
			return nil, context.Cause(ctx)
		}
	}
}

// letGo releases the model after the barrier is shut.
func (g *Gate) letGo(held Held) {
	g.barrier.shut()
	if err := held.Release(); err != nil {
		g.c.Logger.Warn("release of the model failed", "err", err)
		return
	}
	g.c.Logger.Info("model is released")
}

// awaitReady asks the service until it is ready. It returns false when ctx ended
// or over was closed before.
func (g *Gate) awaitReady(ctx context.Context, over <-chan struct{}) bool {
	for {
		err := g.probe(ctx)
		if err == nil {
			return true
		}
		g.barrier.because(fmt.Errorf("the service is not ready: %w", err))
		if !wait(ctx, over, probePause) {
			return false
		}
	}
}

// probe asks the service once whether it is ready.
func (g *Gate) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeTime)
	defer cancel()
	at := g.c.Upstream.JoinPath(g.c.ReadyPath)
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, at.String(), nil)
	if err != nil {
		return err
	}
	r, err := g.c.Transport.RoundTrip(q)
	if err != nil {
		return err
	}
	defer func() { _ = r.Body.Close() }() // its status is all that counts
	if r.StatusCode < 200 || r.StatusCode > 299 {
		return fmt.Errorf("GET %s answers %.80s", at, r.Status)
	}
	return nil
}

// wait returns true after the pause, and false if ctx or over ends it.
func wait(ctx context.Context, over <-chan struct{}, pause time.Duration) bool {
	timer := time.NewTimer(pause)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-over:
		return false
	case <-ctx.Done():
		return false
	}
}
