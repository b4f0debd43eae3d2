package registry

import (
	"context"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/collect"
	"github.com/ingot-ml/ingot/registry/internal/events"
	"github.com/ingot-ml/ingot/registry/internal/httpapi"
	"github.com/ingot-ml/ingot/registry/internal/nodes"
	"github.com/ingot-ml/ingot/registry/internal/scrub"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// Registry is an open data directory and what answers for it. It is safe for
// concurrent use.
type Registry struct {
	config    Config
	place     *place
	service   *versions.Service
	collector *collect.Collector
	scrubber  *scrub.Scrubber
	hub       *events.Hub
	api       *httpapi.API
	failed    <-chan error // gets the error of registers that failed
	stopWork  context.CancelFunc
	work      sync.WaitGroup
}

// Open opens the data directory, which it makes if need be, or joins the registry
// in a store, and begins the work that goes on behind the requests. It fails with
// ErrNotData for a directory that is something else, and at once for one that
// another process has open. ctx is for the opening only. The caller closes the
// Registry.
func Open(ctx context.Context, c Config) (*Registry, error) { return open(ctx, c, idleTime) }

// open has the background work begin after that much quiet.
func open(ctx context.Context, c Config, idle time.Duration) (*Registry, error) {
	c = c.withDefaults()
	p, err := openPlace(ctx, c)
	if err != nil {
		return nil, fmt.Errorf("open registry: %w", err)
	}
	r := &Registry{config: c, place: p, failed: p.failed}
	r.assemble()
	r.begin(idle)
	c.Logger.Info("registry opened", "data", c.Data, "store", c.Store, "read_only", c.ReadOnly, "version", c.Version)
	return r, nil
}

// assemble puts the parts on top of each other.
func (r *Registry) assemble() {
	policy := access.Open{}
	r.hub = events.NewHub(policy)
	index := chunkIndex{r.place.index}
	config := versions.Config{
		Registers:  r.place.registers,
		Blobs:      r.place.blobs,
		Index:      index,
		Policy:     policy,
		Now:        time.Now,
		Rand:       rand.Reader,
		Logger:     r.config.Logger,
		PushTTL:    r.config.PushTTL,
		TagChanged: r.hub.Tell,
	}
	if r.place.shared() && r.place.index != nil {
		config.Known = index
	}
	r.service = versions.New(config)
	r.collector = collect.New(collect.Config{
		Registers: r.place.registers,
		Blobs:     r.place.blobs,
		Sweeper:   r.place.sweeper,
		Now:       time.Now,
		Rand:      rand.Reader,
		Logger:    r.config.Logger,
		Owner:     owner(),
		Untagged:  r.config.KeepUntagged,
		Retire:    r.service.Retire,
		Grace:     r.config.GCGrace,
		Readers:   min(collect.DefaultReaders, r.config.GCGrace), // 0 and below mean the same in both
	})
	r.scrubber = scrub.New(scrub.Config{
		Service:   r.service,
		Registers: r.place.registers,
		Blobs:     r.place.blobs,
		Now:       time.Now,
		Rand:      rand.Reader,
		Logger:    r.config.Logger,
		Foreign:   r.place.foreign(),
		Rules:     r.place.rules(),
		ReadOnly:  r.config.ReadOnly,
	})
	r.api = httpapi.New(httpapi.Config{
		Service:   r.service,
		Events:    r.hub,
		Nodes:     nodes.New(policy, time.Now),
		Collector: collector{r},
		Verifier:  r.scrubber,
		Redirect:  r.place.presign(r.config.Presign),
		ReadOnly:  r.config.ReadOnly,
		Policy:    policy,
		Principal: func(*http.Request) access.Principal { return access.Anonymous },
		Memory:    r.config.Memory,
		Logger:    r.config.Logger,
		Version:   r.config.Version,
	})
}

// owner says who this process is, for people who ask who collects.
func owner() string {
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return fmt.Sprintf("%s/%d", host, os.Getpid())
}

// collector is the registry as package httpapi wants to collect.
type collector struct{ *Registry }

// Run implements httpapi.Collector.
func (c collector) Run(ctx context.Context, o httpapi.Collection) (openapi.GCReport, error) {
	return c.collect(ctx, collect.Options(o))
}

// collect frees what it can: first what versions need is moved out of bundles that
// are mostly garbage, since a bundle is freed as a whole.
func (r *Registry) collect(ctx context.Context, o collect.Options) (openapi.GCReport, error) {
	if !o.DryRun {
		if _, err := r.scrubber.Compact(ctx, scrub.CompactOptions{}); err != nil && ctx.Err() == nil {
			r.config.Logger.Warn("bundles stay as they are", "err", err) // it only costs room
		}
	}
	return r.collector.Run(ctx, o)
}

// Handler answers the registry's requests, for servers other than Serve's. It
// works until Close. Whoever serves it decides who can reach it.
func (r *Registry) Handler() http.Handler { return r.api }

// Close ends the work behind the requests and closes the data directory. Requests
// that are still under way fail.
func (r *Registry) Close() error {
	r.stopWork()
	r.work.Wait()
	if err := r.place.close(); err != nil {
		return fmt.Errorf("close registry: %w", err)
	}
	return nil
}
