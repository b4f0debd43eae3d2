package httpapi

import (
	"cmp"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstack/echo/v4"
	"golang.org/x/sync/semaphore"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/limits"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// Config is what an API works with.
type Config struct {
	Service Service
	Events  Events
	Nodes   Nodes
	// Upstreams are other hubs; nil where nothing is taken from any.
	Upstreams Upstreams
	Collector Collector
	Verifier  Verifier
	Retention Retention
	Compactor Compactor
	// Signatures are what is kept beside versions.
	Signatures Signatures
	// Quotas are how much namespaces may hold.
	Quotas Quotas
	// Redirect sends callers who allow it to the store for chunks; nil sends nobody.
	Redirect Redirect
	// ReadOnly refuses whatever would change something that is stored.
	ReadOnly bool
	// Policy says who may do what to the registry as a whole; nil is access.Open.
	Policy access.Policy
	// Authenticator tells who asks; nil means that everybody is access.Anonymous, and
	// that nobody is asked to say who they are.
	Authenticator Authenticator
	// Tokens are what people say by who they are; nil where nobody is asked.
	Tokens Tokens
	// Exchanger gives tokens for those of others; nil takes none.
	Exchanger Exchanger
	// Protections are tags that only admins move; nil has none.
	Protections Protections
	// Memory is how many bytes request bodies and the work on them may take
	// together. A body that needs more than all of it waits until it is alone.
	Memory int64
	// Callers is how much each caller may ask for.
	Callers Callers
	// Auditor keeps the record of who did what; nil keeps none.
	Auditor Auditor
	// Observer is told what becomes of requests; nil is nobody.
	Observer Observer
	// Metrics answers /metrics for who runs the registry; nil has none.
	Metrics http.Handler
	// Page is what browsers are shown at the root; nil has none.
	Page http.Handler
	// Views answer paths that are not of registry.yaml.
	Views []View
	// Logger gets a line for every request, and every fault. Nil is silence.
	Logger *slog.Logger
	// Version is the program's, for /healthz.
	Version string
}

// Authenticator tells who sent a request. Credentials that are wrong are *openapi.Error
// with CodeUnauthorized. It is safe for concurrent use.
type Authenticator interface {
	Authenticate(r *http.Request) (access.Principal, error)
}

// View is an interface that somebody else has defined. Who asks is in the context of
// its requests, see package access.
type View struct {
	// Name is what the view is called in metrics and traces.
	Name string
	// Owns tells the paths, as they are escaped in the request, that the view answers.
	Owns func(path string) bool
	// Refuse answers a request whose credentials are wrong; nil answers as the API does.
	Refuse func(http.ResponseWriter, *http.Request, *openapi.Error)
	// OwnGrants is set for a view that gives out credentials of its own. It finds out
	// who asks by itself.
	OwnGrants bool
	// Describe tells what a request is about; nil knows only the method.
	Describe func(*http.Request) Deed
	http.Handler
}

// API answers the requests of registry.yaml. It is safe for concurrent use.
type API struct {
	service    Service
	events     Events
	nodes      Nodes
	upstreams  Upstreams
	collector  Collector
	verifier   Verifier
	retention  Retention
	compactor  Compactor
	signatures Signatures
	quotas     Quotas
	redirect   Redirect
	readOnly   bool
	policy     access.Policy
	page       http.Handler
	views      []View
	logger     *slog.Logger
	version    string
	router     *echo.Echo
	memory     int64
	budget     *semaphore.Weighted // of memory bytes
	wait       time.Duration       // for the budget
	stall      time.Duration       // of a body that comes in
	buffers    sync.Pool           // of *[]byte that hold any encoded chunk
	rooms      sync.Pool           // of versions.Room
	draining   atomic.Bool
	drained    chan struct{} // closed when draining begins
	load       load
	callers    Callers
	shares     *limits.Shares // of memory
	auditor    Auditor
	observer   Observer
	metrics    http.Handler
	usage      usage

	collecting, verifying, compacting atomic.Bool

	authenticator Authenticator
	tokens        Tokens
	exchanger     Exchanger
	protections   Protections
}

// New returns an API of the service.
func New(c Config) *API {
	a := &API{
		service:    c.Service,
		events:     c.Events,
		nodes:      c.Nodes,
		upstreams:  c.Upstreams,
		collector:  c.Collector,
		verifier:   c.Verifier,
		retention:  c.Retention,
		compactor:  c.Compactor,
		signatures: c.Signatures,
		quotas:     c.Quotas,
		redirect:   c.Redirect,
		readOnly:   c.ReadOnly,
		policy:     c.Policy,
		page:       c.Page,
		views:      c.Views,
		logger:     c.Logger,
		version:    c.Version,
		callers:    c.Callers,
		shares:     limits.NewShares(c.Callers.Share),
		auditor:    c.Auditor,
		observer:   c.Observer,
		metrics:    c.Metrics,
		router:     echo.New(),
		memory:     c.Memory,
		budget:     semaphore.NewWeighted(c.Memory),
		wait:       maxWait,
		stall:      maxStall,
		drained:    make(chan struct{}),
		load:       load{last: time.Now()},

		authenticator: c.Authenticator,
		tokens:        c.Tokens,
		exchanger:     c.Exchanger,
		protections:   c.Protections,
	}
	if a.policy == nil {
		a.policy = access.Open{}
	}
	if a.observer == nil {
		a.observer = nobody{}
	}
	a.callers.BodyRate = cmp.Or(max(0, a.callers.BodyRate), DefaultBodyRate)
	if a.logger == nil {
		a.logger = slog.New(slog.DiscardHandler)
	}
	a.buffers.New = func() any {
		b := make([]byte, maxEncoded)
		return &b
	}
	a.rooms.New = func() any { return versions.NewRoom() }
	a.router.Logger.SetOutput(io.Discard)
	a.router.HTTPErrorHandler = func(err error, c echo.Context) { a.fail(c, err) }
	a.router.Use(a.around)
	a.routes()
	return a
}

// maxEncoded is the length in bytes of the longest encoded chunk.
var maxEncoded = codec.MaxEncoded(chunker.MaxSize)

// ServeHTTP implements http.Handler.
func (a *API) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if isWork(r.URL.Path) {
		a.load.enter()
		defer a.load.leave()
	}
	a.router.ServeHTTP(w, r)
}

