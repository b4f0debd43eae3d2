package httpapi_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/httpapi"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/name"
)

// works is a Collector, a Verifier and a Compactor that do what a test says.
type works struct {
	collect func(context.Context, httpapi.Collection) (openapi.GCReport, error)
	verify  func(ctx context.Context, deep bool, progress func(openapi.VerifyProgress)) (openapi.VerifyReport, error)
	compact func(ctx context.Context, repo string, progress func(openapi.CompactProgress)) (openapi.CompactReport, error)
}

func (w *works) Run(ctx context.Context, o httpapi.Collection) (openapi.GCReport, error) {
	return w.collect(ctx, o)
}

func (w *works) Verify(ctx context.Context, deep bool, progress func(openapi.VerifyProgress)) (openapi.VerifyReport, error) {
	return w.verify(ctx, deep, progress)
}

func (w *works) Recode(ctx context.Context, repo string, progress func(openapi.CompactProgress)) (openapi.CompactReport, error) {
	return w.compact(ctx, repo, progress)
}

// serveWorks serves w, with more of the configuration by change.
func serveWorks(t *testing.T, w *works, change func(*httpapi.Config)) (*httptest.Server, *httpapi.API) {
	t.Helper()
	c := httpapi.Config{Service: &fake{}, Collector: w, Verifier: w, Compactor: w, Memory: 1 << 20}
	if change != nil {
		change(&c)
	}
	api := httpapi.New(c)
	server := httptest.NewServer(api)
	t.Cleanup(server.Close)
	return server, api
}

// begin sends a document and returns the answer, whose body the caller reads.
func begin(t *testing.T, ctx context.Context, url, doc string) *http.Response {
	t.Helper()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader(doc))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = resp.Body.Close() })
	return resp
}

// nextLine reads one line of an answer.
func nextLine[T any](t *testing.T, r *bufio.Reader) (line T) {
	t.Helper()
	b, err := r.ReadBytes('\n')
	if err != nil {
		t.Fatalf("line %q: %v", b, err)
	}
	if err := json.Unmarshal(b, &line); err != nil {
		t.Fatalf("line %q: %v", b, err)
	}
	return line
}

const (
	dry = `{"dry_run":true,"grace_seconds":60}`
	wet = `{"dry_run":false}`
)

// TestCollect has a collection tell how far it is and, when that was read, end.
func TestCollect(t *testing.T) {
	read := make(chan struct{})
	w := &works{collect: func(_ context.Context, o httpapi.Collection) (openapi.GCReport, error) {
		if !o.DryRun || o.Grace == nil || *o.Grace != time.Minute {
			t.Errorf("asked for %+v", o)
		}
		o.Progress(openapi.GCProgress{Phase: "mark", Epoch: 3, Done: 1, Total: 4})
		<-read
		return openapi.GCReport{DryRun: true, Epoch: 3, Freed: openapi.GCTotal{Objects: 2, Bytes: 7}}, nil
	}}
	server, _ := serveWorks(t, w, nil)
	resp := begin(t, t.Context(), server.URL+"/v1/gc", dry)
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != openapi.MediaLines || resp.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("status %d, header %v", resp.StatusCode, resp.Header)
	}
	lines := bufio.NewReader(resp.Body)
	if line := nextLine[openapi.GCLine](t, lines); line.Progress == nil || *line.Progress != (openapi.GCProgress{Phase: "mark", Epoch: 3, Done: 1, Total: 4}) {
		t.Errorf("progress %+v", line.Progress)
	}
	close(read)
	line := nextLine[openapi.GCLine](t, lines)
	if line.Report == nil || line.Report.Freed.Bytes != 7 || line.Report.Kept == nil || line.Report.Anomalies == nil {
		t.Errorf("report %+v", line.Report)
	}
	if rest, err := io.ReadAll(lines); err != nil || len(rest) > 0 {
		t.Errorf("behind the report: %q, %v", rest, err)
	}
}

