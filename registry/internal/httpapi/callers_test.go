package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/trace"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/httpapi"
	"github.com/ingot-ml/ingot/registry/internal/limits"
	"github.com/ingot-ml/ingot/registry/name"
)

// door lets in who says alice or bob, and counts how often it had to look.
type door struct{ looked int }

func (d *door) Authenticate(r *http.Request) (access.Principal, error) {
	d.looked++
	switch who := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "); who {
	case "":
		return access.Guest(access.Scopes{}), nil
	case "alice", "bob":
		return access.Principal{Subject: who, Scopes: "acme/*:pull", Token: who}, nil
	}
	return access.Principal{}, openapi.Errorf(openapi.CodeUnauthorized, "this is no token")
}

// seen is an Observer that counts.
type seen struct {
	answered map[string]int // by route and status
	failed   map[openapi.Code]int
	limited  map[string]int
}

func newSeen() *seen {
	return &seen{map[string]int{}, map[openapi.Code]int{}, map[string]int{}}
}

func (s *seen) Answered(route, method string, status int, _, _ int64, _ time.Duration) {
	s.answered[method+" "+route+" "+http.StatusText(status)]++
}
func (s *seen) Failed(code openapi.Code) { s.failed[code]++ }
func (s *seen) Limited(limit string)     { s.limited[limit]++ }
func (s *seen) Pushed(step string)       { s.answered[step]++ }
func (s *seen) Mistaken()                { s.answered["mistaken"]++ }

// besieged is an API with limits of the test's own time, called without a network.
type besieged struct {
	api  *httpapi.API
	door door
	seen *seen
	now  time.Time
	log  bytes.Buffer
}

func newBesieged(t *testing.T, c limits.Config, views ...httpapi.View) *besieged {
	t.Helper()
	g := &besieged{seen: newSeen(), now: time.Unix(1e9, 0)}
	c.Now = func() time.Time { return g.now }
	f := &fake{tag: func(context.Context) (openapi.Tag, error) {
		return openapi.Tag{Name: "main", Digest: chunker.Sum(nil)}, nil
	}}
	g.api = httpapi.New(httpapi.Config{
		Service: f, Memory: 16 << 20, Views: views, Authenticator: &g.door, Observer: g.seen,
		Callers: httpapi.Callers{Limits: limits.New(c), Proxies: limits.Proxies{netip.MustParsePrefix("10.0.0.0/8")}},
		Logger:  slog.New(trace.Logged(slog.NewTextHandler(&g.log, nil))),
		Metrics: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "counted") }),
		Policy:  onlyBob{},
	})
	return g
}

// onlyBob lets bob run the registry, and everybody do the rest.
type onlyBob struct{}

func (onlyBob) Allow(p access.Principal, _ name.Repo, a access.Action) error {
	if a == access.Admin && p.Subject != "bob" {
		return access.ErrDenied
	}
	return nil
}

