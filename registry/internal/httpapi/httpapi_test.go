package httpapi_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/httpapi"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/name"
)

// fake is a Service of which a test sets what it needs; the rest panics, which
// answers internal.
type fake struct {
	httpapi.Service
	tag      func(ctx context.Context) (openapi.Tag, error)
	missing  []bool
	putChunk func(enc []byte) (openapi.Received, error)
	batch    []versions.Encoded // that came
	located  []versions.Located
	open     func(versions.Located) (io.ReadCloser, error)
	held     []versions.Located // of the model "held"
	heldErr  error
	base     versions.Source // that an upload named
	wish     versions.Wish   // of the request for chunks
	frames   func() []versions.Frame
}

func (f *fake) Tag(ctx context.Context, _ access.Principal, _ name.Repo, _ string) (openapi.Tag, error) {
	return f.tag(ctx)
}

func (f *fake) Missing(context.Context, access.Principal, string, []chunker.Digest) ([]bool, error) {
	return f.missing, nil
}

func (f *fake) MissingFresh(context.Context, access.Principal, string, []chunker.Digest) ([]bool, error) {
	return f.missing, nil
}

func (f *fake) PutDelta(_ context.Context, _ access.Principal, _ string, _ chunker.Digest, enc []byte, base versions.Source) (openapi.Received, error) {
	f.base = base
	return f.putChunk(enc)
}

func (f *fake) PutDeltas(_ context.Context, _ access.Principal, _ string, chunks []versions.Encoded, base versions.Source) (openapi.Received, error) {
	f.batch, f.base = chunks, base
	return openapi.Received{Chunks: len(chunks)}, nil
}

func (f *fake) Chunks(_ context.Context, _ access.Principal, repo name.Repo, _ chunker.Digest, _ []uint32) ([]versions.Located, error) {
	if repo.Name == "held" {
		return f.held, f.heldErr
	}
	return f.located, nil
}

func (f *fake) Frames(_ context.Context, _ access.Principal, l versions.Located, w versions.Wish, _ versions.Room) ([]versions.Frame, error) {
	f.wish = w
	if f.frames != nil {
		return f.frames(), nil
	}
	r, err := f.open(l)
	if err != nil {
		return nil, err
	}
	return []versions.Frame{{Digest: l.Digest, Length: l.Length, ReadCloser: r}}, nil
}

// newServer serves the fake with a budget of memory bytes, and returns its log,
// which is complete when the server is closed.
func newServer(t *testing.T, f *fake, memory int64) (*httptest.Server, *httpapi.API, *lines) {
	t.Helper()
	log := new(lines)
	api := httpapi.New(httpapi.Config{
		Service: f,
		Memory:  memory,
		Logger:  slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Version: "v0",
	})
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	return server, api, log
}

// lines is a log that may be read while it is written.
type lines struct {
	mu  sync.Mutex // protects buf
	buf bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

// request sends one request and returns the response and its whole body.
func request(t *testing.T, method, url, media string, body io.Reader) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	if media != "" {
		req.Header.Set("Content-Type", media)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp, b
}

// checkError wants a response to be that failure, as JSON.
func checkError(t *testing.T, resp *http.Response, body []byte, want openapi.Code) {
	t.Helper()
	_ = failure(t, resp, body, want) // it has the test fail itself
}

// failure is checkError for who looks at more of the error than its code.
func failure(t *testing.T, resp *http.Response, body []byte, want openapi.Code) *openapi.Error {
	t.Helper()
	var doc openapi.ErrorBody
	if err := json.Unmarshal(body, &doc); err != nil || doc.Error == nil {
		t.Fatalf("status %d and %.200q, want a JSON error: %v", resp.StatusCode, body, err)
	}
	if doc.Error.Code != want || resp.StatusCode != want.Status() {
		t.Errorf("status %d, %s (%s), want %d, %s", resp.StatusCode, doc.Error.Code, doc.Error.Message, want.Status(), want)
	}
	if resp.Header.Get("Content-Type") != "application/json" || resp.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v of an error", resp.Header)
	}
	return doc.Error
}

