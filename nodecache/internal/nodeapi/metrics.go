package nodeapi

import (
	"net/http"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/ingot-ml/ingot/openapi"
)

// newMetrics answers GET /metrics: what the node counts, and what the Go runtime
// and the kernel say of the process. No label has more values than there are
// tiers and sources, however many models a node has.
func newMetrics(n Node, version string) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&collector{node: n, version: version},
	)
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{MaxRequestsInFlight: 8})
}

// collector asks the node when it is asked itself.
type collector struct {
	node    Node
	version string
}

// metric is one name of a metric; its values are taken elsewhere.
func metric(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc("ingot_node_"+name, help, labels, nil)
}

var (
	descInfo      = metric("info", "The release of ingot, as a label; the value is 1.", "version")
	descReady     = metric("ready", "1 when the node takes work.")
	descHits      = metric("hits_total", "Leases by the fastest tier that held the whole version when it was asked for.", "tier")
	descBytes     = metric("load_bytes_total", "Plain bytes that loads brought, by where they came from.", "source")
	descReceived  = metric("received_bytes_total", "Encoded bytes that came over the network, those fetched again included.")
	descLoads     = metric("loads_total", "Loads that have ended, by how.", "result")
	descEvicted   = metric("evicted_total", "Versions that left a tier for want of room.", "tier")
	descIdle      = metric("idle_total", "Versions that left a tier because nobody used them.", "tier")
	descDemoted   = metric("demoted_chunks_total", "Chunks written to the disk when their version left the RAM.")
	descDamaged   = metric("damaged_chunks_total", "Chunks of the disk that were found damaged, and dropped.")
	descRefused   = metric("refused_chunks_total", "Chunks of a registry that were not what they are named for.")
	descSwitches  = metric("switches_total", "Times that a reference moved to another version.")
	descUsed      = metric("tier_used_bytes", "Bytes that a tier holds.", "tier")
	descBudget    = metric("tier_budget_bytes", "Bytes that a tier may hold.", "tier")
	descOrphaned  = metric("tier_orphaned_bytes", "Bytes of a tier that clients have of a former agent; part of those it holds.", "tier")
	descVersions  = metric("tier_models", "Versions that a tier holds.", "tier")
	descModels    = metric("models", "References that the node knows, by state.", "state")
	descLeases    = metric("leases", "Leases of versions.")
	descWaiting   = metric("waiting", "Loads and leases that wait for room.")
	descReachable = metric("registry_reachable", "1 when the registry answers.")
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descInfo, descReady, descHits, descBytes, descReceived, descLoads, descEvicted, descIdle, descDemoted, descDamaged,
		descRefused, descSwitches, descUsed, descBudget, descOrphaned, descVersions, descModels, descLeases, descWaiting,
		descReachable,
	} {
		to <- d
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(to chan<- prometheus.Metric) {
	c.counters(to)
	c.gauges(to)
}

func (c *collector) counters(to chan<- prometheus.Metric) {
	put := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, v, labels...)
	}
	n := c.node.Counters()
	put(descHits, float64(n.Hits.GPU), "gpu")
	put(descHits, float64(n.Hits.RAM), "ram")
	put(descHits, float64(n.Hits.Disk), "disk")
	put(descHits, float64(n.Hits.None), "none")
	put(descBytes, float64(n.Bytes.Disk), "disk")
	put(descBytes, float64(n.Bytes.RAM), "ram")
	put(descBytes, float64(n.Bytes.Peer), "peer")
	put(descBytes, float64(n.Bytes.Delta), "delta")
	put(descBytes, float64(n.Bytes.Registry), "registry")
	put(descReceived, float64(n.Received))
	put(descLoads, float64(n.Loads), "ok")
	put(descLoads, float64(n.Failed), "failed")
	put(descEvicted, float64(n.Evicted.Disk), "disk")
	put(descEvicted, float64(n.Evicted.RAM), "ram")
	put(descIdle, float64(n.Idle.Disk), "disk")
	put(descIdle, float64(n.Idle.RAM), "ram")
	put(descDemoted, float64(n.Demoted))
	put(descDamaged, float64(n.Damaged))
	put(descRefused, float64(n.Refused))
	put(descSwitches, float64(n.Switches))
}

func (c *collector) gauges(to chan<- prometheus.Metric) {
	put := func(d *prometheus.Desc, v float64, labels ...string) {
		to <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, v, labels...)
	}
	s := c.node.Status()
	put(descInfo, 1, c.version)
	put(descReady, one(c.node.Ready() == nil))
	for _, t := range []struct {
		name string
		openapi.TierUsage
	}{{"disk", s.Tiers.Disk}, {"ram", s.Tiers.RAM}, {"gpu", s.Tiers.GPU}} {
		put(descUsed, float64(t.Used), t.name)
		put(descBudget, float64(t.Budget), t.name)
		put(descOrphaned, float64(t.Orphaned), t.name)
		put(descVersions, float64(t.Models), t.name)
	}
	states, leases := countModels(s.Models)
	for _, state := range []string{
		openapi.ModelAbsent, openapi.ModelWaiting, openapi.ModelLoading, openapi.ModelReady, openapi.ModelFailed,
	} {
		put(descModels, float64(states[state]), state)
	}
	put(descLeases, float64(leases))
	put(descWaiting, float64(s.Waiting))
	put(descReachable, one(s.Registry.Reachable))
}

// countModels counts references by state, and the leases of all their versions.
func countModels(models []openapi.ModelStatus) (states map[string]int, leases int) {
	states = map[string]int{}
	for _, m := range models {
		states[m.State]++
		leases += m.Leases
		for _, old := range m.Old {
			leases += old.Leases
		}
	}
	return states, leases
}

func one(is bool) float64 {
	if is {
		return 1
	}
	return 0
}
