package registry

import (
	"context"
	"net/http"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/collect"
	"github.com/ingot-ml/ingot/registry/internal/metrics"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// Metrics answers what the registry counts, in the form of Prometheus. Whoever serves
// it decides who can reach it.
func (r *Registry) Metrics() http.Handler { return r.metrics.Handler() }

// measure has everything counted that is asked of the place.
func (p *place) measure(m *metrics.Metrics) {
	p.registers, p.blobs, p.sweeper = m.Registers(p.registers), m.Blobs(p.blobs), m.Sweeper(p.sweeper)
}

// watch has the metrics ask for what is counted elsewhere.
func (r *Registry) watch() {
	gauge := func(name, help string, now func() int64) metrics.Value {
		return metrics.Value{Name: name, Help: help, Now: func() float64 { return float64(now()) }}
	}
	used := func() int64 { _, n := r.api.Usage(); return n }
	r.metrics.Watch(
		gauge("requests", "Requests that are under way.", func() int64 { n, _ := r.api.Usage(); return n }),
		gauge("memory_used_bytes", "Bytes of the memory for bodies that are taken.", used),
		gauge("memory_budget_bytes", "Bytes of the memory for bodies.", func() int64 { return r.config.Memory }),
		gauge("connections", "Connections that are open.", func() int64 { n, _, _ := r.conns.Counts(); return int64(n) }),
		gauge("connections_waiting", "Connections without a request; part of those that are open.",
			func() int64 { _, n, _ := r.conns.Counts(); return int64(n) }),
	)
	r.watchCounts()
}

// watchCounts is watch for what only grows.
func (r *Registry) watchCounts() {
	chunks := func(name, help, form string, of func(versions.Counters) int64) metrics.Value {
		return metrics.Value{
			Name: name, Help: help, Labels: map[string]string{"form": form}, Counts: true,
			Now: func() float64 { return float64(of(r.service.Counters())) },
		}
	}
	const sent, came = "Chunks that were sent, by how: as they are stored, whole or as deltas, as fresh deltas of what a caller had, or encoded anew.",
		"Chunks that came in, by how."
	r.metrics.Watch(
		chunks("chunks_sent_total", sent, "whole", func(c versions.Counters) int64 { return c.SentWhole }),
		chunks("chunks_sent_total", sent, "stored", func(c versions.Counters) int64 { return c.SentStored }),
		chunks("chunks_sent_total", sent, "fresh", func(c versions.Counters) int64 { return c.SentFresh }),
		chunks("chunks_sent_total", sent, "anew", func(c versions.Counters) int64 { return c.SentAnew }),
		chunks("chunks_received_total", came, "whole", func(c versions.Counters) int64 { return c.ReceivedWhole }),
		chunks("chunks_received_total", came, "delta", func(c versions.Counters) int64 { return c.ReceivedDelta }),
		metrics.Value{
			Name: "delta_budget_spent_total", Help: "Chunks that went whole, or had to, because their caller had spent its budget of work on deltas.",
			Counts: true, Now: func() float64 { return float64(r.service.Counters().Unaffordable) },
		},
		metrics.Value{
			Name: "connections_closed_total", Help: "Connections that were closed to make room for others.",
			Counts: true, Now: func() float64 { _, _, n := r.conns.Counts(); return float64(n) },
		},
	)
}

// run collects, and counts.
func (r *Registry) run(ctx context.Context, o collect.Options) (openapi.GCReport, error) {
	began := time.Now()
	report, err := r.collector.Run(ctx, o)
	r.metrics.Collected(report, time.Since(began), err)
	return report, err
}