const (
	repo    = "/v1/repos/acme/llama"
	push    = "/v1/pushes/abc123"
	someHex = "8b1a9953c4611296a827abf8c47804d7e9f7a5c1d9dd1a9e0f0a4b8a7a3b2c1d"
)

// TestRefusals are requests that end before the service is asked.
func TestRefusals(t *testing.T) {
	server, _, _ := newServer(t, &fake{}, 1<<20)
	chunk := push + "/chunks/" + someHex
	tests := []struct {
		what, method, path, media, body string
		want                            openapi.Code
	}{
		{"unknown path", "GET", "/v2", "", "", openapi.CodeNotFound},
		{"trailing slash", "GET", "/v1/repos/", "", "", openapi.CodeNotFound},
		{"unknown method", "PATCH", repo + "/tags", "", "", openapi.CodeNotAllowed},
		{"options", "OPTIONS", repo + "/tags", "", "", openapi.CodeNotAllowed},
		{"namespace", "GET", "/v1/repos/-a/llama/tags", "", "", openapi.CodeBadName},
		{"escaped slash", "GET", "/v1/repos/a%2fb/c/tags", "", "", openapi.CodeBadName},
		{"dots", "GET", "/v1/repos/..%2f../c/tags", "", "", openapi.CodeBadName},
		{"tag", "GET", repo + "/tags/" + someHex, "", "", openapi.CodeBadName},
		{"short digest", "GET", repo + "/versions/8b1a", "", "", openapi.CodeBadName},
		{"zero digest", "GET", repo + "/versions/" + strings.Repeat("0", 64), "", "", openapi.CodeBadName},
		{"push", "GET", "/v1/pushes/UPPER", "", "", openapi.CodeBadName},
		{"long push", "GET", "/v1/pushes/" + strings.Repeat("a", 65), "", "", openapi.CodeBadName},
		{"filter", "GET", "/v1/repos?namespace=a/b", "", "", openapi.CodeBadName},
		{"limit 0", "GET", "/v1/repos?limit=0", "", "", openapi.CodeBadRequest},
		{"limit too high", "GET", "/v1/repos?limit=1001", "", "", openapi.CodeBadRequest},
		{"limit empty", "GET", "/v1/repos?limit=", "", "", openapi.CodeBadRequest},
		{"limit no number", "GET", "/v1/repos?limit=x", "", "", openapi.CodeBadRequest},
		{"long after", "GET", repo + "/tags?after=" + strings.Repeat("a", 257), "", "", openapi.CodeBadRequest},
		{"diff with itself missing", "GET", "/v1/diff?a=acme/llama", "", "", openapi.CodeBadRequest},
		{"diff", "GET", "/v1/diff?a=acme/llama&b=x", "", "", openapi.CodeBadName},
		{"expect", "DELETE", repo + "/tags/main?expect=some", "", "", openapi.CodeBadName},
		{"index", "GET", repo + "/versions/" + someHex + "/chunks/4294967296", "", "", openapi.CodeBadRequest},
		{"indexes", "GET", repo + "/versions/" + someHex + "/chunks?i=3-1", "", "", openapi.CodeBadRequest},
		{"too many indexes", "GET", repo + "/versions/" + someHex + "/chunks?i=0-4096", "", "", openapi.CodeTooLarge},
		{"no body", "PUT", chunk, openapi.MediaChunk, "", openapi.CodeBadRequest},
		{"media type", "PUT", chunk, "text/plain", "x", openapi.CodeBadRequest},
		{"no media type", "PUT", chunk, "", "x", openapi.CodeBadRequest},
		{"chunk too long", "PUT", chunk, openapi.MediaChunk, strings.Repeat("x", 3<<20), openapi.CodeTooLarge},
		{"batch too long", "POST", push + "/chunks", openapi.MediaChunks, strings.Repeat("x", 16<<20+1), openapi.CodeTooLarge},
		{"batch cut short", "POST", push + "/chunks", openapi.MediaChunks, "x", openapi.CodeBadRequest},
		{"half a digest", "POST", push + "/missing", openapi.MediaDigests, "x", openapi.CodeBadRequest},
		{"too many digests", "POST", push + "/missing", openapi.MediaDigests, strings.Repeat("x", 8193*32), openapi.CodeTooLarge},
		{"no JSON", "PUT", repo + "/tags/main", "application/json", "{", openapi.CodeBadRequest},
		{"no digest", "PUT", repo + "/tags/main", "application/json", "{}", openapi.CodeBadRequest},
		{"JSON too long", "PUT", repo + "/tags/main", "application/json", strings.Repeat(" ", 1<<20+1), openapi.CodeTooLarge},
		{"expect in JSON", "PUT", repo + "/tags/main", "application/json", `{"digest":"` + someHex + `","expect":"x"}`, openapi.CodeBadName},
		{"commit expects without tag", "POST", push + "/commit?expect=none", openapi.MediaManifest, "x", openapi.CodeBadRequest},
		{"commit tag", "POST", push + "/commit?tag=.", openapi.MediaManifest, "x", openapi.CodeBadName},
		{"collection without dry_run", "POST", "/v1/gc", "application/json", `{}`, openapi.CodeBadRequest},
		{"collection of null", "POST", "/v1/gc", "application/json", `{"dry_run":true,"grace_seconds":null}`, openapi.CodeBadRequest},
		{"grace below zero", "POST", "/v1/gc", "application/json", `{"dry_run":true,"grace_seconds":-1}`, openapi.CodeBadRequest},
		{"grace of a century", "POST", "/v1/gc", "application/json", `{"dry_run":true,"grace_seconds":3153600000}`, openapi.CodeBadRequest},
		{"collection of another type", "POST", "/v1/gc", "text/plain", `{"dry_run":true}`, openapi.CodeBadRequest},
		{"collection too long", "POST", "/v1/gc", "application/json", strings.Repeat(" ", 1<<20+1), openapi.CodeTooLarge},
		{"collection by GET", "GET", "/v1/gc", "", "", openapi.CodeNotAllowed},
		{"verification without deep", "POST", "/v1/verify", "application/json", `{}`, openapi.CodeBadRequest},
		{"verification of a word", "POST", "/v1/verify", "application/json", `{"deep":"yes"}`, openapi.CodeBadRequest},
		{"direct", "GET", repo + "/versions/" + someHex + "/chunks/0?direct=no", "", "", openapi.CodeBadRequest},
		{"panic of a collection", "POST", "/v1/gc", "application/json", `{"dry_run":true}`, openapi.CodeInternal},
		{"panic", "GET", "/v1/stats", "", "", openapi.CodeInternal},
	}
	for _, tt := range tests {
		t.Run(tt.what, func(t *testing.T) {
			resp, body := request(t, tt.method, server.URL+tt.path, tt.media, strings.NewReader(tt.body))
			checkError(t, resp, body, tt.want)
		})
	}
}