// TestVerify reads a report whose lists are empty.
func TestVerify(t *testing.T) {
	w := &works{verify: func(_ context.Context, deep bool, progress func(openapi.VerifyProgress)) (openapi.VerifyReport, error) {
		progress(openapi.VerifyProgress{Phase: "read"})
		return openapi.VerifyReport{Chunks: 5, Missing: []openapi.BadObject{{Object: "c/1"}}}, nil
	}}
	server, _ := serveWorks(t, w, nil)
	resp, body := request(t, http.MethodPost, server.URL+"/v1/verify", "application/json", strings.NewReader(`{"deep":true}`))
	want := `{"report":{"versions":0,"chunks":5,"objects":0,"bytes":0,"bad":[],` +
		`"missing":[{"object":"c/1","digest":"","reason":"","versions":[]}],"foreign":[],"healed":0,"seconds":0}}` + "\n"
	if resp.StatusCode != http.StatusOK || !strings.HasSuffix(string(body), want) {
		t.Errorf("status %d, %s", resp.StatusCode, body)
	}
}

// TestWorkFails fails before and after the first line.
func TestWorkFails(t *testing.T) {
	told, read := false, make(chan struct{})
	w := &works{collect: func(_ context.Context, o httpapi.Collection) (openapi.GCReport, error) {
		if told {
			o.Progress(openapi.GCProgress{Phase: "sweep"})
			<-read
		}
		return openapi.GCReport{}, errors.New("the disk of the store is on fire")
	}}
	server, _ := serveWorks(t, w, nil)
	resp, body := request(t, http.MethodPost, server.URL+"/v1/gc", "application/json", strings.NewReader(wet))
	checkError(t, resp, body, openapi.CodeInternal)

	told = true
	lines := bufio.NewReader(begin(t, t.Context(), server.URL+"/v1/gc", wet).Body)
	if line := nextLine[openapi.GCLine](t, lines); line.Progress == nil {
		t.Errorf("line %+v, want progress", line)
	}
	close(read)
	line := nextLine[openapi.GCLine](t, lines)
	if line.Error == nil || line.Error.Code != openapi.CodeInternal || strings.Contains(line.Error.Message, "fire") || line.Report != nil {
		t.Errorf("last line %+v", line)
	}
}

func TestCompact(t *testing.T) {
	w := &works{compact: func(_ context.Context, repo string, tell func(openapi.CompactProgress)) (openapi.CompactReport, error) {
		if repo == "acme/none" {
			return openapi.CompactReport{}, openapi.Errorf(openapi.CodeNotFound, "no such model")
		}
		tell(openapi.CompactProgress{Phase: "versions", Done: 1, Total: 2, Gained: 5})
		return openapi.CompactReport{Chunks: int64(len(repo)), BytesGained: 5}, nil
	}}
	server, _ := serveWorks(t, w, nil)
	resp := begin(t, t.Context(), server.URL+"/v1/compact", `{"repo":"acme/llama"}`)
	if line := nextLine[openapi.CompactLine](t, bufio.NewReader(resp.Body)); line.Report == nil || line.Report.Chunks != 10 || line.Report.BytesGained != 5 {
		t.Errorf("status %d, line %+v", resp.StatusCode, line)
	}
	resp, body := request(t, http.MethodPost, server.URL+"/v1/compact", "application/json", strings.NewReader(`{"repo":"acme/none"}`))
	checkError(t, resp, body, openapi.CodeNotFound)
	server, _ = serveWorks(t, w, func(c *httpapi.Config) { c.ReadOnly = true })
	resp, body = request(t, http.MethodPost, server.URL+"/v1/compact", "application/json", strings.NewReader(`{}`))
	checkError(t, resp, body, openapi.CodeReadOnly)
}

