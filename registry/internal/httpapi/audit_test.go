package httpapi_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/audit"
	"github.com/ingot-ml/ingot/registry/internal/httpapi"
)

// recorder is an Auditor in memory.
type recorder struct {
	entries []audit.Entry
	err     error // of Ready
}

func (r *recorder) Ready() error         { return r.err }
func (r *recorder) Record(e audit.Entry) { r.entries = append(r.entries, e) }

// last returns the last entry, if one came since the call before.
func (r *recorder) last() (e audit.Entry, ok bool) {
	if len(r.entries) == 0 {
		return e, false
	}
	e = r.entries[len(r.entries)-1]
	r.entries = nil
	return e, true
}

// TestEveryWriteIsRecorded sends every operation that changes something: it is recorded
// under a name, unless a push or a node does it all the time.
func TestEveryWriteIsRecorded(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openapi.Spec)
	if err != nil {
		t.Fatal(err)
	}
	service, log := &failing{err: openapi.Errorf(openapi.CodeConflict, "for the test")}, &recorder{}
	api := httpapi.New(httpapi.Config{
		Service: service, Events: service, Quotas: service, Nodes: failingNodes{service}, Tokens: failingTokens{service}, Protections: failingProtections{service},
		Upstreams: service, Collector: service, Verifier: service, Compactor: service, Retention: service, Memory: 16 << 20,
		Signatures: failingSignatures{service}, Exchanger: failingExchanger{service}, Auditor: log,
	})
	quiet := map[string]bool{"putChunk": true, "putChunks": true, "findMissing": true, "reportNode": true}
	names := map[string]string{}
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			api.ServeHTTP(httptest.NewRecorder(), rightRequest(method, path, op))
			e, recorded := log.last()
			if method == http.MethodGet || quiet[op.OperationID] {
				if recorded && op.OperationID != "getVersion" {
					t.Errorf("%s is recorded: %+v", op.OperationID, e)
				}
				continue
			}
			if !recorded || strings.ContainsAny(e.Action, " /") || names[e.Action] != "" || e.Request == "" || e.From == "" {
				t.Errorf("%s is recorded as %+v (%v), and %s is too", op.OperationID, e, recorded, names[e.Action])
			}
			names[e.Action] = op.OperationID
		}
	}
}

// TestAudit looks at what is recorded of what is done, and of what is denied.
func TestAudit(t *testing.T) {
	log := &recorder{}
	hub := httpapi.View{
		Name: "hub", Owns: func(path string) bool { return strings.HasPrefix(path, "/api/") },
		Refuse: func(w http.ResponseWriter, _ *http.Request, _ *openapi.Error) { w.WriteHeader(http.StatusUnauthorized) },
		Describe: func(r *http.Request) httpapi.Deed {
			return httpapi.Deed{Action: "hub.do", Repo: "acme/model", Writes: r.Method == http.MethodPost, Logged: r.Method == http.MethodPost}
		},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			// As one who was permitted it by an address.
			access.NewContext(r.Context(), access.Principal{Subject: "granted"})
			w.WriteHeader(http.StatusOK)
		}),
	}
	api := httpapi.New(httpapi.Config{
		Service: noTags{}, Authenticator: &passes{guest: access.Guest(nil)}, Policy: access.NewScoped(), Memory: 1 << 20, Auditor: log, Views: []httpapi.View{hub},
	})
	const tag = "/v1/repos/acme/model/tags/"
	for _, tt := range []struct {
		method, path, token string
		want                *audit.Entry
	}{
		{"GET", tag + "main", "acme/*:pull", nil},
		{"GET", tag + "gone", "acme/*:pull", nil},
		{"GET", tag + "main", "rival/*:admin", &audit.Entry{Who: "alice", Token: "id", Repo: "acme/model", Ref: "main", Result: audit.Denied, Status: 404}},
		{"GET", tag + "main", "wrong", &audit.Entry{Who: "anonymous", Repo: "acme/model", Ref: "main", Result: audit.Denied, Status: 401}},
		{"GET", tag + "main", "", &audit.Entry{Who: "anonymous", Repo: "acme/model", Ref: "main", Result: audit.Denied, Status: 401}},
		{"DELETE", tag + "main", "acme/*:push", &audit.Entry{Who: "alice", Token: "id", Action: "tag.delete", Repo: "acme/model", Ref: "main", Result: audit.Denied, Status: 403}},
		{"GET", "/nowhere", "acme/*:pull", nil},
		{"POST", "/api/x", "acme/*:push", &audit.Entry{Who: "granted", Action: "hub.do", Repo: "acme/model", Result: audit.OK, Status: 200}},
		{"GET", "/api/x", "acme/*:push", nil},
		{"GET", "/api/x", "wrong", &audit.Entry{Who: "anonymous", Action: "hub.do", Repo: "acme/model", Result: audit.Denied, Status: 401}},
	} {
		authorization := ""
		if tt.token != "" {
			authorization = "Bearer " + tt.token
		}
		ask(api, tt.method, tt.path, authorization)
		got, recorded := log.last()
		if recorded != (tt.want != nil) {
			t.Errorf("%s %s as %q: recorded %v: %+v", tt.method, tt.path, tt.token, recorded, got)
		}
		if !recorded || tt.want == nil {
			continue
		}
		if got.Request == "" || got.From == "" || got.Time.IsZero() {
			t.Errorf("%s %s: %+v", tt.method, tt.path, got)
		}
		if tt.want.Action == "" {
			got.Action = ""
		}
		got.Request, got.From, got.Time = "", "", tt.want.Time
		if got != *tt.want {
			t.Errorf("%s %s as %q: %+v, want %+v", tt.method, tt.path, tt.token, got, *tt.want)
		}
	}
}

// TestAuditUnwritable changes nothing as long as that cannot be recorded.
func TestAuditUnwritable(t *testing.T) {
	log := &recorder{err: audit.ErrUnwritable}
	api := httpapi.New(httpapi.Config{Service: noTags{}, Authenticator: &passes{}, Policy: access.NewScoped(), Memory: 1 << 20, Auditor: log})
	const tag = "/v1/repos/acme/model/tags/main"
	if w := ask(api, "DELETE", tag, "Bearer acme/*:push"); w.Code != http.StatusServiceUnavailable || !strings.Contains(w.Body.String(), "audit log") {
		t.Errorf("a write: %d %s", w.Code, w.Body)
	}
	if w := ask(api, "GET", tag, "Bearer acme/*:push"); w.Code != http.StatusOK {
		t.Errorf("a read: %d %s", w.Code, w.Body)
	}
	log.err = nil
	if w := ask(api, "DELETE", tag, "Bearer acme/*:push"); w.Code != http.StatusForbidden {
		t.Errorf("a write later: %d %s", w.Code, w.Body)
	}
}