// get asks as somebody from an address.
func (g *besieged) get(path, who, from string, headers ...string) *http.Response {
	r := httptest.NewRequest(http.MethodGet, path, nil)
	r.RemoteAddr = from + ":1"
	if who != "" {
		r.Header.Set("Authorization", "Bearer "+who)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	g.api.ServeHTTP(w, r)
	return w.Result()
}

const tagPath = repo + "/tags/main"

// wantLater wants the answer that tells when to come back.
func wantLater(t *testing.T, resp *http.Response, seconds string) {
	t.Helper()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	checkError(t, resp, body, openapi.CodeBusy)
	if got := resp.Header.Get("Retry-After"); got != seconds {
		t.Errorf("come back after %q seconds, want %s", got, seconds)
	}
}

// TestTooManyRequests: an address that asks too often is told so before anybody looks
// who it is, and so is a caller from many addresses.
func TestTooManyRequests(t *testing.T) {
	g := newBesieged(t, limits.Config{PerAddress: 2, PerSubject: 3})
	for i := range 4 {
		if resp := g.get(tagPath, "alice", "192.0.2.1"); resp.StatusCode != http.StatusOK {
			t.Fatalf("request %d: status %d: %s", i, resp.StatusCode, g.log.String())
		}
	}
	looked := g.door.looked
	wantLater(t, g.get(tagPath, "alice", "192.0.2.1"), "1")
	if g.door.looked != looked {
		t.Error("it was looked who asks too often")
	}
	for range 2 {
		g.get(tagPath, "alice", "192.0.2.2")
	}
	wantLater(t, g.get(tagPath, "alice", "192.0.2.3"), "1")
	if resp := g.get(tagPath, "bob", "192.0.2.3"); resp.StatusCode != http.StatusOK {
		t.Errorf("another caller: status %d", resp.StatusCode)
	}
	// Whom a proxy asks for is who counts.
	for i := range 3 {
		if resp := g.get(tagPath, "bob", "10.0.0.1", "X-Forwarded-For", "198.51.100."+string(rune('1'+i))); resp.StatusCode != http.StatusOK {
			t.Errorf("for another one behind a proxy: status %d", resp.StatusCode)
		}
	}
	if g.seen.limited["address"] != 1 || g.seen.limited["subject"] != 1 || g.seen.failed[openapi.CodeBusy] != 2 {
		t.Errorf("counted %v, %v", g.seen.limited, g.seen.failed)
	}
}

// TestGuessedTokens: after ten wrong tokens of an address none is looked at, right or
// wrong, until later. Who shows none is not counted, nor refused.
func TestGuessedTokens(t *testing.T) {
	view := httpapi.View{
		Name: "hub", Owns: func(path string) bool { return strings.HasPrefix(path, "/api/") },
		Refuse: func(w http.ResponseWriter, _ *http.Request, e *openapi.Error) {
			http.Error(w, e.Message, e.Code.Status())
		},
		Handler: http.NotFoundHandler(),
	}
	g := newBesieged(t, limits.Config{Failures: 10}, view)
	for i := range 10 {
		path := tagPath
		if i%2 == 0 {
			path = "/api/models" // by whatever way
		}
		if resp := g.get(path, "guess", "192.0.2.1"); resp.StatusCode != http.StatusUnauthorized {
			t.Fatalf("guess %d: status %d", i, resp.StatusCode)
		}
		g.get(tagPath, "", "192.0.2.1")
	}
	looked := g.door.looked
	wantLater(t, g.get(tagPath, "guess", "192.0.2.1"), "6")
	wantLater(t, g.get(tagPath, "alice", "192.0.2.1"), "6")
	if resp := g.get("/api/models", "guess", "192.0.2.1"); resp.StatusCode != http.StatusTooManyRequests || resp.Header.Get("Retry-After") != "6" ||
		strings.HasPrefix(resp.Header.Get("Content-Type"), "application/json") {
		t.Errorf("the view says %d, %v", resp.StatusCode, resp.Header)
	}
	if g.door.looked != looked {
		t.Error("tokens were looked at")
	}
	if resp := g.get(tagPath, "alice", "192.0.2.2"); resp.StatusCode != http.StatusOK {
		t.Errorf("from another address: status %d", resp.StatusCode)
	}
	if resp := g.get("/healthz", "", "192.0.2.1"); resp.StatusCode != http.StatusOK {
		t.Errorf("without a token: status %d", resp.StatusCode)
	}
	g.now = g.now.Add(6 * time.Second)
	if resp := g.get(tagPath, "alice", "192.0.2.1"); resp.StatusCode != http.StatusOK {
		t.Errorf("later: status %d", resp.StatusCode)
	}
	if g.seen.limited["login"] != 3 || g.seen.answered["mistaken"] != 10 {
		t.Errorf("counted %v, %v", g.seen.limited, g.seen.answered)
	}
}

// TestRequestIDs: a request has one id in its answer, its failure and the log.
func TestRequestIDs(t *testing.T) {
	g := newBesieged(t, limits.Config{})
	for given, taken := range map[string]bool{"abc-123": true, "": false, "a b": false, strings.Repeat("x", 65): false, "\"><script>": false} {
		g.log.Reset()
		resp := g.get("/v1/nowhere", "alice", "192.0.2.1", trace.RequestHeader, given)
		id := resp.Header.Get(trace.RequestHeader)
		var doc openapi.ErrorBody
		if err := json.NewDecoder(resp.Body).Decode(&doc); err != nil {
			t.Fatal(err)
		}
		if (id == given) != taken || !trace.ValidRequest(id) || doc.RequestID != id || !strings.Contains(g.log.String(), "request="+id) {
			t.Errorf("%q: answered as %q, failed as %q, logged %s", given, id, doc.RequestID, g.log.String())
		}
	}
}

// TestFaultHasRequestID: what the log says of a fault is found under the id that the
// caller is told.
func TestFaultHasRequestID(t *testing.T) {
	log := new(lines)
	f := &fake{tag: func(context.Context) (openapi.Tag, error) { return openapi.Tag{}, errors.New("the cause") }}
	api := httpapi.New(httpapi.Config{Service: f, Memory: 1 << 20, Logger: slog.New(slog.NewTextHandler(log, nil))})
	r := httptest.NewRequest(http.MethodGet, tagPath, nil)
	r.Header.Set(trace.RequestHeader, "abc")
	w := httptest.NewRecorder()
	api.ServeHTTP(w, r)
	if !strings.Contains(w.Body.String(), "its log has the cause under abc") || !strings.Contains(log.buf.String(), `id=abc`) || strings.Contains(w.Body.String(), "the cause\"") {
		t.Errorf("told %s, logged %s", w.Body, log.buf.String())
	}
}

// TestMetricsAreForAdmins: at the address of everybody, what is counted is told only to
// who runs the registry.
func TestMetricsAreForAdmins(t *testing.T) {
	g := newBesieged(t, limits.Config{})
	for who, status := range map[string]int{"": http.StatusUnauthorized, "alice": http.StatusForbidden, "bob": http.StatusOK} {
		if resp := g.get("/metrics", who, "192.0.2.1"); resp.StatusCode != status {
			t.Errorf("%q: status %d, want %d", who, resp.StatusCode, status)
		}
	}
	none := httpapi.New(httpapi.Config{Service: &fake{}, Memory: 1 << 20})
	w := httptest.NewRecorder()
	none.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	if w.Code != http.StatusNotFound {
		t.Errorf("where nothing is counted: status %d", w.Code)
	}
}

// TestObserved: every request is told of once, under a route of the program's own.
func TestObserved(t *testing.T) {
	view := httpapi.View{Name: "hub", Owns: func(path string) bool { return strings.HasPrefix(path, "/api/") }, Handler: http.NotFoundHandler()}
	g := newBesieged(t, limits.Config{}, view)
	for _, path := range []string{tagPath, tagPath, "/api/models/x", "/nowhere/" + strings.Repeat("x", 100), "/v1/repos/acme/llama/tags/%zz"} {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.URL.Path = path
		r.Header.Set("Authorization", "Bearer alice")
		g.api.ServeHTTP(httptest.NewRecorder(), r)
	}
	want := map[string]int{
		"GET /v1/repos/:namespace/:model/tags/:tag OK": 2, "GET hub Not Found": 1, "GET none Not Found": 1, "GET /v1/repos/:namespace/:model/tags/:tag Bad Request": 1,
	}
	for what, n := range want {
		if g.seen.answered[what] != n {
			t.Errorf("%s: %d times, want %d; %v", what, g.seen.answered[what], n, g.seen.answered)
		}
	}
	if requests, memory := g.api.Usage(); requests != 0 || memory != 0 {
		t.Errorf("%d requests and %d bytes are under way", requests, memory)
	}
}
