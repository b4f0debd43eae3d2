package nodeapi_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/nodecache/internal/nodeapi"
	"github.com/ingot-ml/ingot/openapi"
)

// exchange is a request and what it should be answered.
type exchange struct {
	method, path, body string
	status             int
	code               openapi.Code // empty for success
}

const someDigest = "8b1a9953c4611296a827abf8c47804d7e9f7a5c1d9dd1a9e0f0a4b8a7a3b2c1d"

var exchanges = []exchange{
	{"GET", "/healthz", "", 200, ""},
	{"HEAD", "/healthz", "", 200, ""},
	{"GET", "/readyz", "", 200, ""},
	{"GET", "/metrics", "", 200, ""},
	{"GET", "/openapi.yaml", "", 200, ""},
	{"GET", "/v1/status", "", 200, ""},
	{"HEAD", "/v1/events", "", 200, ""},
	{"POST", "/v1/load", `{"ref":"a/b","tier":"ram"}`, 200, ""},
	{"POST", "/v1/load", `{"ref":"a/b:x","tier":"disk","dry_run":true}`, 200, ""},
	{"POST", "/v1/load", `{"ref":"a/b@` + someDigest + `","tier":"gpu","deadline":3.5,"later":1}`, 200, ""},
	{"POST", "/v1/load", `{"ref":"a/b","tier":"gpu","device":"` + someGPU + `","hint":true}`, 200, ""},
	{"POST", "/v1/swap", `{"from":"a/b","to":"a/c"}`, 200, ""},
	{"POST", "/v1/swap", `{"from":"a/b","to":"a/b:x","device":"` + someGPU + `","deadline":2,"priority":-3}`, 200, ""},
	{"POST", "/v1/unload", `{"ref":"a/b","tier":"ram"}`, 200, ""},
	{"POST", "/v1/unload", `{"ref":"a/b","tier":"none"}`, 200, ""},
	{"POST", "/v1/unload", `{"ref":"a/b","tier":"disk"}`, 200, ""},
	{"POST", "/v1/pin", `{"ref":"a/b","pinned":true}`, 200, ""},

	{"POST", "/v1/load", ``, 400, openapi.CodeBadRequest},
	{"POST", "/v1/load", `[]`, 400, openapi.CodeBadRequest},
	{"POST", "/v1/load", `{"ref":"a/b"}`, 400, openapi.CodeBadRequest},
	{"POST", "/v1/load", `{"ref":"a/b","tier":"none"}`, 400, openapi.CodeBadRequest},
	{"POST", "/v1/load", `{"ref":"a/b","tier":"tape"}`, 400, openapi.CodeBadRequest},
	{"POST", "/v1/load", `{"ref":"../b","tier":"ram"}`, 400, openapi.CodeBadName},
	{"POST", "/v1/load", `{"ref":"a/b","tier":"ram","deadline":-1}`, 400, openapi.CodeBadRequest},
	{"POST", "/v1/load", `{"ref":"` + strings.Repeat("a", openapi.MaxJSON) + `"}`, 413, openapi.CodeTooLarge},
	{"POST", "/v1/load", `{"ref":"a/b","tier":"ram","device":"` + someGPU + `"}`, 400, openapi.CodeBadRequest},
	{"POST", "/v1/load", `{"ref":"a/b","tier":"disk","hint":true}`, 400, openapi.CodeBadRequest},
	{"POST", "/v1/load", `{"ref":"a/b","tier":"gpu","device":"` + strings.Repeat("G", 65) + `"}`, 400, openapi.CodeBadRequest},
	{"POST", "/v1/swap", `{"from":"a/b","to":"a/c","device":"GPU-\u001b[2J"}`, 400, openapi.CodeBadRequest},
	{"POST", "/v1/swap", ``, 400, openapi.CodeBadRequest},
	{"POST", "/v1/swap", `{"from":"a/b"}`, 400, openapi.CodeBadName},
	{"POST", "/v1/swap", `{"from":"a/b@x","to":"a/b"}`, 400, openapi.CodeBadName},
	{"POST", "/v1/swap", `{"from":"a/b","to":"a/c","deadline":1e9}`, 400, openapi.CodeBadRequest},
	{"POST", "/v1/swap", `{"from":"a/b","to":"a/c","priority":"high"}`, 400, openapi.CodeBadRequest},
	{"GET", "/v1/swap", ``, 405, openapi.CodeNotAllowed},
	{"POST", "/v1/unload", `{"ref":"a/b","tier":"gpu"}`, 400, openapi.CodeBadRequest},
	{"POST", "/v1/unload", `{"ref":"","tier":"none"}`, 400, openapi.CodeBadName},
	{"POST", "/v1/pin", `{"ref":"a","pinned":true}`, 400, openapi.CodeBadName},
	{"POST", "/v1/lease", ``, 400, openapi.CodeBadRequest},
	{"GET", "/v1/load", ``, 405, openapi.CodeNotAllowed},
	{"DELETE", "/v1/status", ``, 405, openapi.CodeNotAllowed},
	{"OPTIONS", "/v1/load", ``, 405, openapi.CodeNotAllowed},
	{"GET", "/v1", ``, 404, openapi.CodeNotFound},
	{"GET", "/v1/status/", ``, 404, openapi.CodeNotFound},
}

