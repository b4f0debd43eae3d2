package metrics

import (
	"net/http"
	"slices"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ingot-ml/ingot/openapi"
)

// prefix begins every name.
const prefix = "ingot_registry_"

// Metrics are what a registry counts. They are safe for concurrent use.
type Metrics struct {
	registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	received *prometheus.CounterVec
	sent     *prometheus.CounterVec
	failures *prometheus.CounterVec
	limited  *prometheus.CounterVec
	pushes   *prometheus.CounterVec
	logins   prometheus.Counter
	store    storeMetrics
	upkeep   upkeepMetrics
}

// New returns metrics of a registry of that release, of which nothing has happened yet.
func New(version string) *Metrics {
	m := &Metrics{
		registry: prometheus.NewRegistry(),
		requests: counters("requests_total", "Requests that were answered; status 0 is those that were cut off.", "route", "method", "status"),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: prefix + "request_seconds", Help: "How long requests took, from their header to the end of the answer.",
			Buckets: []float64{.001, .003, .01, .03, .1, .3, 1, 3, 10, 30, 120},
		}, []string{"route"}),
		received: counters("received_bytes_total", "Bytes of the bodies of requests, as they were announced.", "route"),
		sent:     counters("sent_bytes_total", "Bytes of the bodies of answers.", "route"),
		failures: counters("errors_total", "Failures that callers were told, by their code.", "code"),
		limited:  counters("limited_total", "Requests that were refused because their caller had too many of something.", "limit"),
		pushes:   counters("pushes_total", "Pushes that were started, and versions that were committed, by the registry's own protocol.", "step"),
		logins: prometheus.NewCounter(prometheus.CounterOpts{
			Name: prefix + "login_failures_total", Help: "Tokens and other things shown to the registry that say nothing of who shows them.",
		}),
		store:  newStoreMetrics(),
		upkeep: newUpkeepMetrics(),
	}
	for _, code := range openapi.Codes() {
		m.failures.WithLabelValues(string(code))
	}
	for _, limit := range Limits {
		m.limited.WithLabelValues(limit)
	}
	for _, step := range []string{stepStarted, stepCommitted} {
		m.pushes.WithLabelValues(step)
	}
	info := prometheus.NewGaugeVec(prometheus.GaugeOpts{
		Name: prefix + "info", Help: "The release of ingot, as a label; the value is 1.",
	}, []string{"version"})
	info.WithLabelValues(version).Set(1)
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		info, m.requests, m.seconds, m.received, m.sent, m.failures, m.limited, m.pushes, m.logins,
	)
	m.registry.MustRegister(m.store.all()...)
	m.registry.MustRegister(m.upkeep.all()...)
	return m
}

func counters(name, help string, labels ...string) *prometheus.CounterVec {
	return prometheus.NewCounterVec(prometheus.CounterOpts{Name: prefix + name, Help: help}, labels)
}

// mostScrapes is how many are answered at a time.
const mostScrapes = 8

// Handler answers whoever scrapes.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{MaxRequestsInFlight: mostScrapes})
}

// The steps of a push.
const (
	stepStarted   = "started"
	stepCommitted = "committed"
)

// The limits that a caller can meet.
const (
	LimitAddress = "address" // requests a second
	LimitSubject = "subject" // requests a second
	LimitLogin   = "login"   // failures a minute
	LimitMemory  = "memory"  // for bodies
)

// Limits are all of them.
var Limits = []string{LimitAddress, LimitSubject, LimitLogin, LimitMemory}

// methods are those that a label has; others are "other".
var methods = []string{
	http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, http.MethodPatch, http.MethodOptions,
}

// Answered notes a request that is done. The route is one of the program's own.
func (m *Metrics) Answered(route, method string, status int, received, sent int64, took time.Duration) {
	if !slices.Contains(methods, method) {
		method = "other"
	}
	m.requests.WithLabelValues(route, method, strconv.Itoa(status)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
	m.received.WithLabelValues(route).Add(float64(max(0, received)))
	m.sent.WithLabelValues(route).Add(float64(max(0, sent)))
}

// Failed notes what a caller was told.
func (m *Metrics) Failed(code openapi.Code) { m.failures.WithLabelValues(string(code)).Inc() }

// Limited notes a request that met a limit.
func (m *Metrics) Limited(limit string) { m.limited.WithLabelValues(limit).Inc() }

// Pushed notes a step of a push.
func (m *Metrics) Pushed(step string) { m.pushes.WithLabelValues(step).Inc() }

// Mistaken notes a login that failed.
func (m *Metrics) Mistaken() { m.logins.Inc() }

// Value is something that is counted elsewhere.
type Value struct {
	Name, Help string
	Labels     prometheus.Labels // the same names for every value of a name
	Counts     bool              // it never becomes less
	Now        func() float64
}

// Watch has values asked for whenever somebody scrapes.
func (m *Metrics) Watch(values ...Value) {
	for _, v := range values {
		if v.Counts {
			m.registry.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Name: prefix + v.Name, Help: v.Help, ConstLabels: v.Labels}, v.Now))
			continue
		}
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: prefix + v.Name, Help: v.Help, ConstLabels: v.Labels}, v.Now))
	}
}
