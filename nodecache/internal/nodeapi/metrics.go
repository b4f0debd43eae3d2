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
// tiers, sources and GPUs, however many models a node has.
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
	descDelta     = metric("received_delta_bytes_total", "Encoded bytes of deltas of chunks that the node had; part of those received.")
	descBase      = metric("received_base_bytes_total", "Encoded bytes of what the registry sent to decode deltas with; part of those received.")
	descDeltas    = metric("delta_chunks_total", "Chunks that came as deltas.")
	descWrong     = metric("wrong_bases_total", "Chunks that came whole because their base on the node was not what it should be.")
	descPatches   = metric("patches_total", "Versions that came into the memory of others in RAM, by how that ended.", "result")
	descPatched   = metric("patched_bytes_total", "Plain bytes in RAM that were written over those of other versions.")
	descPatchRAM  = metric("patch_memory_bytes", "The most bytes that a patch took beside both versions.")
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

	descGPULoads   = metric("gpu_loads_total", "Versions that came onto a GPU beside others.")
	descGPUSwaps   = metric("gpu_swaps_total", "Versions that came onto a GPU in the place of others.")
	descGPUDropped = metric("gpu_dropped_total", "Versions that left a GPU, for whatever reason.")
	descGPUMoved   = metric("gpu_moved_bytes_total", "Bytes that loads and swaps brought onto GPUs, by where from.", "source")

	// Of each GPU.
	descGPUReady    = metric("gpu_ready", "1 when the GPU works.", "device")
	descGPUUsed     = metric("gpu_used_bytes", "Bytes of the GPU that the node holds.", "device")
	descGPUBudget   = metric("gpu_budget_bytes", "Bytes of the GPU that the node may hold.", "device")
	descGPUFree     = metric("gpu_free_bytes", "Bytes of the GPU that nobody uses, as its driver says.", "device")
	descGPUTotal    = metric("gpu_memory_bytes", "Bytes of the GPU.", "device")
	descGPUModels   = metric("gpu_models", "Versions on the GPU.", "device")
	descGPUPinned   = metric("gpu_pinned_bytes", "Bytes of the RAM tier that the GPU can read by itself.", "device")
	descGPUWaiting  = metric("gpu_waiting", "Loads, swaps and leases that wait for the GPU.", "device")
	descGPURestarts = metric("gpu_restarts_total", "Times that what drives the GPU was started again.", "device")
)

// Describe implements prometheus.Collector.
func (c *collector) Describe(to chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		descInfo, descReady, descHits, descBytes, descReceived, descDelta, descBase, descDeltas,
		descWrong, descPatches, descPatched, descPatchRAM, descLoads, descEvicted, descIdle, descDemoted, descDamaged,
		descRefused, descSwitches, descUsed, descBudget, descOrphaned, descVersions, descModels, descLeases, descWaiting,
		descReachable, descGPULoads, descGPUSwaps, descGPUDropped, descGPUMoved, descGPUReady, descGPUUsed, descGPUBudget, descGPUFree, descGPUTotal, descGPUModels, descGPUPinned,
		descGPUWaiting, descGPURestarts,
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
	put(descDelta, float64(n.Deltas.BytesReceived))
	put(descBase, float64(n.Deltas.BytesBase))
	put(descDeltas, float64(n.Deltas.Chunks))
	put(descWrong, float64(n.Deltas.BasesWrong))
	put(descPatches, float64(n.Deltas.Patches), "ok")
	put(descPatches, float64(n.Deltas.PatchesUndone), "undone")
	put(descPatches, float64(n.Deltas.PatchesLost), "lost")
	put(descPatched, float64(n.Deltas.BytesPatched))
	put(descLoads, float64(n.Loads), "ok")
	put(descLoads, float64(n.Failed), "failed")
	put(descEvicted, float64(n.Evicted.Disk), "disk")
	put(descEvicted, float64(n.Evicted.RAM), "ram")
	put(descIdle, float64(n.Idle.Disk), "disk")
	put(descIdle, float64(n.Idle.RAM), "ram")
	put(descIdle, float64(n.Idle.GPU), "gpu")
	put(descDemoted, float64(n.Demoted))
	put(descDamaged, float64(n.Damaged))
	put(descRefused, float64(n.Refused))
	put(descSwitches, float64(n.Switches))
	put(descGPULoads, float64(n.GPU.Loads))
	put(descGPUSwaps, float64(n.GPU.Swaps))
	put(descGPUDropped, float64(n.GPU.Dropped))
	put(descGPUMoved, float64(n.GPU.Uploaded), "ram")
	put(descGPUMoved, float64(n.GPU.DeviceCopied), "gpu")
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
	}{{"disk", s.Tiers.Disk}, {"ram", s.Tiers.RAM}, {"gpu", s.Tiers.GPU.TierUsage}} {
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
	put(descPatchRAM, float64(s.Deltas.PatchMemory))
	for _, d := range s.Tiers.GPU.Devices {
		gpuGauges(to, d)
	}
}

// gpuGauges says what is known of one GPU.
func gpuGauges(to chan<- prometheus.Metric, d openapi.GPUDevice) {
	for _, m := range []struct {
		desc  *prometheus.Desc
		kind  prometheus.ValueType
		value float64
	}{
		{descGPUReady, prometheus.GaugeValue, one(d.State == openapi.DeviceReady)},
		{descGPUUsed, prometheus.GaugeValue, float64(d.Used)},
		{descGPUBudget, prometheus.GaugeValue, float64(d.Budget)},
		{descGPUFree, prometheus.GaugeValue, float64(d.Free)},
		{descGPUTotal, prometheus.GaugeValue, float64(d.Total)},
		{descGPUModels, prometheus.GaugeValue, float64(d.Models)},
		{descGPUPinned, prometheus.GaugeValue, float64(d.Pinned)},
		{descGPUWaiting, prometheus.GaugeValue, float64(d.Waiting)},
		{descGPURestarts, prometheus.CounterValue, float64(d.Restarts)},
	} {
		to <- prometheus.MustNewConstMetric(m.desc, m.kind, m.value, d.UUID)
	}
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
