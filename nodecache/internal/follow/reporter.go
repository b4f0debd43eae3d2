package follow

import (
	"cmp"
	"context"
	"log/slog"
	"time"

	"github.com/ingot-ml/ingot/openapi"
)

// Registrar is what a Reporter needs of a registry; *client.Registry is one.
type Registrar interface {
	Report(ctx context.Context, node string, report openapi.NodeReport) error
	Forget(ctx context.Context, node string) error
}

const (
	// DefaultEvery is how often a node reports.
	DefaultEvery = 10 * time.Second
	// reportGap is the least time between two reports, however much happens.
	reportGap = time.Second
	// lifetime is how many reports may be lost before the node counts as gone.
	lifetime = 3
	// farewell is how long a node that stops tries to say so.
	farewell = 2 * time.Second
)

// ReporterConfig says what a Reporter works with. All but Every and Logger must be
// set.
type ReporterConfig struct {
	Registry Registrar
	Node     string
	// Every is how often to report; 0 is DefaultEvery.
	Every time.Duration
	// Report returns what the node holds. The Reporter sets its TTL.
	Report func() openapi.NodeReport
	// Logger gets what goes wrong; nil is silence.
	Logger *slog.Logger
}

// Reporter tells a registry, again and again, what a node holds. Nothing depends on
// that: a report that does not get through is not sent again, the next one is.
type Reporter struct {
	config ReporterConfig
	wake   chan struct{} // of one place
}

// NewReporter returns a Reporter that has not reported yet.
func NewReporter(c ReporterConfig) *Reporter {
	c.Every = cmp.Or(max(0, c.Every), DefaultEvery)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	return &Reporter{config: c, wake: make(chan struct{}, 1)}
}

// Soon has the next report sent soon, because something has changed.
func (r *Reporter) Soon() {
	select {
	case r.wake <- struct{}{}:
	default: // it will be
	}
}

// Run reports until ctx ends, says that the node is gone, and returns the error of
// ctx.
func (r *Reporter) Run(ctx context.Context) error {
	every := time.NewTicker(r.config.Every)
	defer every.Stop()
	for ctx.Err() == nil {
		r.report(ctx)
		sleep(ctx, min(reportGap, r.config.Every))
		select {
		case <-every.C:
		case <-r.wake:
		case <-ctx.Done():
		}
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), farewell)
	defer cancel()
	if err := r.config.Registry.Forget(last, r.config.Node); err != nil {
		r.config.Logger.Debug("the registry was not told that the node stops", "err", err)
	}
	return ctx.Err()
}

// report reports once. What happens until it begins is in it.
func (r *Reporter) report(ctx context.Context) {
	select {
	case <-r.wake:
	default:
	}
	ctx, cancel := context.WithTimeout(ctx, lifetime*r.config.Every)
	defer cancel()
	report := r.config.Report()
	report.TTL = ttl(r.config.Every)
	if err := r.config.Registry.Report(ctx, r.config.Node, report); err != nil {
		r.config.Logger.Debug("the registry does not get the node's report", "err", err)
	}
}

// ttl returns the lifetime of a report in seconds.
func ttl(every time.Duration) int {
	seconds := (lifetime*every + time.Second - 1) / time.Second
	return int(min(max(seconds, 1), openapi.MaxNodeTTL))
}
