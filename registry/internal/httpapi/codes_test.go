package httpapi_test

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/events"
	"github.com/ingot-ml/ingot/registry/internal/httpapi"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/name"
)

// failing is a service that can do nothing, and says why.
type failing struct{ err error }

func (f *failing) StartPush(context.Context, access.Principal, name.Repo) (p openapi.Push, err error) {
	return p, f.err
}

func (f *failing) Push(context.Context, access.Principal, string) (p openapi.Push, err error) {
	return p, f.err
}

func (f *failing) Missing(context.Context, access.Principal, string, []chunker.Digest) ([]bool, error) {
	return nil, f.err
}

func (f *failing) MissingFresh(context.Context, access.Principal, string, []chunker.Digest) ([]bool, error) {
	return nil, f.err
}

func (f *failing) Commit(context.Context, access.Principal, string, []byte, string, string) (c openapi.Committed, err error) {
	return c, f.err
}

func (f *failing) CommitOrphan(context.Context, access.Principal, string, []byte, string, string) (c openapi.Committed, err error) {
	return c, f.err
}

func (f *failing) PutDelta(context.Context, access.Principal, string, chunker.Digest, []byte, versions.Source) (r openapi.Received, err error) {
	return r, f.err
}

func (f *failing) PutDeltas(context.Context, access.Principal, string, []versions.Encoded, versions.Source) (r openapi.Received, err error) {
	return r, f.err
}

func (f *failing) Versions(context.Context, access.Principal, name.Repo, string, int) (l openapi.VersionList, err error) {
	return l, f.err
}

func (f *failing) Manifest(context.Context, access.Principal, name.Repo, chunker.Digest) ([]byte, error) {
	return nil, f.err
}

func (f *failing) Delete(context.Context, access.Principal, name.Repo, chunker.Digest) error {
	return f.err
}

func (f *failing) FileHashes(context.Context, access.Principal, name.Repo, chunker.Digest) (h openapi.FileHashes, err error) {
	return h, f.err
}

func (f *failing) Diff(context.Context, access.Principal, name.Ref, name.Ref) (d openapi.Diff, err error) {
	return d, f.err
}

func (f *failing) Encodings(context.Context, access.Principal, name.Repo, chunker.Digest) (e openapi.Encodings, err error) {
	return e, f.err
}

func (f *failing) Log(context.Context, access.Principal, name.Ref, chunker.Digest, int) (l openapi.Log, err error) {
	return l, f.err
}

func (f *failing) Rule(context.Context, access.Principal, name.Repo) (r openapi.Retention, err error) {
	return r, f.err
}

func (f *failing) SetRule(context.Context, access.Principal, name.Repo, openapi.RetentionRule) (r openapi.Retention, err error) {
	return r, f.err
}

func (f *failing) ClearRule(context.Context, access.Principal, name.Repo) error { return f.err }

func (f *failing) Apply(context.Context, access.Principal, name.Repo, bool) (r openapi.RetentionReport, err error) {
	return r, f.err
}

func (f *failing) Chunks(context.Context, access.Principal, name.Repo, chunker.Digest, []uint32) ([]versions.Located, error) {
	return nil, f.err
}

func (f *failing) Frames(context.Context, access.Principal, versions.Located, versions.Wish, versions.Room) ([]versions.Frame, error) {
	return nil, f.err
}

func (f *failing) Tags(context.Context, access.Principal, name.Repo, string, int) (l openapi.TagList, err error) {
	return l, f.err
}

func (f *failing) Tag(context.Context, access.Principal, name.Repo, string) (t openapi.Tag, err error) {
	return t, f.err
}

func (f *failing) SetTag(context.Context, access.Principal, name.Repo, string, openapi.SetTag) (t openapi.Tag, err error) {
	return t, f.err
}

func (f *failing) DeleteTag(context.Context, access.Principal, name.Repo, string, string) error {
	return f.err
}

func (f *failing) Repos(context.Context, access.Principal, string, string, int) (l openapi.RepoList, err error) {
	return l, f.err
}

func (f *failing) Stats(context.Context, access.Principal, string) (s openapi.Stats, err error) {
	return s, f.err
}

func (f *failing) Listen(access.Principal, []string) (*events.Listener, error) { return nil, f.err }

func (f *failing) Report(access.Principal, string, openapi.NodeReport) error { return f.err }

func (f *failing) Forget(string) error { return f.err }

func (f *failing) List(access.Principal, string) (l openapi.NodeList, err error) { return l, f.err }

func (f *failing) Register(string, openapi.Upstream) error { return f.err }

func (f *failing) Upstreams() (l openapi.UpstreamList, err error) { return l, f.err }

func (f *failing) Run(context.Context, httpapi.Collection) (r openapi.GCReport, err error) {
	return r, f.err
}

func (f *failing) Recode(context.Context, string, func(openapi.CompactProgress)) (r openapi.CompactReport, err error) {
	return r, f.err
}

