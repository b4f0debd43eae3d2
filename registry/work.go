package registry

import (
	"context"
	"time"
)

// idleTime is how long no request must have been running before the registry
// works on its own. It is longer than the pauses inside a push or a pull.
const idleTime = 30 * time.Second

// begin starts the work behind the requests. Close ends it and waits for it.
func (r *Registry) begin(idle time.Duration) {
	ctx, stop := context.WithCancel(context.Background())
	r.stopWork = stop
	if r.index.Fresh() {
		r.work.Go(func() { r.reindex(ctx) })
	}
	r.work.Go(func() { r.hashWhenIdle(ctx, idle) })
}

// reindex fills an index that is new. Until it is done, and where it fails,
// pushes upload chunks that the registry has.
func (r *Registry) reindex(ctx context.Context) {
	err := r.service.Reindex(ctx)
	if err == nil {
		r.index.Rebuilt()
	} else if ctx.Err() == nil {
		r.config.Logger.Warn("the chunk index is incomplete; pushes send more than they have to", "err", err)
	}
}

// hashWhenIdle computes the sha256 of files, so that the first who asks for them
// need not wait. It does so once after every time that requests came.
func (r *Registry) hashWhenIdle(ctx context.Context, idle time.Duration) {
	look := time.NewTicker(idle / 10)
	defer look.Stop()
	done := false // since the last request
	for {
		select {
		case <-ctx.Done():
			return
		case <-look.C:
		}
		if r.api.Quiet() < idle {
			done = false
		} else if !done {
			done = r.hashPending(ctx, idle, look.C)
		}
	}
}

// hashPending hashes until all is done, and tells so, or until a request comes:
// that one is to have the disk and the processors for itself.
func (r *Registry) hashPending(ctx context.Context, idle time.Duration, look <-chan time.Time) bool {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	ended := make(chan error, 1)
	go func() { ended <- r.service.HashPending(ctx) }()
	for {
		select {
		case err := <-ended:
			if err != nil && ctx.Err() == nil {
				r.config.Logger.Warn("files of some versions have no sha256 yet", "err", err)
			}
			return ctx.Err() == nil
		case <-look:
			if r.api.Quiet() < idle {
				cancel()
			}
		}
	}
}
