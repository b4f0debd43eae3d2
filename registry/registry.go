package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/hub"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/cas"
	"github.com/ingot-ml/ingot/registry/internal/collect"
	"github.com/ingot-ml/ingot/registry/internal/commits"
	"github.com/ingot-ml/ingot/registry/internal/deltas"
	"github.com/ingot-ml/ingot/registry/internal/events"
	"github.com/ingot-ml/ingot/registry/internal/grants"
	"github.com/ingot-ml/ingot/registry/internal/httpapi"
	"github.com/ingot-ml/ingot/registry/internal/ingest"
	"github.com/ingot-ml/ingot/registry/internal/nodes"
	"github.com/ingot-ml/ingot/registry/internal/retention"
	"github.com/ingot-ml/ingot/registry/internal/scrub"
	"github.com/ingot-ml/ingot/registry/internal/upstream"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/internal/view"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/oci"
	"github.com/ingot-ml/ingot/registry/stream"
)

// Registry is an open data directory and what answers for it. It is safe for
// concurrent use.
type Registry struct {
	config    Config
	place     *place
	service   *versions.Service
	collector *collect.Collector
	scrubber  *scrub.Scrubber
	retention *retention.Service
	ingest    *ingest.Store
	commits   *commits.Service
	upstream  *upstream.Source
	grants    *grants.Grants // nil where nothing is written, as the three before
	xorbs     *cas.Service   // nil without Xet
	view      *view.View
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
	if err := r.assemble(); err != nil {
		return nil, errors.Join(fmt.Errorf("open registry: %w", err), p.close())
	}
	r.begin(idle)
	c.Logger.Info("registry opened", "data", c.Data, "store", c.Store, "read_only", c.ReadOnly, "version", c.Version)
	return r, nil
}

// assemble puts the parts on top of each other.
func (r *Registry) assemble() error {
	policy := access.ByModel(access.Open{})
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
		TagChanged: r.tagChanged,
		Deltas:     deltas.Cost{CPU: r.config.DeltaCPU, Bytes: r.config.DeltaBytes},
		Desks:      min(runtime.GOMAXPROCS(0), max(1, int(r.config.Memory/4/deltas.DeskMemory))),
	}
	if r.place.shared() && r.place.index != nil {
		config.Known = index
	}
	r.service = versions.New(config)
	r.retention = retention.New(retention.Config{
		Versions: r.service, Registers: r.place.registers, Policy: policy, Now: time.Now, Rand: rand.Reader, Logger: r.config.Logger,
	})
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
	views, err := r.views(policy)
	if err != nil {
		return err
	}
	r.api = httpapi.New(httpapi.Config{
		Service:   r.native(),
		Events:    r.hub,
		Nodes:     nodes.New(policy, time.Now),
		Upstreams: upstreams(r.upstream),
		Collector: collector{r},
		Verifier:  r.scrubber,
		Retention: r.retention,
		Compactor: r.scrubber,
		Redirect:  r.place.presign(r.config.Presign),
		ReadOnly:  r.config.ReadOnly,
		Policy:    policy,
		Principal: func(*http.Request) access.Principal { return access.Anonymous },
		Memory:    r.config.Memory,
		Views:     views,
		Logger:    r.config.Logger,
		Version:   r.config.Version,
	})
	return nil
}

// tagChanged tells who listens, and has the rule of the repository applied.
func (r *Registry) tagChanged(repo name.Repo, e openapi.TagEvent) {
	r.hub.Tell(repo, e)
	r.retention.Moved(repo)
}

// views are the interfaces that others have defined.
func (r *Registry) views(policy access.Policy) ([]httpapi.View, error) {
	writer, err := r.writer(policy)
	if err != nil {
		return nil, err
	}
	r.view = view.New(r.service, stream.NewAhead(r.config.Memory, 0))
	source, err := r.pullThrough(policy, r.view)
	if err != nil {
		return nil, err
	}
	xet, err := r.xet(policy, source)
	if err != nil {
		return nil, err
	}
	h := hub.Config{Source: source, Writer: writer, PartSize: r.config.HubPartSize, Logger: r.config.Logger}
	if xet != nil {
		h.Xet = xet
	}
	views := []httpapi.View{
		{Owns: oci.Owns, Handler: oci.New(oci.Config{Source: source, Commits: r.view.Commits, Logger: r.config.Logger})},
		{Owns: hub.Owns, Handler: hub.New(h)},
	}
	if xet != nil { // behind the hub, whose namespaces may be called as this
		views = append(views, httpapi.View{Owns: cas.Owns, Handler: xet})
	}
	if r.upstream != nil {
		for i := range views {
			views[i].Handler = r.upstream.Handler(views[i].Handler)
		}
	}
	return views, nil
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
	r.view.Close()
	if r.upstream != nil {
		r.upstream.Close()
	}
	r.work.Wait()
	if err := r.place.close(); err != nil {
		return fmt.Errorf("close registry: %w", err)
	}
	return nil
}
