package nodeapi_test

import (
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/nodecache/internal/nodeapi"
)

func TestMetrics(t *testing.T) {
	n := newFakeNode(t, newModel(t, false))
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
		`ingot_node_tier_used_bytes{tier="ram"} 4096`,
		`ingot_node_tier_budget_bytes{tier="ram"} 8192`,
		`ingot_node_tier_orphaned_bytes{tier="ram"} 1024`,
		`ingot_node_models{state="ready"} 1`,
		`ingot_node_models{state="absent"} 0`,
		`ingot_node_leases 5`,
		`ingot_node_waiting 7`,
		`ingot_node_registry_reachable 0`,
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