// TestAnswers compares every answer with what the specification says of it.
func TestAnswers(t *testing.T) {
	spec, err := openapi3.NewLoader().LoadFromData(openapi.NodeSpec)
	if err != nil {
		t.Fatal(err)
	}
	api := nodeapi.New(nodeapi.Config{Node: newFakeNode(t, newModel(t, false)), Version: "v9"})
	for _, x := range exchanges {
		r := httptest.NewRequestWithContext(t.Context(), x.method, x.path, strings.NewReader(x.body))
		r.Header.Set("Content-Type", "application/json")
		got := httptest.NewRecorder()
		api.ServeHTTP(got, r)
		what := x.method + " " + x.path + " " + x.body[:min(len(x.body), 60)]
		if got.Code != x.status {
			t.Errorf("%s: status %d, want %d: %s", what, got.Code, x.status, got.Body)
			continue
		}
		if x.code != "" && codeOf(t, got.Body.Bytes()) != x.code {
			t.Errorf("%s: %s, want %s", what, got.Body, x.code)
		}
		checkSpec(t, spec, what, x, got)
	}
}

func codeOf(t *testing.T, body []byte) openapi.Code {
	t.Helper()
	var e openapi.ErrorBody
	if err := json.Unmarshal(body, &e); err != nil || e.Error == nil {
		t.Fatalf("%q is no error", body)
	}
	return e.Error.Code
}

// checkSpec holds an answer to its operation.
func checkSpec(t *testing.T, spec *openapi3.T, what string, x exchange, got *httptest.ResponseRecorder) {
	t.Helper()
	item := spec.Paths.Value(x.path)
	method := strings.Replace(x.method, "HEAD", "GET", 1)
	if item == nil || item.GetOperation(method) == nil {
		if x.status != 404 && x.status != 405 {
			t.Errorf("%s is not in the specification", what)
		}
		return
	}
	answer := item.GetOperation(method).Responses.Value(strconv.Itoa(x.status))
	if answer == nil {
		t.Errorf("%s: the specification has no answer %d", what, x.status)
		return
	}
	codes, _ := answer.Value.Extensions["x-codes"].([]any)
	if x.code != "" && !slices.Contains(codes, any(string(x.code))) {
		t.Errorf("%s: the specification does not name %s for %d", what, x.code, x.status)
	}
	media, _, _ := strings.Cut(got.Header().Get("Content-Type"), ";")
	content := answer.Value.Content[media]
	if content == nil {
		t.Errorf("%s: the specification has no %q", what, media)
		return
	}
	if media != "application/json" || got.Body.Len() == 0 || x.method == "HEAD" {
		return
	}
	var doc any
	if err := json.Unmarshal(got.Body.Bytes(), &doc); err != nil {
		t.Errorf("%s: %v", what, err)
	}
	if err := content.Schema.Value.VisitJSON(doc); err != nil {
		t.Errorf("%s: %v", what, err)
	}
}

// TestBrowsersCannotAsk refuses what a page may send without asking the user.
func TestBrowsersCannotAsk(t *testing.T) {
	api := nodeapi.New(nodeapi.Config{Node: newFakeNode(t, newModel(t, false))})
	for _, media := range []string{"", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonish"} {
		r := httptest.NewRequestWithContext(t.Context(), "POST", "/v1/unload", strings.NewReader(`{"ref":"a/b","tier":"none"}`))
		r.Header.Set("Content-Type", media)
		got := httptest.NewRecorder()
		api.ServeHTTP(got, r)
		if got.Code != 400 {
			t.Errorf("a body of type %q is answered %d", media, got.Code)
		}
	}
}

// TestLeaseOverTCP says what to do instead.
func TestLeaseOverTCP(t *testing.T) {
	server := httptest.NewServer(nodeapi.New(nodeapi.Config{Node: newFakeNode(t, newModel(t, false))}))
	defer server.Close()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, server.URL+"/v1/lease", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", openapi.LeaseProtocol)
	got, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = got.Body.Close() }()
	body, err := io.ReadAll(got.Body)
	if err != nil || got.StatusCode != 405 || !strings.Contains(string(body), "unix socket") {
		t.Errorf("answer %d %s, %v", got.StatusCode, body, err)
	}
	onGPU := openapi.LeaseRequest{Ref: modelRef, Tier: openapi.TierGPU}
	if _, err := dial(t, server.URL).Lease(t.Context(), onGPU, agent.LeaseOptions{}); !errors.Is(err, &openapi.Error{Code: openapi.CodeBadRequest}) {
		t.Errorf("of a lease on a GPU the client says %v", err)
	}
	if _, err := dial(t, server.URL).Lease(t.Context(), openapi.LeaseRequest{Ref: modelRef}, agent.LeaseOptions{}); !errors.Is(err, agent.ErrSocket) {
		t.Errorf("the client says %v, want ErrSocket", err)
	}
}

