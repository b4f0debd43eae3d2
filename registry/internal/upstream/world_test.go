package upstream_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/hub"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/arrival"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/commits"
	"github.com/ingot-ml/ingot/registry/internal/hubclient"
	"github.com/ingot-ml/ingot/registry/internal/hubtest"
	"github.com/ingot-ml/ingot/registry/internal/ingest"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/upstream"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/internal/view"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/stream"
)

var (
	llama = name.Repo{Namespace: "acme", Name: "llama"}
	alice = access.Principal{Subject: "alice"}
)

// clock is a time that only moves when told to.
type clock struct{ at atomic.Int64 }

func (c *clock) now() time.Time {
	return time.Unix(1_800_000_000, 0).UTC().Add(time.Duration(c.at.Load()))
}
func (c *clock) pass(d time.Duration) { c.at.Add(int64(d)) }

// world is a registry with an upstream, in memory.
type world struct {
	*upstream.Source
	t        *testing.T
	clock    clock
	versions *versions.Service
	ingest   *ingest.Store
	commits  *commits.Service
	view     *view.View
	config   upstream.Config
	url      string // its hub
}

// noIndex is an index that knows nothing.
type noIndex struct{}

func (noIndex) Add(context.Context, string, chunker.Digest, []chunker.Ref) error { return nil }
func (noIndex) Lookup(_ context.Context, d []chunker.Digest, _ versions.Reach) ([][]versions.Source, error) {
	return make([][]versions.Source, len(d)), nil
}

// newWorld returns a registry behind a hub, as changed by change.
func newWorld(t *testing.T, h *hubtest.Hub, change func(*upstream.Config)) *world {
	t.Helper()
	w := &world{t: t}
	quiet := slog.New(slog.DiscardHandler)
	w.versions = versions.New(versions.Config{
		Registers: registers.NewMemory(), Blobs: blobs.NewMemory(), Index: noIndex{}, Policy: access.ByModel(access.Open{}),
		Now: w.clock.now, Rand: randomness{}, Logger: quiet,
	})
	store, err := ingest.New(ingest.Config{Versions: w.versions, Dir: t.TempDir(), Limit: 64 << 20, Now: w.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	w.ingest, w.commits = store, commits.New(w.versions, store, quiet)
	w.view = view.New(w.versions, stream.NewAhead(64<<20, 0))
	t.Cleanup(w.view.Close)
	w.config = upstream.Config{
		Local: w.view, Store: store, Versions: upstream.Registry{Commits: w.commits, Versions: w.versions},
		Foreign: view.ForeignTag, Name: "ingot-" + t.Name(), Now: w.clock.now,
		Client:  hubclient.Config{Patience: time.Minute, Stall: time.Minute},
		Arrival: arrival.Config{Pause: time.Millisecond},
	}
	if h != nil {
		w.config.Hubs = []upstream.Hub{{URL: h.URL, Token: h.Token}}
		w.config.Hosts = []string{hostOf(h.CDN)}
	}
	if change != nil {
		change(&w.config)
	}
	w.open()
	return w
}

type randomness struct{}

func (randomness) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(rand.Uint32())
	}
	return len(p), nil
}

// open begins a Source on what is kept.
func (w *world) open() {
	w.t.Helper()
	s, err := upstream.New(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	w.Source = s
	w.t.Cleanup(s.Close)
	server := httptest.NewServer(s.Handler(hub.New(hub.Config{Source: s})))
	w.t.Cleanup(server.Close)
	w.url = server.URL
}

// again closes the Source, which ends what goes on behind requests, and opens it anew
// as changed by change.
func (w *world) again(change func(*upstream.Config)) {
	w.t.Helper()
	w.settle()
	w.Close()
	if change != nil {
		change(&w.config)
	}
	w.open()
}

// settle waits until nothing goes on behind requests.
func (w *world) settle() {
	w.t.Helper()
	w.Source.Settle()
}

func hostOf(address string) string {
	u, _ := url.Parse(address)
	return u.Host
}

// noise makes n bytes.
func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b) // never fails
	return b
}

// weightsSize is that of the larger file, which is served before it is proven.
const weightsSize = 700_001

// model is the files of a commit.
func model(seed byte) map[string]hubtest.File {
	return map[string]hubtest.File{
		"README.md":         {Bytes: []byte("# a model")},
		"sub/config.json":   {Bytes: []byte(`{"a": 1}`)},
		"empty":             {},
		"weights.bin":       {Bytes: noise(seed, weightsSize), LFS: true},
		"other.safetensors": {Bytes: noise(9, 100_000), LFS: true}, // the same in all commits
	}
}

// get asks the world's hub for a file.
func (w *world) get(revision, path string, header ...string) (*http.Response, []byte, error) {
	w.t.Helper()
	return w.ask(http.MethodGet, "/acme/llama/resolve/"+revision+"/"+path, header...)
}

func (w *world) ask(method, path string, header ...string) (*http.Response, []byte, error) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		return &http.Response{StatusCode: http.StatusOK}, nil, err // it was cut off
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	return a, b, err
}

// wantStatus asks and compares status and code.
func (w *world) wantStatus(path string, status int, code string) {
	w.t.Helper()
	a, b, _ := w.ask(http.MethodGet, path)
	if a.StatusCode != status || a.Header.Get("X-Error-Code") != code {
		w.t.Errorf("GET %s: %d %q %.200q, want %d %q", path, a.StatusCode, a.Header.Get("X-Error-Code"), b, status, code)
	}
}

// wantFiles reads all files at a revision and compares them.
func (w *world) wantFiles(revision string, files map[string]hubtest.File) {
	w.t.Helper()
	for path, f := range files {
		a, b, err := w.get(revision, path)
		if err != nil || a.StatusCode != http.StatusOK || !bytes.Equal(b, f.Bytes) {
			w.t.Errorf("%s at %s: %s, %d bytes, %v", path, revision, a.Status, len(b), err)
		}
	}
}

// wantHere compares what a revision has in the registry itself.
func (w *world) wantHere(revision, commit string, files map[string]hubtest.File, paths ...string) *catalog.Revision {
	w.t.Helper()
	r, err := w.view.Revision(w.t.Context(), llama, revision)
	if err != nil {
		w.t.Errorf("%s here: %v", revision, err)
		return nil
	}
	if r.Commit != commit || len(r.Files) != len(paths) {
		w.t.Errorf("%s here is commit %s with files %+v", revision, r.Commit, r.Files)
	}
	for _, p := range paths {
		f := r.File(p)
		if f == nil || f.SHA256 != hubtest.SHA256(files[p].Bytes) {
			w.t.Errorf("%s here: %s is %+v", revision, p, f)
		}
	}
	return r
}

// pushHere makes a version as people here do.
func (w *world) pushHere(repo name.Repo, tag string) {
	w.t.Helper()
	ctx, p := w.t.Context(), alice
	push, err := w.versions.StartPush(ctx, p, repo)
	if err != nil {
		w.t.Fatal(err)
	}
	b := manifest.NewBuilder()
	b.Add(manifest.File{Path: "mine", Format: "opaque"}, nil)
	m, err := b.Build(chunker.Digest{}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	doc, err := m.Encode()
	if err == nil {
		_, err = w.versions.Commit(ctx, p, push.ID, doc, tag, openapi.ExpectNone)
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// registered lists the hubs.
func (w *world) registered() []openapi.UpstreamInfo {
	w.t.Helper()
	list, err := w.Upstreams()
	if err != nil {
		w.t.Fatal(err)
	}
	return list.Upstreams
}
