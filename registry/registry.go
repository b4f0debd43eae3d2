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
	"github.com/ingot-ml/ingot/registry/internal/audit"
	"github.com/ingot-ml/ingot/registry/internal/cas"
	"github.com/ingot-ml/ingot/registry/internal/collect"
	"github.com/ingot-ml/ingot/registry/internal/commits"
	"github.com/ingot-ml/ingot/registry/internal/deltas"
	"github.com/ingot-ml/ingot/registry/internal/events"
	"github.com/ingot-ml/ingot/registry/internal/grants"
	"github.com/ingot-ml/ingot/registry/internal/httpapi"
	"github.com/ingot-ml/ingot/registry/internal/ingest"
	"github.com/ingot-ml/ingot/registry/internal/limits"
	"github.com/ingot-ml/ingot/registry/internal/metrics"
	"github.com/ingot-ml/ingot/registry/internal/nodes"
	"github.com/ingot-ml/ingot/registry/internal/quota"
	"github.com/ingot-ml/ingot/registry/internal/retention"
	"github.com/ingot-ml/ingot/registry/internal/scrub"
	"github.com/ingot-ml/ingot/registry/internal/signatures"
	"github.com/ingot-ml/ingot/registry/internal/upstream"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/internal/view"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/oci"
	"github.com/ingot-ml/ingot/registry/page"
	"github.com/ingot-ml/ingot/registry/stream"
)

// Registry is an open data directory and what answers for it. It is safe for
// concurrent use.
type Registry struct {
	config    Config
	place     *place
	control   *control
	service   *versions.Service
	collector *collect.Collector
	scrubber  *scrub.Scrubber
	retention *retention.Service
	quotas    *quota.Service
	audit     *audit.Log // nil for none
	ingest    *ingest.Store
	commits   *commits.Service
	upstream  *upstream.Source // nil where nothing is written, as the two before
	grants    *grants.Grants
	xorbs     *cas.Service // nil without Xet
	view      *view.View
	hub       *events.Hub
	api       *httpapi.API
	metrics   *metrics.Metrics
	conns     *limits.Conns
	failed    <-chan error // gets the error of registers that failed
	// adminToken was made when the registry was opened, if there was none.
	adminToken string
	stopWork   context.CancelFunc
	work       sync.WaitGroup
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
	r := &Registry{config: c, place: p, failed: p.failed, metrics: metrics.New(c.Version), conns: c.conns()}
	p.measure(r.metrics)
	err = r.openAudit()
	if err == nil {
		err = r.assemble()
	}
	if err == nil {
		err = r.firstToken(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open registry: %w", err), r.closeAudit(), p.close())
	}
	r.watch()
	r.begin(idle)
	c.Logger.Info("registry opened", "data", c.Data, "store", c.Store, "read_only", c.ReadOnly, "version", c.Version)
	return r, nil
}

// assemble puts the parts on top of each other.
func (r *Registry) assemble() error {
	var err error
	if r.control, err = newControl(r.config, r.place); err != nil {
		return err
	}
	r.grants = r.control.grants
	policy := access.ByModel(r.control.rights)
	r.hub = events.NewHub(policy)
	index := chunkIndex{r.place.index}
	r.quotas = quota.New(quota.Config{
		Registers: r.place.registers, Policy: policy, Now: time.Now, Rand: rand.Reader, Logger: r.config.Logger,
	})
	config := versions.Config{
		Quota:       r.quotas,
		Protections: r.control.protections,
		Registers:   r.place.registers,
		Blobs:       r.place.blobs,
		Index:       index,
		Policy:      policy,
		Now:         time.Now,
		Rand:        rand.Reader,
		Logger:      r.config.Logger,
		PushTTL:     r.config.PushTTL,
		TagChanged:  r.tagChanged,
		Deltas:      deltas.Cost{CPU: r.config.DeltaCPU, Bytes: r.config.DeltaBytes},
		Desks:       min(runtime.GOMAXPROCS(0), max(1, int(r.config.Memory/4/deltas.DeskMemory))),
	}
	if r.place.shared() && r.place.index != nil {
		config.Known = index
	}
	r.service = versions.New(config)
	r.quotas.Weigh(func(namespace string) quota.Weigher { return r.service.Scale(namespace) })
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
		Verified:  r.metrics.Verified,
	})
	views, err := r.views(policy)
	if err != nil {
		return err
	}
	people, err := page.New()
	if err != nil {
		return err
	}
	views = append(views, httpapi.View{Name: "page", Owns: page.Owns, OwnGrants: true, Handler: people})
	r.api = httpapi.New(httpapi.Config{
		Service:   r.native(),
		Events:    r.hub,
		Nodes:     nodes.New(policy, time.Now),
		Upstreams: upstreams(r.upstream),
		Collector: collector{r},
		Verifier:  r.scrubber,
		Retention: r.retention,
		Quotas:    r.quotas,
		Compactor: r.scrubber,
		Signatures: signatures.New(signatures.Config{
			Registers: r.place.registers, Policy: policy, Now: time.Now, Rand: rand.Reader,
		}),
		Redirect: r.place.presign(r.config.Presign),
		ReadOnly: r.config.ReadOnly,
		Policy:   policy,

		Authenticator: r.control.authenticator(),
		Tokens:        r.control.apiTokens(),
		Exchanger:     r.control.exchanger(),
		Protections:   r.control.protections,

		Memory:   r.config.Memory,
		Callers:  r.config.callers(),
		Auditor:  r.auditor(),
		Observer: r.metrics,
		Metrics:  r.metrics.Handler(),
		Page:     people,
		Views:    views,
		Logger:   r.config.Logger,
		Version:  r.config.Version,
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
	h := hub.Config{Source: source, Writer: writer, PartSize: r.config.HubPartSize, Identify: r.control.identify(), Logger: r.config.Logger}
	if xet != nil {
		h.Xet = xet
	}
	hubs := hub.New(h)
	images := oci.New(oci.Config{Source: source, Commits: r.view.Commits, Guest: r.control.guests, Logger: r.config.Logger})
	views := []httpapi.View{
		{Name: "oci", Owns: oci.Owns, Describe: describeOCI, Refuse: images.Refuse, Handler: images},
		{Name: "hub", Owns: hub.Owns, Describe: describeHub, Refuse: hubs.Refuse, Handler: hubs},
	}
	if xet != nil { // behind the hub, whose namespaces may be called as this
		views = append(views, httpapi.View{Name: "xet", Owns: cas.Owns, Describe: describeXet, OwnGrants: true, Handler: xet})
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
	return r.run(ctx, o)
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
	if err := errors.Join(r.closeAudit(), r.place.close()); err != nil {
		return fmt.Errorf("close registry: %w", err)
	}
	return nil
}
