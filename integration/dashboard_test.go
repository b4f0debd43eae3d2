package integration_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/nodecache"
	reg "github.com/ingot-ml/ingot/registry"
)

// dashboard is what Grafana reads of a panel.
type dashboard struct {
	UID        string
	Templating struct {
		List []struct{ Name, Type, Definition string }
	}
	Panels []struct {
		ID          int
		Type, Title string
		Datasource  struct{ UID string }
		GridPos     struct{ X, Y, W, H int }
		Targets     []struct{ Expr, LegendFormat string }
	}
}

// TestDashboard: every panel of the dashboard asks for metrics and labels that a
// registry or an agent has, and stands where no other does.
func TestDashboard(t *testing.T) {
	raw, err := os.ReadFile("../docker/grafana/ingot.json")
	if err != nil {
		t.Fatal(err)
	}
	var d dashboard
	if err := json.Unmarshal(raw, &d); err != nil {
		t.Fatal(err)
	}
	known := scraped(t)
	asked := map[string]bool{}
	for _, v := range d.Templating.List {
		if v.Type == "query" {
			checkExpression(t, "variable "+v.Name, v.Definition, known, asked)
		}
	}
	taken, ids := map[[2]int]string{}, map[int]bool{}
	for _, p := range d.Panels {
		if ids[p.ID] {
			t.Errorf("panel %q: another one has the id %d", p.Title, p.ID)
		}
		ids[p.ID] = true
		for x := p.GridPos.X; x < p.GridPos.X+p.GridPos.W; x++ {
			for y := p.GridPos.Y; y < p.GridPos.Y+p.GridPos.H; y++ {
				if other, ok := taken[[2]int{x, y}]; ok || x >= 24 {
					t.Fatalf("panel %q lies over %q", p.Title, other)
				}
				taken[[2]int{x, y}] = p.Title
			}
		}
		if (p.Type == "row") != (len(p.Targets) == 0) || p.Type != "row" && p.Datasource.UID != "${source}" {
			t.Errorf("panel %q, a %s, has %d targets of %q", p.Title, p.Type, len(p.Targets), p.Datasource.UID)
		}
		for _, target := range p.Targets {
			checkExpression(t, p.Title, target.Expr, known, asked)
		}
	}
	if len(asked) < 40 {
		t.Errorf("it asks for %d metrics only", len(asked))
	}
}

var (
	metricName = regexp.MustCompile(`\b(?:ingot|go|process)_[a-z0-9_]+\b`)
	selector   = regexp.MustCompile(`\b((?:ingot|go|process)_[a-z0-9_]+)\{([^}]*)\}`)
	matcher    = regexp.MustCompile(`([a-z_]+)\s*[=!]~?`)
	grouping   = regexp.MustCompile(`\bby \(([^)]*)\)`)
)

// checkExpression wants every metric of an expression to be known, with its labels.
func checkExpression(t *testing.T, where, expr string, known map[string]map[string]bool, asked map[string]bool) {
	t.Helper()
	names := metricName.FindAllString(expr, -1)
	if len(names) == 0 {
		t.Errorf("%s: no metric in %q", where, expr)
		return
	}
	for _, name := range names {
		asked[name] = true
		if known[name] == nil {
			t.Errorf("%s: there is no metric %s", where, name)
			return
		}
	}
	own := map[string]bool{"job": true, "instance": true} // which Prometheus adds
	for _, s := range selector.FindAllStringSubmatch(expr, -1) {
		for _, m := range matcher.FindAllStringSubmatch(s[2], -1) {
			if !own[m[1]] && !known[s[1]][m[1]] {
				t.Errorf("%s: %s has no label %s", where, s[1], m[1])
			}
		}
	}
	for _, g := range grouping.FindAllStringSubmatch(expr, -1) {
		for label := range strings.SplitSeq(g[1], ",") {
			if label = strings.TrimSpace(label); !own[label] && !known[names[0]][label] {
				t.Errorf("%s: %s has no label %s to group by", where, names[0], label)
			}
		}
	}
}

// scraped returns the metrics that a registry and an agent have, with their labels. The
// registry has answered one request. What a GPU has is said of one, which is not there.
func scraped(t *testing.T) map[string]map[string]bool {
	t.Helper()
	r, err := reg.Open(t.Context(), reg.Config{Data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}()
	ask(t, r.Handler(), "/v1/repos")
	n, err := nodecache.Open(nodecache.Config{Name: "n", Data: t.TempDir(), Disk: 64 << 20, RAM: 64 << 20})
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := n.Close(); err != nil {
			t.Error(err)
		}
	}()
	known := map[string]map[string]bool{}
	for _, text := range []string{ask(t, r.Handler(), "/metrics"), ask(t, n.Metrics(), "/metrics")} {
		addMetrics(known, text)
	}
	for _, name := range []string{"used_bytes", "budget_bytes", "free_bytes", "models", "waiting", "restarts_total"} {
		known["ingot_node_gpu_"+name] = map[string]bool{"device": true} // TestGPUMetrics has them
	}
	return known
}

func ask(t *testing.T, h http.Handler, path string) string {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != http.StatusOK {
		t.Fatalf("%s: status %d, %v, %s", path, w.Code, err, body)
	}
	return string(body)
}

var (
	sample = regexp.MustCompile(`(?m)^([a-z0-9_]+)(?:\{(.*)\})? [^ ]+$`)
	label  = regexp.MustCompile(`([a-z_]+)="`)
)

// addMetrics adds what a text of Prometheus has.
func addMetrics(known map[string]map[string]bool, text string) {
	for _, s := range sample.FindAllStringSubmatch(text, -1) {
		if known[s[1]] == nil {
			known[s[1]] = map[string]bool{}
		}
		for _, l := range label.FindAllStringSubmatch(s[2], -1) {
			known[s[1]][l[1]] = true
		}
	}
}
