package nodeapi

import (
	"cmp"
	"context"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"github.com/ingot-ml/ingot/openapi/guard"
	"github.com/ingot-ml/ingot/openapi/leaseconn"
)

// Config is what an API works with.
type Config struct {
	Node Node
	// Guard says which requests are answered at all; nil is all.
	Guard *guard.Guard
	// Views answer paths that are not of node.yaml.
	Views []View
	// Logger gets a line for every request that changes something, and every fault.
	// Nil is silence.
	Logger *slog.Logger
	// Version is the program's.
	Version string
	// Leases is the most connections of leases at a time; 0 is DefaultLeases.
	Leases int
	// Stall is how long a client may not read before it is cut off; 0 is
	// leaseconn.Patience.
	Stall time.Duration
}

// View is an interface that somebody else has defined.
type View struct {
	// Owns tells the paths, as they are escaped in the request, that the view answers.
	Owns func(path string) bool
	http.Handler
}

// Limits of what clients keep open.
const (
	DefaultLeases = 16 << 10
	maxStreams    = 256 // of events
)

// API answers the requests of node.yaml. It is safe for concurrent use.
type API struct {
	config  Config
	node    Node
	logger  *slog.Logger
	routes  map[string]route // by path
	metrics http.Handler
	leases  *semaphore.Weighted
	streams *semaphore.Weighted

	ctx   context.Context // until Drain
	drain context.CancelFunc

	mu      sync.Mutex     // protects the addition to open against Wait
	open    sync.WaitGroup // connections of leases
	stopped bool
}

// route is what a path answers to.
type route struct {
	method  string // GET is also HEAD
	handle  func(http.ResponseWriter, *http.Request) error
	changes bool // something, so that it is worth a line in the log
}

// New returns an API of a node.
func New(c Config) *API {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Leases = cmp.Or(c.Leases, DefaultLeases)
	c.Stall = cmp.Or(c.Stall, leaseconn.Patience)
	a := &API{
		config: c, node: c.Node, logger: c.Logger,
		metrics: newMetrics(c.Node, c.Version),
		leases:  semaphore.NewWeighted(int64(c.Leases)),
		streams: semaphore.NewWeighted(maxStreams),
	}
	a.ctx, a.drain = context.WithCancel(context.Background())
	a.routes = map[string]route{
		"/healthz":      {method: http.MethodGet, handle: a.getHealth},
		"/readyz":       {method: http.MethodGet, handle: a.getReady},
		"/metrics":      {method: http.MethodGet, handle: a.getMetrics},
		"/openapi.yaml": {method: http.MethodGet, handle: a.getSpec},
		"/v1/status":    {method: http.MethodGet, handle: a.getStatus},
		"/v1/events":    {method: http.MethodGet, handle: a.getEvents},
		"/v1/load":      {method: http.MethodPost, handle: a.load, changes: true},
		"/v1/swap":      {method: http.MethodPost, handle: a.swap, changes: true},
		"/v1/unload":    {method: http.MethodPost, handle: a.unload, changes: true},
		"/v1/pin":       {method: http.MethodPost, handle: a.pin, changes: true},

		"/v1/materialize": {method: http.MethodPost, handle: a.materialize, changes: true},
		"/v1/lease":       {method: http.MethodPost, handle: a.lease},
	}
	return a
}

// Metrics answers what the node counts, in the form of Prometheus.
func (a *API) Metrics() http.Handler { return a.metrics }

// Drain ends leases and streams of events, and makes every later request fail
// with unavailable. Other requests under way go on.
func (a *API) Drain() { a.drain() }

// Wait drains the API and returns when no lease is open any more.
func (a *API) Wait() {
	a.Drain()
	a.mu.Lock()
	a.stopped = true
	a.mu.Unlock()
	a.open.Wait()
}

// enter reports whether another connection of leases may be opened, which leave
// ends.
func (a *API) enter() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.stopped || !a.leases.TryAcquire(1) {
		return false
	}
	a.open.Add(1)
	return true
}

func (a *API) leave() {
	a.leases.Release(1)
	a.open.Done()
}