func (f *failing) Verify(context.Context, bool, func(openapi.VerifyProgress)) (r openapi.VerifyReport, err error) {
	return r, f.err
}

// TestEveryCodeOfEveryOperation sends each operation a request that is right, and
// has it fail in every way that registry.yaml names for it. Those that ask no
// service can only be unavailable, when the registry stops.
func TestEveryCodeOfEveryOperation(t *testing.T) {
	doc, err := openapi3.NewLoader().LoadFromData(openapi.Spec)
	if err != nil {
		t.Fatal(err)
	}
	service := &failing{}
	api := httpapi.New(httpapi.Config{
		Service: service, Events: service, Quotas: service, Nodes: failingNodes{service}, Tokens: failingTokens{service}, Protections: failingProtections{service}, Upstreams: service, Collector: service, Verifier: service, Compactor: service, Retention: service, Memory: 16 << 20,
		Signatures: failingSignatures{service}, Exchanger: failingExchanger{service},
	})
	pairs := 0
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			for _, code := range codesOf(op) {
				if !strings.HasPrefix(path, "/v1/") || path == "/v1/session" || path == "/v1/whoami" {
					continue // below, and in TestSessionRefused and TestWhoami
				}
				service.err = openapi.Errorf(code, "for the test")
				checkFails(t, api, method, path, op, code)
				pairs++
			}
		}
	}
	if pairs < 100 {
		t.Errorf("only %d failures were tried", pairs)
	}
	api.Drain()
	for path, item := range doc.Paths.Map() {
		for method, op := range item.Operations() {
			checkFails(t, api, method, path, op, openapi.CodeUnavailable)
		}
	}
}

// codesOf lists the codes that the specification names for an operation.
func codesOf(op *openapi3.Operation) (codes []openapi.Code) {
	for _, r := range op.Responses.Map() {
		names, _ := r.Value.Extensions["x-codes"].([]any)
		for _, name := range names {
			codes = append(codes, openapi.Code(name.(string)))
		}
	}
	return codes
}

func checkFails(t *testing.T, api http.Handler, method, path string, op *openapi3.Operation, want openapi.Code) {
	t.Helper()
	if op.Responses.Value(strconv.Itoa(want.Status())) == nil {
		t.Errorf("%s: registry.yaml has no answer %d", op.OperationID, want.Status())
	}
	w := httptest.NewRecorder()
	api.ServeHTTP(w, rightRequest(method, path, op))
	resp := w.Result()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	checkError(t, resp, body, want)
}

const noTier = `{"used":0,"budget":0,"models":0}`

// rightRequest makes a request that only the service can refuse.
func rightRequest(method, path string, op *openapi3.Operation) *http.Request {
	path = strings.NewReplacer("{namespace}", "acme", "{model}", "llama", "{digest}", someHex, "{signature}", someHex, "{index}", "0",
		"{tag}", "main", "{push}", "abc123", "{node}", "gpu-01").Replace(path)
	switch op.OperationID {
	case "getChunks":
		path += "?i=0"
	case "getDiff":
		path += "?a=acme/llama&b=acme/llama:next"
	}
	if op.RequestBody == nil {
		return httptest.NewRequest(method, path, nil)
	}
	bodies := map[string][]byte{
		"application/json":     []byte(`{"digest":"` + someHex + `"}`),
		openapi.MediaChunks:    openapi.AppendFrame(nil, chunker.Sum([]byte("x")), []byte("x")),
		openapi.MediaDigests:   make([]byte, chunker.DigestSize),
		openapi.MediaChunk:     []byte("x"),
		openapi.MediaManifest:  []byte("x"),
		openapi.MediaSignature: []byte("x"),
	}
	switch op.OperationID {
	case "reportNode":
		bodies["application/json"] = []byte(`{"program":"","ttl":1,"models":[],"tiers":{"disk":` + noTier + `,"ram":` + noTier + `,"gpu":` + noTier + `}}`)
	case "registerUpstream":
		bodies["application/json"] = []byte(`{"url":"http://127.0.0.1:80","ttl":1}`)
	case "createToken":
		bodies["application/json"] = []byte(`{"scopes":["acme/*:push"]}`)
	case "setProtection":
		bodies["application/json"] = []byte(`{"pattern":"acme/*:prod"}`)
	case "setQuota":
		bodies["application/json"] = []byte(`{"max_bytes":1}`)
	case "setRetention":
		bodies["application/json"] = []byte(`{"keep_last":1}`)
	case "exchangeToken":
		bodies["application/json"] = []byte(`{"token":"x"}`)
	case "collectGarbage":
		bodies["application/json"] = []byte(`{"dry_run":false}`)
	case "compactStore":
		bodies["application/json"] = []byte(`{}`)
	case "verifyStore":
		bodies["application/json"] = []byte(`{"deep":true}`)
	}
	for media := range op.RequestBody.Value.Content {
		r := httptest.NewRequest(method, path, bytes.NewReader(bodies[media]))
		r.Header.Set("Content-Type", media)
		return r
	}
	return nil
}