// TestOneAtATime asks for a second collection, and a verification, during the first.
func TestOneAtATime(t *testing.T) {
	begun, end := make(chan struct{}), make(chan struct{})
	w := &works{
		collect: func(context.Context, httpapi.Collection) (openapi.GCReport, error) {
			begun <- struct{}{}
			<-end
			return openapi.GCReport{}, nil
		},
		verify: func(context.Context, bool, func(openapi.VerifyProgress)) (openapi.VerifyReport, error) {
			return openapi.VerifyReport{}, nil
		},
	}
	server, _ := serveWorks(t, w, nil)
	first := make(chan *http.Response, 1)
	go func() { first <- begin(t, t.Context(), server.URL+"/v1/gc", wet) }()
	<-begun
	resp, body := request(t, http.MethodPost, server.URL+"/v1/gc", "application/json", strings.NewReader(dry))
	checkError(t, resp, body, openapi.CodeBusy)
	if resp, body := request(t, http.MethodPost, server.URL+"/v1/verify", "application/json", strings.NewReader(`{"deep":false}`)); resp.StatusCode != http.StatusOK {
		t.Errorf("a verification beside a collection: status %d, %s", resp.StatusCode, body)
	}
	close(end)
	if line := nextLine[openapi.GCLine](t, bufio.NewReader((<-first).Body)); line.Report == nil {
		t.Errorf("the first collection: %+v", line)
	}

	// Who has read a report may ask again at once.
	go func() {
		for range begun {
		}
	}()
	for range 50 {
		resp := begin(t, t.Context(), server.URL+"/v1/gc", dry)
		if line := nextLine[openapi.GCLine](t, bufio.NewReader(resp.Body)); line.Report == nil {
			t.Fatalf("status %d, line %+v", resp.StatusCode, line)
		}
	}
	close(begun)
}

// TestWorkEnds ends work from either side.
func TestWorkEnds(t *testing.T) {
	ended := make(chan error, 1)
	w := &works{collect: func(ctx context.Context, o httpapi.Collection) (openapi.GCReport, error) {
		o.Progress(openapi.GCProgress{Phase: "mark"})
		<-ctx.Done()
		ended <- ctx.Err()
		return openapi.GCReport{}, ctx.Err()
	}}
	server, api := serveWorks(t, w, nil)
	ctx, leave := context.WithCancel(t.Context())
	lines := bufio.NewReader(begin(t, ctx, server.URL+"/v1/gc", wet).Body)
	_ = nextLine[openapi.GCLine](t, lines) // it works
	leave()
	if err := <-ended; err == nil {
		t.Error("the collection of a caller who went away went on")
	}

	// The one before may still be about to return.
	var resp *http.Response
	for resp = begin(t, t.Context(), server.URL+"/v1/gc", wet); resp.StatusCode == openapi.CodeBusy.Status(); {
		resp = begin(t, t.Context(), server.URL+"/v1/gc", wet)
	}
	lines = bufio.NewReader(resp.Body)
	_ = nextLine[openapi.GCLine](t, lines)
	api.Drain()
	if line := nextLine[openapi.GCLine](t, lines); line.Error == nil || line.Error.Code != openapi.CodeUnavailable {
		t.Errorf("line of a registry that stops: %+v", line)
	}
	if err := <-ended; err == nil {
		t.Error("the collection of a registry that stops went on")
	}
}

// noAdmins is a policy that lets nobody do what concerns the registry as a whole.
type noAdmins struct{}

func (noAdmins) Allow(_ access.Principal, r name.Repo, a access.Action) error {
	if a == access.Admin && r == (name.Repo{}) {
		return access.ErrDenied
	}
	return nil
}

func TestUpkeepIsForAdmins(t *testing.T) {
	server, _ := serveWorks(t, &works{}, func(c *httpapi.Config) { c.Policy = noAdmins{} })
	for path, doc := range map[string]string{"/v1/gc": dry, "/v1/verify": `{"deep":true}`, "/v1/compact": `{}`} {
		resp, body := request(t, http.MethodPost, server.URL+path, "application/json", strings.NewReader(doc))
		checkError(t, resp, body, openapi.CodeForbidden)
	}
}