// TestLengthIsNeeded sends a body whose length is not said.
func TestLengthIsNeeded(t *testing.T) {
	server, _, _ := newServer(t, &fake{}, 1<<20)
	resp, body := request(t, "POST", server.URL+push+"/missing", openapi.MediaDigests, io.MultiReader(strings.NewReader("x")))
	checkError(t, resp, body, openapi.CodeBadRequest)
}

func TestServiceErrors(t *testing.T) {
	secret := errors.New("disk 7 is on fire")
	for _, tt := range []struct {
		err  error
		want openapi.Code
	}{
		{openapi.Errorf(openapi.CodeNotFound, "tag"), openapi.CodeNotFound},
		{fmt.Errorf("tag: %w", openapi.Errorf(openapi.CodeTagMoved, "moved")), openapi.CodeTagMoved},
		{openapi.Errorf(openapi.CodeBusy, "later"), openapi.CodeBusy},
		{fmt.Errorf("put: %w", blobs.ErrNoSpace), openapi.CodeNoSpace},
		{fmt.Errorf("store: %w", context.Canceled), openapi.CodeUnavailable},
		{secret, openapi.CodeInternal},
	} {
		f := &fake{tag: func(context.Context) (openapi.Tag, error) { return openapi.Tag{}, tt.err }}
		server, _, log := newServer(t, f, 1<<20)
		resp, body := request(t, "GET", server.URL+repo+"/tags/main", "", nil)
		e := failure(t, resp, body, tt.want)
		if again := resp.Header.Get("Retry-After") != ""; again != (tt.want == openapi.CodeBusy || tt.want == openapi.CodeUnavailable) {
			t.Errorf("%s: Retry-After %q", tt.want, resp.Header.Get("Retry-After"))
		}
		if tt.want == openapi.CodeInternal {
			id := e.Message[strings.LastIndexByte(e.Message, ' ')+1:]
			if strings.Contains(e.Message, secret.Error()) || !strings.Contains(log.String(), "id="+id) || !strings.Contains(log.String(), secret.Error()) {
				t.Errorf("message %q, log %s", e.Message, log)
			}
		}
	}
}

