package metrics_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/blobs/fs"
	"github.com/ingot-ml/ingot/registry/internal/metrics"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/registers/registerstest"
)

// scrape returns what m tells.
func scrape(t *testing.T, m *metrics.Metrics) string {
	t.Helper()
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), "GET", "/metrics", nil))
	if w.Code != 200 {
		t.Fatalf("status %d: %s", w.Code, w.Body)
	}
	return w.Body.String()
}

// wantLines wants each line in the text.
func wantLines(t *testing.T, text string, lines ...string) {
	t.Helper()
	for _, line := range lines {
		if !strings.Contains(text, "\n"+line+"\n") {
			t.Errorf("no line %q", line)
		}
	}
	if t.Failed() {
		t.Log(text)
	}
}

func TestMetrics(t *testing.T) {
	m := metrics.New("v1")
	m.Answered("/v1/repos", "GET", 200, -1, 100, time.Second)
	m.Answered("/v1/repos", "GET", 200, 0, 50, time.Second)
	m.Answered("hub", "PROPFIND", 404, 7, 0, time.Second)
	m.Failed(openapi.CodeBusy)
	m.Limited(metrics.LimitLogin)
	m.Pushed("committed")
	m.Mistaken()
	m.Collected(openapi.GCReport{Freed: openapi.GCTotal{Objects: 3, Bytes: 70}}, time.Second, nil)
	m.Collected(openapi.GCReport{DryRun: true, Freed: openapi.GCTotal{Objects: 9, Bytes: 9}}, time.Second, nil)
	m.Collected(openapi.GCReport{}, time.Second, errors.New("no"))
	m.Verified(openapi.VerifyReport{Objects: 5, Bytes: 10, Bad: make([]openapi.BadObject, 2), Missing: make([]openapi.BadObject, 1), Healed: 1})
	m.Watch(metrics.Value{Name: "one", Help: "One.", Now: func() float64 { return 1 }},
		metrics.Value{Name: "many_total", Help: "Many.", Counts: true, Labels: map[string]string{"form": "whole"}, Now: func() float64 { return 9 }},
		metrics.Value{Name: "many_total", Help: "Many.", Counts: true, Labels: map[string]string{"form": "delta"}, Now: func() float64 { return 8 }})
	wantLines(t, scrape(t, m),
		`ingot_registry_info{version="v1"} 1`,
		`ingot_registry_requests_total{method="GET",route="/v1/repos",status="200"} 2`,
		`ingot_registry_requests_total{method="other",route="hub",status="404"} 1`,
		`ingot_registry_request_seconds_count{route="/v1/repos"} 2`,
		`ingot_registry_received_bytes_total{route="hub"} 7`,
		`ingot_registry_sent_bytes_total{route="/v1/repos"} 150`,
		`ingot_registry_errors_total{code="busy"} 1`,
		`ingot_registry_errors_total{code="internal"} 0`,
		`ingot_registry_limited_total{limit="login"} 1`,
		`ingot_registry_limited_total{limit="memory"} 0`,
		`ingot_registry_login_failures_total 1`,
		`ingot_registry_pushes_total{step="committed"} 1`,
		`ingot_registry_collections_total{result="done"} 2`,
		`ingot_registry_collections_total{result="failed"} 1`,
		`ingot_registry_collected_bytes_total 70`,
		`ingot_registry_bad_objects_total 3`,
		`ingot_registry_healed_objects_total 1`,
		`ingot_registry_one 1`,
		`ingot_registry_many_total{form="whole"} 9`,
	)
}

// TestStore: what is measured works as before, and is counted by how it ended.
func TestStore(t *testing.T) {
	m := metrics.New("v1")
	store, err := fs.Open(t.TempDir(), fs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b, sweeper, e, ctx := m.Blobs(store), m.Sweeper(store), m.Registers(registers.NewMemory()), t.Context()
	if err := b.Put(ctx, "c/one", []byte("twelve"), []byte(" bytes")); err != nil {
		t.Fatal(err)
	}
	if err := b.Put(ctx, "c/one", []byte("x")); !errors.Is(err, blobs.ErrExists) {
		t.Errorf("the second put: %v", err)
	}
	r, err := b.Open(ctx, "c/one", 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	if _, ok := r.(io.WriterTo); !ok {
		t.Error("the reader is not the store's own: files do not go to the network by themselves")
	}
	_ = r.Close() // it was only opened
	if _, err := b.Open(ctx, "c/two", 0, -1); !errors.Is(err, blobs.ErrNotFound) {
		t.Errorf("open of nothing: %v", err)
	}
	for _, err := range b.List(ctx, "c/", "") {
		if err != nil {
			t.Fatal(err)
		}
		break
	}
	if err := sweeper.Delete(ctx, []string{"c/one"}); err != nil {
		t.Fatal(err)
	}
	if _, err := e.CAS(ctx, "k", registers.Absent, nil); err != nil {
		t.Fatal(err)
	}
	if _, err := e.CAS(ctx, "k", registers.Absent, nil); !errors.Is(err, registers.ErrConflict) {
		t.Errorf("the second write: %v", err)
	}
	ended, cancel := context.WithCancel(ctx)
	cancel()
	if _, _, err := e.Get(ended, "k"); err == nil {
		t.Error("read when it was over")
	}
	text := scrape(t, m)
	var want []string
	for what, n := range map[string]int{
		"put blobs done": 1, "put blobs conflict": 1, "open blobs done": 1, "open blobs none": 1, "list blobs done": 1, "delete blobs done": 1,
		"swap registers done": 1, "swap registers conflict": 1, "get registers failed": 1,
	} {
		var operation, part, result string
		if _, err := fmt.Sscan(what, &operation, &part, &result); err != nil {
			t.Fatal(err)
		}
		want = append(want, fmt.Sprintf(`ingot_registry_store_requests_total{operation=%q,part=%q,result=%q} %d`, operation, part, result, n))
	}
	wantLines(t, text, append(want, "ingot_registry_store_written_bytes_total 12", `ingot_registry_store_seconds_count{operation="put",part="blobs"} 2`)...)
}

// TestMeasuredRegistersKeepTheLaws holds what is measured to the contract.
func TestMeasuredRegistersKeepTheLaws(t *testing.T) {
	registerstest.RunEngine(t, func(*testing.T) registers.Engine { return metrics.New("v1").Registers(registers.NewMemory()) })
}