// isWork tells requests that keep the registry from being quiet. A load balancer
// asks for health every few seconds and a node reports as often, and who listens to
// events does so for ever.
func isWork(path string) bool {
	return path != healthPath && path != metricsPath && path != eventsPath && !strings.HasPrefix(path, nodesPath) && !strings.HasPrefix(path, upstreamsPath)
}

// Drain makes every later request fail with unavailable and close its connection.
// Those under way go on, except that streams of events end.
func (a *API) Drain() {
	if a.draining.CompareAndSwap(false, true) {
		close(a.drained)
	}
}

const (
	healthPath  = "/healthz"
	metricsPath = "/metrics"
	eventsPath  = "/v1/events"
	nodesPath   = "/v1/nodes"
	nodePath    = nodesPath + "/:node"

	upstreamsPath = "/v1/upstreams"
	upstreamPath  = upstreamsPath + "/:namespace"

	repoPath    = "/v1/repos/:namespace/:model"
	versionPath = repoPath + "/versions/:digest"
	pushPath    = "/v1/pushes/:push"

	retentionPath = repoPath + "/retention"

	signaturesPath = versionPath + "/signatures"
	signaturePath  = signaturesPath + "/:signature"
)

func (a *API) routes() {
	a.get("/", a.getRoot)
	a.get(docsPath, a.getDocs)
	a.get(healthPath, a.getHealth)
	a.get(metricsPath, a.getMetrics)
	a.get("/openapi.yaml", a.getSpec)
	a.get("/v1/stats", a.getStats)
	a.get("/v1/repos", a.listRepos)
	a.get("/v1/diff", a.getDiff)
	a.router.POST("/v1/gc", a.collectGarbage)
	a.router.POST("/v1/verify", a.verifyStore)
	a.router.POST("/v1/compact", a.compactStore)

	a.accessRoutes()
	a.sessionRoutes()
	a.summaryRoutes()

	a.get(eventsPath, a.listen)
	a.get(nodesPath, a.listNodes)
	a.router.PUT(nodePath, a.reportNode)
	a.router.DELETE(nodePath, a.forgetNode)

	a.get(upstreamsPath, a.listUpstreams)
	a.router.PUT(upstreamPath, a.writes(a.registerUpstream))
	a.router.DELETE(upstreamPath, a.writes(a.forgetUpstream))

	a.get(repoPath+"/versions", a.listVersions)
	a.get(versionPath, a.getVersion)
	a.router.DELETE(versionPath, a.writes(a.deleteVersion))
	a.get(versionPath+"/sha256", a.getFileHashes)
	a.get(versionPath+"/encodings", a.getEncodings)
	a.get(signaturesPath, a.listSignatures)
	a.get(signaturePath, a.getSignature)
	a.router.PUT(signaturePath, a.writes(a.putSignature))
	a.router.DELETE(signaturePath, a.writes(a.deleteSignature))
	a.get(versionPath+"/chunks", a.getChunks)
	a.get(versionPath+"/chunks/:index", a.getChunk)

	a.quotaRoutes()

	a.get(repoPath+"/log", a.getLog)
	a.get(retentionPath, a.getRetention)
	a.router.PUT(retentionPath, a.writes(a.setRetention))
	a.router.DELETE(retentionPath, a.writes(a.clearRetention))
	a.router.POST(retentionPath+"/apply", a.applyRetention)

	a.get(repoPath+"/tags", a.listTags)
	a.get(repoPath+"/tags/:tag", a.getTag)
	a.router.PUT(repoPath+"/tags/:tag", a.writes(a.setTag))
	a.router.DELETE(repoPath+"/tags/:tag", a.writes(a.deleteTag))

	a.router.POST(repoPath+"/pushes", a.writes(a.startPush))
	a.get(pushPath, a.getPush)
	a.router.POST(pushPath+"/missing", a.writes(a.findMissing))
	a.router.PUT(pushPath+"/chunks/:digest", a.writes(a.putChunk))
	a.router.POST(pushPath+"/chunks", a.writes(a.putChunks))
	a.router.POST(pushPath+"/commit", a.writes(a.commitPush))
}

// view hands a request that none of the routes takes to the view whose path it has. Of
// a registry that only reads it is the store that refuses writes.
func (a *API) view(c echo.Context) error {
	r := c.Request()
	path := r.URL.EscapedPath()
	for i := range a.views {
		if a.views[i].Owns(path) {
			a.views[i].ServeHTTP(c.Response(), r)
			return nil
		}
	}
	return echo.ErrNotFound
}

// writes is a handler of what changes something that is stored.
func (a *API) writes(h echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if a.readOnly {
			return refuseWrite()
		}
		return h(c)
	}
}

func refuseWrite() error {
	return openapi.Errorf(openapi.CodeReadOnly, "this registry is read-only: write to another one of its replicas")
}

// get serves GET and HEAD; net/http sends no body for the latter.
func (a *API) get(path string, h echo.HandlerFunc) {
	a.router.GET(path, h)
	a.router.HEAD(path, h)
}
