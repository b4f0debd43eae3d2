package otlp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/openapi/trace"
	"github.com/ingot-ml/ingot/openapi/trace/otlp"
)

// environment is one of these variables.
func environment(vars map[string]string) otlp.Environment {
	return func(name string) string { return vars[name] }
}

func TestWanted(t *testing.T) {
	for _, tt := range []struct {
		vars   map[string]string
		wanted bool
		says   string
	}{
		{vars: nil},
		{vars: map[string]string{"OTEL_SERVICE_NAME": "x"}},
		{vars: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, wanted: true},
		{vars: map[string]string{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/x"}, wanted: true},
		{vars: map[string]string{"OTEL_TRACES_EXPORTER": "otlp", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, wanted: true},
		{vars: map[string]string{"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}},
		{vars: map[string]string{"OTEL_SDK_DISABLED": "true", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}},
		{vars: map[string]string{"OTEL_TRACES_EXPORTER": "zipkin"}, says: `OTEL_TRACES_EXPORTER="zipkin": want otlp or none`},
		{vars: map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4317", "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, says: `OTEL_EXPORTER_OTLP_PROTOCOL="grpc"`},
		{vars: map[string]string{"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}}, // of what is not sent
	} {
		wanted, err := otlp.Wanted(environment(tt.vars))
		if wanted != tt.wanted || (err == nil) != (tt.says == "") || err != nil && !strings.Contains(err.Error(), tt.says) {
			t.Errorf("%v: %v, %v", tt.vars, wanted, err)
		}
	}
}

// TestWrongEnvironment: what cannot be meant is told, but no secret.
func TestWrongEnvironment(t *testing.T) {
	for _, tt := range []struct{ name, value, says string }{
		{"OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4318", "want a URL such as http://localhost:4318"},
		{"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "ftp://collector", "want a URL"},
		{"OTEL_EXPORTER_OTLP_TIMEOUT", "10s", "want milliseconds"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "secret", "want NAME=VALUE"},
		{"OTEL_EXPORTER_OTLP_HEADERS", "a=secret%0d%0ab: c", "want NAME=VALUE"},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", "nowhere.pem", "nowhere.pem"},
		{"OTEL_EXPORTER_OTLP_CERTIFICATE", "otlp_test.go", "holds no certificate"},
	} {
		_, err := otlp.Begin(t.Context(), environment(map[string]string{tt.name: tt.value}), "ingot", "v1", slog.New(slog.DiscardHandler))
		if err == nil || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), tt.name) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%s=%s: %v", tt.name, tt.value, err)
		}
	}
}

// collector keeps what it is sent.
type collector struct {
	mu     sync.Mutex // protects what follows
	bodies [][]byte
	header http.Header
	status int
}

func (c *collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	b, _ := io.ReadAll(r.Body) // what is missing is seen by the test
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bodies, c.header = append(c.bodies, b), r.Header
	if r.URL.Path != "/base/v1/traces" {
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.WriteHeader(c.status)
}

// TestSends: a span and the one below it come to the collector as the protocol has
// them, and what a caller says of its trace is gone on with.
func TestSends(t *testing.T) {
	c := &collector{status: http.StatusOK}
	server := httptest.NewServer(c)
	defer server.Close()
	env := environment(map[string]string{
		"OTEL_EXPORTER_OTLP_ENDPOINT": server.URL + "/base/", "OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20x",
	})
	end, err := otlp.Begin(t.Context(), env, "ingot-test", "v1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	const parent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
	ctx, served := trace.Serve(t.Context(), "GET /v1", http.Header{"Traceparent": {parent}})
	served.Number("http.response.status_code", 503)
	header := http.Header{}
	_, called := trace.Call(ctx, "store", header)
	called.Text("result", "full")
	called.End(errors.New("no room"))
	served.End(nil)
	if got := header.Get("Traceparent"); !strings.HasPrefix(got, "00-0af7651916cd43dd8448eb211c80319c-") || got == parent || trace.ID(ctx) != "0af7651916cd43dd8448eb211c80319c" {
		t.Errorf("went on as %q, in the log as %q", got, trace.ID(ctx))
	}
	if err := end(context.Background()); err != nil {
		t.Fatal(err)
	}
	if trace.On() {
		t.Error("spans are recorded after the end")
	}
	if len(c.bodies) != 1 || c.header.Get("Content-Type") != "application/json" || c.header.Get("Authorization") != "Bearer x" {
		t.Fatalf("%d documents, with %v", len(c.bodies), c.header)
	}
	text := string(c.bodies[0])
	for _, want := range []string{
		`{"key":"service.name","value":{"stringValue":"ingot-test"}}`, `"traceId":"0af7651916cd43dd8448eb211c80319c"`, `"parentSpanId":"b7ad6b7169203331"`,
		`"kind":2`, `"kind":3`, `{"key":"http.response.status_code","value":{"intValue":"503"}}`, `"status":{"code":2,"message":"no room"}`, `"startTimeUnixNano":"1`,
	} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s in %s", want, text)
		}
	}
	if !json.Valid(c.bodies[0]) {
		t.Error("not JSON")
	}
}

// TestNoCollector: what cannot be sent is lost, and told once.
func TestNoCollector(t *testing.T) {
	c := &collector{status: http.StatusServiceUnavailable}
	server := httptest.NewServer(c)
	defer server.Close()
	var log bytes.Buffer
	env := environment(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": server.URL + "/base"})
	end, err := otlp.Begin(t.Context(), env, "ingot-test", "v1", slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	for range 2000 { // several documents
		_, span := trace.Start(t.Context(), "work")
		span.End(nil)
	}
	_ = end(context.Background()) // tells it again
	if n := strings.Count(log.String(), "traces are lost"); n != 1 || !strings.Contains(log.String(), "503") {
		t.Errorf("told %d times: %s", n, log.String())
	}
}

// TestHostileTraceparent: what is no trace is none, however long.
func TestHostileTraceparent(t *testing.T) {
	server := httptest.NewServer(&collector{status: http.StatusOK})
	defer server.Close()
	end, err := otlp.Begin(t.Context(), environment(map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": server.URL}), "ingot-test", "v1", slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	for _, parent := range []string{"", "00", "00-00000000000000000000000000000000-b7ad6b7169203331-01", "00-0AF7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", strings.Repeat("0", 1<<16), "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"} {
		ctx, span := trace.Serve(t.Context(), "GET /v1", http.Header{"Traceparent": {parent}})
		if id := trace.ID(ctx); len(id) != 32 || strings.Contains(parent, id) {
			t.Errorf("%.60q is gone on with as %s", parent, id)
		}
		span.End(nil)
	}
	if err := end(context.Background()); err == nil {
		t.Log("the collector took nothing it knows") // it answers 404, which only costs the spans
	}
}
