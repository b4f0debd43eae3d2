package registry

import (
	"context"
	"crypto/rand"
	mathrand "math/rand/v2"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/collect"
	"github.com/ingot-ml/ingot/registry/internal/ingest"
	"github.com/ingot-ml/ingot/registry/internal/record"
)

// idleTime is how long no request must have been running before the registry
// works on its own. It is longer than the pauses inside a push or a pull.
const idleTime = 30 * time.Second

// How often a replica looks for what others have done: for tags while somebody
// listens, and for versions whose chunks it does not know.
const (
	followEvery = 2 * time.Second
	learnEvery  = 30 * time.Second
)

// retainEvery is how often rules of retention are applied of which nobody reminds: what
// they do not keep any more is mostly what has grown older.
const retainEvery = 5 * time.Minute

// begin starts the work behind the requests. Close ends it and waits for it.
func (r *Registry) begin(idle time.Duration) {
	ctx, stop := context.WithCancel(context.Background())
	r.stopWork = stop
	if r.place.shared() {
		book := record.Book{Registers: r.place.registers, Rand: rand.Reader}
		r.work.Go(func() { r.hub.Follow(ctx, book, followEvery, r.config.Logger) })
		r.work.Go(func() { r.learnBad(ctx) })
	}
	if r.config.ReadOnly {
		return
	}
	r.work.Go(func() { r.quotas.Run(ctx) })
	if r.place.index.Fresh() {
		r.work.Go(func() { r.reindex(ctx) })
	}
	if r.place.shared() {
		r.work.Go(func() { r.learn(ctx) })
	}
	r.work.Go(func() { r.hashWhenIdle(ctx, idle) })
	r.work.Go(func() { r.dropUploads(ctx) })
	r.work.Go(func() { r.retention.Run(ctx, retainEvery) })
	if r.config.ScrubEvery > 0 {
		r.work.Go(func() { r.scrubber.Run(ctx, r.config.ScrubEvery) })
	}
	if r.config.CompactEvery > 0 {
		r.work.Go(func() { r.scrubber.RecodeEvery(ctx, r.config.CompactEvery) })
	}
	if r.config.GCEvery > 0 {
		r.work.Go(func() { r.collectEvery(ctx, r.config.GCEvery) })
	}
}

// learn tells the index, now and then, of the versions that other replicas have
// committed.
func (r *Registry) learn(ctx context.Context) {
	for sleep(ctx, learnEvery) {
		if err := r.service.Learn(ctx); err != nil && ctx.Err() == nil {
			r.config.Logger.Warn("the chunk index is behind; pushes send more than they have to", "err", err)
		}
	}
}

// learnBad learns, now and then, what other replicas have put in quarantine, so that
// it is read from another copy here too.
func (r *Registry) learnBad(ctx context.Context) {
	for sleep(ctx, learnEvery) {
		if _, err := r.service.Quarantined(ctx); err != nil && ctx.Err() == nil {
			r.config.Logger.Warn("chunks that others have found bad may be read here", "err", err)
		}
	}
}

// dropEvery is how often uploads are dropped that have waited too long.
const dropEvery = time.Hour

// dropUploads drops uploads that no commit wanted. What commits wanted is of their
// versions by now.
func (r *Registry) dropUploads(ctx context.Context) {
	for sleep(ctx, dropEvery/2+mathrand.N(dropEvery)) {
		n, err := r.service.DropUploads(ctx, time.Now().Add(-ingest.Lasts))
		if err != nil && ctx.Err() == nil {
			r.config.Logger.Warn("uploads that nobody wanted stay until the next look", "err", err)
		}
		if n > 0 {
			r.config.Logger.Info("uploads are dropped", "uploads", n)
		}
		r.dropXorbs()
	}
}

// dropXorbs drops xorbs of which nobody made files.
func (r *Registry) dropXorbs() {
	if r.xorbs == nil {
		return
	}
	n, err := r.xorbs.Tidy()
	if err != nil {
		r.config.Logger.Warn("xorbs that nobody wanted stay until the next look", "err", err)
	}
	if n > 0 {
		r.config.Logger.Info("xorbs are dropped", "xorbs", n)
	}
}

// collectEvery collects garbage, unless another replica has just done so.
func (r *Registry) collectEvery(ctx context.Context, every time.Duration) {
	for sleep(ctx, every/2+mathrand.N(every)) { // replicas that start together do not collect together
		due, err := r.collector.Due(ctx, every/2)
		if err == nil && due {
			_, err = r.collect(ctx, collect.Options{})
		}
		if err != nil && ctx.Err() == nil {
			r.config.Logger.Warn("garbage was not collected", "err", err)
		}
	}
}

// sleep waits, and reports false when ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// reindex fills an index that is new. Until it is done, and where it fails,
// pushes upload chunks that the registry has.
func (r *Registry) reindex(ctx context.Context) {
	err := r.service.Reindex(ctx)
	if err == nil {
		r.place.index.Rebuilt()
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