// TestGoneCallers ends the request while it is served: the handler's context
// ends, and the connection is closed rather than answered.
func TestGoneCallers(t *testing.T) {
	entered, ended := make(chan struct{}), make(chan struct{})
	f := &fake{tag: func(ctx context.Context) (openapi.Tag, error) {
		close(entered)
		<-ctx.Done()
		close(ended)
		return openapi.Tag{}, ctx.Err()
	}}
	server, _, log := newServer(t, f, 1<<20)
	ctx, cancel := context.WithCancel(t.Context())
	req, err := http.NewRequestWithContext(ctx, "GET", server.URL+repo+"/tags/main", nil)
	if err != nil {
		t.Fatal(err)
	}
	go func() { <-entered; cancel() }()
	if _, err := http.DefaultClient.Do(req); !errors.Is(err, context.Canceled) {
		t.Fatalf("got %v, want canceled", err)
	}
	<-ended
	server.Close()
	if s := log.String(); !strings.Contains(s, "aborted=true") || strings.Contains(s, "ERROR") {
		t.Errorf("log %s, want an aborted request and no fault", s)
	}
}

func TestDrain(t *testing.T) {
	entered, goOn := make(chan struct{}), make(chan struct{})
	f := &fake{tag: func(context.Context) (openapi.Tag, error) {
		close(entered)
		<-goOn
		return openapi.Tag{Name: "main", Digest: chunker.Sum(nil)}, nil
	}}
	server, api, _ := newServer(t, f, 1<<20)
	status := make(chan int)
	go func() {
		resp, err := http.Get(server.URL + repo + "/tags/main")
		if err != nil {
			status <- 0
			return
		}
		resp.Body.Close()
		status <- resp.StatusCode
	}()
	<-entered
	if q := api.Quiet(); q != 0 {
		t.Errorf("quiet for %v during a request", q)
	}
	api.Drain()
	for _, path := range []string{"/healthz", repo + "/tags/main", "/nowhere"} {
		resp, body := request(t, "GET", server.URL+path, "", nil)
		checkError(t, resp, body, openapi.CodeUnavailable)
		if !resp.Close {
			t.Errorf("%s: the connection stays open", path)
		}
	}
	close(goOn)
	if got := <-status; got != http.StatusOK {
		t.Errorf("request under way: status %d, want 200", got)
	}
	server.Close()
	quiet := api.Quiet()
	api.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, "/healthz", nil))
	if api.Quiet() < quiet {
		t.Error("a question for health counts as work")
	}
	if api.Quiet() == 0 {
		t.Error("not quiet after all requests")
	}
}
