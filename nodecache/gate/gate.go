package gate

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/http"
	"net/http/httputil"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/openapi/guard"
)

// The paths that the gate answers itself.
const (
	PathMetrics = "/-/gate/metrics" // Prometheus
	PathHealth  = "/-/gate/healthz" // the gate lives; the service may not
)

const (
	// headerTime bounds how long a client takes to say what it wants.
	headerTime = 30 * time.Second
	// drainTime bounds how long requests under way may take after the gate is told to
	// end.
	drainTime = 30 * time.Second
)

// Gate holds requests. It implements http.Handler for as long as Serve runs.
type Gate struct {
	c       Config
	barrier *barrier
	proxy   *httputil.ReverseProxy
	metrics *metrics
	scrape  http.Handler
	apart   bool // metrics have an address of their own
	guard   *guard.Guard
}

// New returns a gate that does nothing yet.
func New(c Config) (*Gate, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	g := &Gate{c: c, barrier: newBarrier(c.Idle, c.Waiting)}
	g.metrics = newMetrics(g.barrier)
	g.scrape = g.metrics.handler()
	g.proxy = g.newProxy()
	if c.Local {
		g.guard = guard.New(guard.Config{Hosts: c.Hosts, Origins: c.Origins, OwnPages: true})
	}
	return g, nil
}

// ServeHTTP implements http.Handler.
func (g *Gate) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if !g.lets(w, q) {
		return
	}
	switch q.URL.Path {
	case PathMetrics:
		if g.apart {
			http.NotFound(w, q)
			return
		}
		g.scrape.ServeHTTP(w, q)
		return
	case PathHealth:
		w.WriteHeader(http.StatusNoContent)
		return
	}
	g.barrier.enter()
	defer g.barrier.leave()
	g.proxy.ServeHTTP(w, q)
}

// lets tells whether a request is to be answered, and if not says so.
func (g *Gate) lets(w http.ResponseWriter, q *http.Request) bool {
	if g.guard == nil {
		return true
	}
	e := g.guard.Check(q)
	if e == nil {
		return true
	}
	g.c.Logger.Debug("request refused", "host", q.Host, "from", q.RemoteAddr, "err", e)
	guard.Explain(w.Header(), e)
	refuse(w, e.Code.Status(), e)
	return false
}

// Serve holds the requests of l until ctx ends: then those that wait are sent away
// and those under way get some time to end. Metrics are served on the listener of
// that name, and at PathMetrics of l if that is nil. Serve closes both, and returns
// nil when it stopped because of ctx. It is called once.
func (g *Gate) Serve(ctx context.Context, l, metrics net.Listener) error {
	requests, cut := context.WithCancel(context.WithoutCancel(ctx))
	defer cut()
	keeping, enough := context.WithCancel(context.WithoutCancel(ctx))
	defer enough()
	g.apart = metrics != nil
	var running sync.WaitGroup
	running.Go(func() { g.keep(keeping) })
	main, failed := g.server(requests, g), make(chan error, 2)
	running.Go(func() { failed <- main.Serve(l) })
	beside := g.server(requests, http.HandlerFunc(g.serveMetrics))
	if metrics != nil {
		running.Go(func() { failed <- beside.Serve(metrics) })
	}
	var err error
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	close(g.barrier.ending)
	err = errors.Join(err, g.stop(requests, main, cut), beside.Close())
	enough()
	running.Wait()
	return err
}

// serveMetrics answers at the address of the metrics.
func (g *Gate) serveMetrics(w http.ResponseWriter, q *http.Request) {
	if g.lets(w, q) {
		g.scrape.ServeHTTP(w, q)
	}
}

// server returns a server whose requests end with ctx.
func (g *Gate) server(ctx context.Context, h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headerTime, IdleTimeout: 2 * time.Minute,
		BaseContext: func(net.Listener) context.Context { return ctx },
		ErrorLog:    slog.NewLogLogger(g.c.Logger.Handler(), slog.LevelDebug),
	}
}

// stop ends a server: in good order if that is soon done, and else by cut, which
// ends ctx.
func (g *Gate) stop(ctx context.Context, s *http.Server, cut func()) error {
	soon, cancel := context.WithTimeout(ctx, drainTime)
	defer cancel()
	err := s.Shutdown(soon)
	if errors.Is(err, context.DeadlineExceeded) {
		g.c.Logger.Warn("requests are cut off")
		err = nil
	}
	cut()
	err = errors.Join(err, s.Close())
	g.barrier.drain()
	return err
}
