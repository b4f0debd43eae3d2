package metrics

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/ingot-ml/ingot/openapi"
)

// upkeepMetrics are of what is done behind the requests.
type upkeepMetrics struct {
	collections                          *prometheus.CounterVec
	freed, freedBytes, freeing           prometheus.Counter
	verified, verifiedBytes, bad, healed prometheus.Counter
	collectedAt, verifiedAt              prometheus.Gauge
}

func newUpkeepMetrics() upkeepMetrics {
	counter := func(name, help string) prometheus.Counter {
		return prometheus.NewCounter(prometheus.CounterOpts{Name: prefix + name, Help: help})
	}
	u := upkeepMetrics{
		collections: counters("collections_total", "Collections of garbage, by how they ended.", "result"),
		freed:       counter("collected_objects_total", "Objects of the store that were freed."),
		freedBytes:  counter("collected_bytes_total", "Bytes of the store that were freed."),
		freeing:     counter("collection_seconds_total", "How long collections took together."),
		collectedAt: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "collected_timestamp_seconds", Help: "When a collection last ended well, since 1970; 0 is not in this process.",
		}),
		verified:      counter("verified_objects_total", "Objects of the store that were compared with what they are named for."),
		verifiedBytes: counter("verified_bytes_total", "Bytes of those."),
		bad:           counter("bad_objects_total", "Objects that were found bad or missing."),
		healed:        counter("healed_objects_total", "Of those, the ones that another copy could take the place of."),
		verifiedAt: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: prefix + "verified_timestamp_seconds", Help: "When a verification last ended, since 1970; 0 is not in this process.",
		}),
	}
	for _, result := range []string{resultDone, resultFailed} {
		u.collections.WithLabelValues(result)
	}
	return u
}

func (u upkeepMetrics) all() []prometheus.Collector {
	return []prometheus.Collector{
		u.collections, u.freed, u.freedBytes, u.freeing, u.collectedAt, u.verified, u.verifiedBytes, u.bad, u.healed, u.verifiedAt,
	}
}

// Collected notes a collection that freed something, or would have.
func (m *Metrics) Collected(r openapi.GCReport, took time.Duration, err error) {
	u := m.upkeep
	u.freeing.Add(took.Seconds())
	if !r.DryRun {
		u.freed.Add(float64(r.Freed.Objects))
		u.freedBytes.Add(float64(r.Freed.Bytes))
	}
	if err != nil {
		u.collections.WithLabelValues(resultFailed).Inc()
		return
	}
	u.collections.WithLabelValues(resultDone).Inc()
	u.collectedAt.SetToCurrentTime()
}

// Verified notes a verification of what is stored.
func (m *Metrics) Verified(r openapi.VerifyReport) {
	u := m.upkeep
	u.verified.Add(float64(r.Objects))
	u.verifiedBytes.Add(float64(r.Bytes))
	u.bad.Add(float64(len(r.Bad) + len(r.Missing)))
	u.healed.Add(float64(r.Healed))
	u.verifiedAt.SetToCurrentTime()
}
