package integration_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/openapi"
)

// sentSpan is a span as a collector gets it.
type sentSpan struct {
	TraceID, SpanID, ParentSpanID, Name string
	Service                             string `json:"-"`
}

// otlpCollector keeps the spans that it is sent, by their ids.
type otlpCollector struct {
	mu    sync.Mutex // protects spans
	spans map[string]sentSpan
}

// otlpServer runs a collector, which the programs of the test send their spans to.
func otlpServer(t *testing.T) *otlpCollector {
	t.Helper()
	c := &otlpCollector{spans: map[string]sentSpan{}}
	server := httptest.NewServer(c)
	t.Cleanup(server.Close)
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", server.URL)
	t.Setenv("OTEL_BSP_SCHEDULE_DELAY", "100")
	return c
}

func (c *otlpCollector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	var doc struct {
		ResourceSpans []struct {
			Resource struct {
				Attributes []struct {
					Key   string
					Value struct{ StringValue string }
				}
			}
			ScopeSpans []struct{ Spans []sentSpan }
		}
	}
	body, err := io.ReadAll(r.Body)
	if err == nil {
		err = json.Unmarshal(body, &doc)
	}
	if err != nil || r.URL.Path != "/v1/traces" {
		http.Error(w, "not spans", http.StatusBadRequest)
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, of := range doc.ResourceSpans {
		service := ""
		for _, a := range of.Resource.Attributes {
			if a.Key == "service.name" {
				service = a.Value.StringValue
			}
		}
		for _, in := range of.ScopeSpans {
			for _, s := range in.Spans {
				s.Service = service
				c.spans[s.SpanID] = s
			}
		}
	}
}

// path returns the names of a span and of those that it is part of, the outermost
// first, with the services that they are of.
func (c *otlpCollector) path(s sentSpan) (names []string) {
	for {
		names = append(names, s.Service+": "+s.Name)
		parent, ok := c.spans[s.ParentSpanID]
		if !ok || parent.TraceID != s.TraceID {
			slices.Reverse(names)
			return names
		}
		s = parent
	}
}

// has tells whether some span is part of such a path: these names in this order, with
// others between them.
func (c *otlpCollector) has(names ...string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	var seen []string
	for _, s := range c.spans {
		path, rest := c.path(s), names
		for _, name := range path {
			if len(rest) > 0 && name == rest[0] {
				rest = rest[1:]
			}
		}
		if len(rest) == 0 {
			return nil
		}
		seen = append(seen, strings.Join(path, " > "))
	}
	slices.Sort(seen)
	return fmt.Errorf("no %s in %d spans:\n%s", strings.Join(names, " > "), len(seen), strings.Join(slices.Compact(seen), "\n"))
}

// TestTraces follows a push and a load from the client through the registry to its
// store, and from who asks an agent to the GPU, over processes.
func TestTraces(t *testing.T) {
	c := otlpServer(t)
	g := fakeGPU(t, 512*mib, 400*mib, "")
	r := g.registry
	r.push("traces_test.go", "acme/text")
	var receipt openapi.LoadReceipt
	r.jsonFor(g.node, &receipt, "load", tinyA, "--tier", "gpu")
	for _, path := range [][]string{
		{"ingot: ingot push", "ingot: POST registry", "ingot-registry: POST /v1/repos/:namespace/:model/pushes", "ingot-registry: store registers swap"},
		{"ingot: ingot push", "ingot-registry: POST /v1/pushes/:push/commit", "ingot-registry: store blobs put"},
		{"ingot: ingot load", "ingot: POST agent", "ingot-agent: POST /v1/load", "ingot-agent: load into ram", "ingot-agent: GET registry",
			"ingot-registry: GET /v1/repos/:namespace/:model/versions/:digest/chunks/:index", "ingot-registry: store blobs open"},
		{"ingot: ingot load", "ingot-agent: POST /v1/load", "ingot-agent: gpu load", "ingot-agent: gpu copy"},
	} {
		g.until(strings.Join(path, " > "), func() error { return c.has(path...) })
	}
}

// jsonFor runs the program with --json beside an agent.
func (r *registry) jsonFor(n *node, into any, args ...string) {
	r.t.Helper()
	r.t.Setenv("INGOT_AGENT", filepath.Join(n.dir, "agent.sock"))
	r.json(into, args...)
}
