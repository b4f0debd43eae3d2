package nodeapi_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/nodecache/internal/nodeapi"
	"github.com/ingot-ml/ingot/openapi"
)

func TestMetrics(t *testing.T) {
	n := newFakeNode(t, newModel(t, false))
	n.gpus = []openapi.GPUDevice{
		{UUID: "GPU-a", State: openapi.DeviceReady, Used: 1, Budget: 2, Free: 3, Total: 4, Models: 5, Pinned: 6, Waiting: 7, Restarts: 8},
		{UUID: "GPU-b", State: openapi.DeviceFailed},
	}
	api := nodeapi.New(nodeapi.Config{Node: n, Version: "v9"})
	got := httptest.NewRecorder()
	api.ServeHTTP(got, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if got.Code != 200 {
		t.Fatalf("status %d: %s", got.Code, got.Body)
	}
	text := got.Body.String()
	for _, line := range []string{
		`ingot_node_info{version="v9"} 1`,
		`ingot_node_ready 1`,
		`ingot_node_hits_total{tier="ram"} 11`,
		`ingot_node_hits_total{tier="none"} 3`,
		`ingot_node_load_bytes_total{source="registry"} 13`,
		`ingot_node_received_bytes_total 12`,
		`ingot_node_loads_total{result="failed"} 14`,
		`ingot_node_delta_chunks_total 21`,
		`ingot_node_received_delta_bytes_total 22`,
		`ingot_node_received_base_bytes_total 23`,
		`ingot_node_wrong_bases_total 24`,
		`ingot_node_patches_total{result="ok"} 25`,
		`ingot_node_patches_total{result="undone"} 26`,
		`ingot_node_patches_total{result="lost"} 27`,
		`ingot_node_patched_bytes_total 28`,
		`ingot_node_patch_memory_bytes 29`,
		`ingot_node_tier_used_bytes{tier="ram"} 4096`,
		`ingot_node_tier_budget_bytes{tier="ram"} 8192`,
		`ingot_node_tier_orphaned_bytes{tier="ram"} 1024`,
		`ingot_node_models{state="ready"} 1`,
		`ingot_node_models{state="absent"} 0`,
		`ingot_node_leases 5`,
		`ingot_node_waiting 7`,
		`ingot_node_registry_reachable 0`,
		`ingot_node_idle_total{tier="gpu"} 15`,
		`ingot_node_gpu_loads_total 16`,
		`ingot_node_gpu_swaps_total 17`,
		`ingot_node_gpu_dropped_total 18`,
		`ingot_node_gpu_moved_bytes_total{source="ram"} 19`,
		`ingot_node_gpu_moved_bytes_total{source="gpu"} 20`,
		`ingot_node_gpu_ready{device="GPU-a"} 1`,
		`ingot_node_gpu_used_bytes{device="GPU-a"} 1`,
		`ingot_node_gpu_budget_bytes{device="GPU-a"} 2`,
		`ingot_node_gpu_free_bytes{device="GPU-a"} 3`,
		`ingot_node_gpu_memory_bytes{device="GPU-a"} 4`,
		`ingot_node_gpu_models{device="GPU-a"} 5`,
		`ingot_node_gpu_pinned_bytes{device="GPU-a"} 6`,
		`ingot_node_gpu_waiting{device="GPU-a"} 7`,
		`ingot_node_gpu_restarts_total{device="GPU-a"} 8`,
		`ingot_node_gpu_ready{device="GPU-b"} 0`,
	} {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	if strings.Contains(text, "acme") {
		t.Error("the metrics grow with the models: a label has a reference")
	}
	for line := range strings.Lines(text) {
		if name, ok := strings.CutPrefix(line, "# HELP ingot_node_"); ok && len(strings.Fields(name)) < 3 {
			t.Errorf("help says nothing: %s", line)
		}
	}
}
