package gate

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// What becomes of requests.
const (
	outcomePassed  = "passed"
	outcomeLate    = "late"    // answered 503 at the deadline
	outcomeCrowded = "crowded" // answered 503 because too many waited
	outcomeRefused = "refused" // answered 503 because the model cannot be had
	outcomeEnding  = "ending"  // answered 503 because the gate ends
	outcomeFailed  = "failed"  // answered 502 because the service did not answer
	outcomeGone    = "gone"    // the client did not wait
)

// metrics are what a gate counts.
type metrics struct {
	registry    *prometheus.Registry
	requests    *prometheus.CounterVec
	held        prometheus.Histogram
	activations prometheus.Counter
	activation  prometheus.Histogram
}

func newMetrics(b *barrier) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "ingot_gate_requests_total", Help: "Requests that are done, by what became of them.",
		}, []string{"outcome"}),
		held: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ingot_gate_held_seconds", Help: "How long requests were held.",
			Buckets: []float64{.001, .01, .1, 1, 5, 10, 30, 60, 120, 300},
		}),
		activations: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "ingot_gate_activations_total", Help: "How often the model was asked for.",
		}),
		activation: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "ingot_gate_activation_seconds", Help: "How long it took from then until requests passed.",
			Buckets: []float64{.01, .1, 1, 5, 10, 30, 60, 120, 300},
		}),
	}
	for _, outcome := range []string{outcomePassed, outcomeLate, outcomeCrowded, outcomeRefused, outcomeEnding, outcomeFailed, outcomeGone} {
		m.requests.WithLabelValues(outcome)
	}
	m.registry.MustRegister(m.requests, m.held, m.activations, m.activation,
		gauge("ingot_gate_waiting", "Requests that are held.", func() int { _, n, _ := b.counts(); return n }),
		gauge("ingot_gate_active", "Requests that are held or under way.", func() int { n, _, _ := b.counts(); return n }),
		gauge("ingot_gate_open", "1 while requests pass.", func() int {
			if _, _, open := b.counts(); open {
				return 1
			}
			return 0
		}))
	return m
}

func gauge(name, help string, value func() int) prometheus.Collector {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return float64(value()) })
}

func (m *metrics) handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