// TestCallsOfClient makes every call over both ways to the agent.
func TestCallsOfClient(t *testing.T) {
	n := newFakeNode(t, newModel(t, false))
	s, overSocket := start(t, n)
	server := httptest.NewServer(s.api)
	defer server.Close()
	for _, a := range []*agent.Agent{overSocket, dial(t, server.URL+"/")} {
		ctx := t.Context()
		if err := a.Ready(ctx); err != nil {
			t.Error(err)
		}
		if got, err := a.Status(ctx); err != nil || got.Name != "fake" {
			t.Errorf("status: %+v, %v", got, err)
		}
		q := openapi.LoadRequest{Ref: modelRef, Tier: openapi.TierGPU, Deadline: 2, Device: someGPU, Hint: true}
		if got, err := a.Load(ctx, q); err != nil || got.Version != n.model.version || n.loads[len(n.loads)-1] != q {
			t.Errorf("load: %+v, %v", got, err)
		}
		swap := openapi.SwapRequest{From: modelRef, To: "acme/llama:next", Device: someGPU, Deadline: 2, Priority: 1}
		if got, err := a.Swap(ctx, swap); err != nil || got.To != swap.To || got.Kind != openapi.SwapRemap {
			t.Errorf("swap: %+v, %v", got, err)
		}
		if o := n.swaps[len(n.swaps)-1]; o.From.String() != swap.From || o.To.String() != swap.To || o.Device != someGPU ||
			o.Deadline != 2*time.Second || o.Priority != 1 {
			t.Errorf("the node was asked for %+v", o)
		}
		if got, err := a.Unload(ctx, openapi.UnloadRequest{Ref: modelRef, Tier: openapi.TierDisk}); err != nil || got.Tier != openapi.TierDisk {
			t.Errorf("unload: %+v, %v", got, err)
		}
		if got, err := a.Pin(ctx, openapi.PinRequest{Ref: modelRef, Pinned: true}); err != nil || !got.Pinned {
			t.Errorf("pin: %+v, %v", got, err)
		}
		if got, err := a.Materialize(ctx, openapi.MaterializeRequest{Ref: modelRef}); err != nil || got.Files != 3 || got.Ref != modelRef {
			t.Errorf("materialize: %+v, %v", got, err)
		}
		if _, err := a.Load(ctx, openapi.LoadRequest{Ref: "-", Tier: openapi.TierRAM}); !errors.Is(err, &openapi.Error{Code: openapi.CodeBadName}) {
			t.Errorf("load of a misspelt reference: %v", err)
		}
	}
}

// TestNotReady and a stopping agent are told by 503.
func TestNotReady(t *testing.T) {
	n := newFakeNode(t, newModel(t, false))
	n.ready = errors.New("the disk is being listed")
	s, a := start(t, n)
	err := a.Ready(t.Context())
	if !errors.Is(err, &openapi.Error{Code: openapi.CodeUnavailable}) || !strings.Contains(err.Error(), "being listed") {
		t.Errorf("ready: %v", err)
	}
	s.api.Drain()
	if _, err := a.Status(t.Context()); !errors.Is(err, &openapi.Error{Code: openapi.CodeUnavailable}) {
		t.Errorf("status of a stopping agent: %v", err)
	}
	if _, err := a.Lease(t.Context(), openapi.LeaseRequest{Ref: modelRef}, agent.LeaseOptions{}); !errors.Is(err, &openapi.Error{Code: openapi.CodeUnavailable}) {
		t.Errorf("lease of a stopping agent: %v", err)
	}
}

// TestFaultsAreNotTold keeps the cause of a fault, and panics, in the log.
func TestFaultsAreNotTold(t *testing.T) {
	n := newFakeNode(t, newModel(t, false))
	_, a := start(t, n)
	n.fail = errors.New("secret")
	_, err := a.Load(t.Context(), openapi.LoadRequest{Ref: modelRef, Tier: openapi.TierRAM})
	if !errors.Is(err, &openapi.Error{Code: openapi.CodeInternal}) || strings.Contains(err.Error(), "secret") {
		t.Errorf("load: %v, want internal without its cause", err)
	}
	n.fail = context.Canceled
	if _, err = a.Load(t.Context(), openapi.LoadRequest{Ref: modelRef, Tier: openapi.TierRAM}); !errors.Is(err, &openapi.Error{Code: openapi.CodeUnavailable}) {
		t.Errorf("load: %v, want unavailable", err)
	}
	api := nodeapi.New(nodeapi.Config{Node: nil})
	got := httptest.NewRecorder()
	api.ServeHTTP(got, httptest.NewRequestWithContext(t.Context(), "GET", "/v1/status", nil))
	if codeOf(t, got.Body.Bytes()) != openapi.CodeInternal {
		t.Errorf("a panic is answered %s", got.Body)
	}
}
