package follow

import (
	"context"
	"errors"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// How long to wait before the next connection, and before what could not be looked
// up is tried again: between half and one and a half of it, from the first on.
const (
	pauseFirst = 500 * time.Millisecond
	pauseMost  = 30 * time.Second
)

func newPause(most time.Duration) *backoff.ExponentialBackOff {
	b := backoff.NewExponentialBackOff()
	b.InitialInterval, b.MaxInterval, b.RandomizationFactor, b.Multiplier = min(pauseFirst, most), most, 0.5, 2
	b.Reset()
	return b
}

// sleep waits, unless ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
	}
}

// listen keeps a connection on which the registry tells of changes.
func (f *Follower) listen(ctx context.Context) {
	pause := newPause(pauseMost)
	for ctx.Err() == nil {
		f.tellState()
		subscribed, match := f.subscribe(ctx)
		if len(match) == 0 {
			<-subscribed.Done()
			continue
		}
		heard := false
		err := f.config.Registry.Watch(subscribed, match, func() { heard = true; f.ready() }, f.changed)
		if subscribed.Err() != nil {
			continue // other tags are wanted
		}
		f.config.Logger.Debug("no events from the registry", "err", err)
		f.deaf(err)
		if heard {
			pause.Reset()
		}
		sleep(subscribed, pause.NextBackOff())
	}
}

// subscribe returns what to listen to, and a context that ends when it is another.
func (f *Follower) subscribe(ctx context.Context) (context.Context, []string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.relisten() // nobody uses the former one any more
	ctx, f.relisten = context.WithCancel(ctx)
	return ctx, f.wanted.subscription()
}

// ready is called when all that changes from now on is told.
func (f *Follower) ready() {
	f.mu.Lock()
	f.asked, f.listening, f.allDue, f.fault = true, true, true, nil
	f.mu.Unlock()
	f.tellState()
	f.rouse()
}

// changed has a tag looked up.
func (f *Follower) changed(e openapi.TagEvent) {
	ref, err := name.ParseRef(e.Repo + ":" + e.Tag)
	if err != nil {
		f.config.Logger.Warn("the registry tells of a tag that cannot be", "err", err)
		return
	}
	f.mu.Lock()
	if f.wanted.follows(ref) {
		f.due[ref] = true
	}
	f.mu.Unlock()
	f.rouse()
}

// deaf is called when there are no events any more.
func (f *Follower) deaf(err error) {
	f.mu.Lock()
	f.asked, f.listening = true, false
	f.allDue = f.allDue || !f.looked
	// A registry that answers is there, whatever it says.
	if _, answered := errors.AsType[*openapi.Error](err); !answered {
		f.fault = err
	}
	f.mu.Unlock()
	f.tellState()
	f.rouse()
}