// TestReadOnly refuses what registry.yaml says a read-only registry refuses, and a
// dry run is none of that.
func TestReadOnly(t *testing.T) {
	w := &works{collect: func(context.Context, httpapi.Collection) (openapi.GCReport, error) {
		return openapi.GCReport{}, nil
	}}
	server, _ := serveWorks(t, w, func(c *httpapi.Config) { c.ReadOnly = true })
	version, tag := repo+"/versions/"+someHex, repo+"/tags/main"
	for _, tt := range []struct{ method, path, media, body string }{
		{"DELETE", version, "", ""},
		{"PUT", tag, "application/json", "{}"},
		{"DELETE", tag, "", ""},
		{"POST", repo + "/pushes", "", ""},
		{"POST", push + "/missing", openapi.MediaDigests, "x"},
		{"PUT", push + "/chunks/" + someHex, openapi.MediaChunk, "x"},
		{"POST", push + "/chunks", openapi.MediaChunks, "x"},
		{"POST", push + "/commit", openapi.MediaManifest, "x"},
		{"POST", "/v1/gc", "application/json", wet},
	} {
		resp, body := request(t, tt.method, server.URL+tt.path, tt.media, strings.NewReader(tt.body))
		if e := failure(t, resp, body, openapi.CodeReadOnly); !strings.Contains(e.Message, "replica") {
			t.Errorf("%s %s: %s", tt.method, tt.path, e.Message)
		}
	}
	if resp, body := request(t, http.MethodPost, server.URL+"/v1/gc", "application/json", strings.NewReader(dry)); resp.StatusCode != http.StatusOK {
		t.Errorf("a dry run: status %d, %s", resp.StatusCode, body)
	}
}

// TestRedirect sends those who allow it, for a chunk that has an address.
func TestRedirect(t *testing.T) {
	const secret = "https://store.example/bucket/c/1?X-Amz-Signature=secret"
	log, plain := new(lines), []byte("encoded")
	var ok bool
	var fail error
	f := &fake{
		located: []versions.Located{{Digest: chunker.Sum(plain), Length: int64(len(plain))}},
		open: func(versions.Located) (io.ReadCloser, error) {
			return io.NopCloser(strings.NewReader(string(plain))), nil
		},
	}
	server, _ := serveWorks(t, nil, func(c *httpapi.Config) {
		c.Service = f
		c.Logger = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
		c.Redirect = func(_ context.Context, l versions.Located) (string, bool, error) {
			if l.Digest != f.located[0].Digest {
				t.Errorf("asked for the address of %+v", l)
			}
			return secret, ok, fail
		}
	})
	stay := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	get := func(method, query, has string) (*http.Response, string) {
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+repo+"/versions/"+someHex+"/chunks/0"+query, nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("If-None-Match", has)
		resp, err := stay.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp, string(body)
	}
	ok = true
	resp, body := get("GET", "?direct=yes", "")
	if resp.StatusCode != http.StatusTemporaryRedirect || resp.Header.Get("Location") != secret || body != "" ||
		resp.Header.Get("Cache-Control") != "no-store" || resp.Header.Get("Ingot-Chunk") != chunker.Sum(plain).String() {
		t.Errorf("status %d, header %v, body %q", resp.StatusCode, resp.Header, body)
	}
	if resp, _ := get("GET", "?direct=yes", `"`+chunker.Sum(plain).String()+`"`); resp.StatusCode != http.StatusNotModified {
		t.Errorf("a chunk that the caller has: status %d", resp.StatusCode)
	}
	if resp, _ := get("HEAD", "?direct=yes", ""); resp.StatusCode != http.StatusOK || resp.ContentLength != int64(len(plain)) {
		t.Errorf("HEAD: status %d, length %d", resp.StatusCode, resp.ContentLength)
	}
	if resp, body := get("GET", "", ""); resp.StatusCode != http.StatusOK || body != string(plain) {
		t.Errorf("who does not allow it: status %d, %q", resp.StatusCode, body)
	}
	ok = false
	if resp, body := get("GET", "?direct=yes", ""); resp.StatusCode != http.StatusOK || body != string(plain) {
		t.Errorf("a part of a bundle: status %d, %q", resp.StatusCode, body)
	}
	ok, fail = true, errors.New("no credentials")
	if resp, body := get("GET", "?direct=yes", ""); resp.StatusCode != http.StatusOK || body != string(plain) {
		t.Errorf("no address: status %d, %q", resp.StatusCode, body)
	}
	server.Close()
	if text := log.String(); strings.Contains(text, "secret") || !strings.Contains(text, "no credentials") {
		t.Errorf("the log: %s", text)
	}
}
