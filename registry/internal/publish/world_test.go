package publish_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/hub"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/commits"
	"github.com/ingot-ml/ingot/registry/internal/grants"
	"github.com/ingot-ml/ingot/registry/internal/ingest"
	"github.com/ingot-ml/ingot/registry/internal/publish"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/internal/view"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/stream"
)

// partSize is the size from which files are sent in parts.
const partSize = int64(100_000)

// spool is the room for files that arrive.
const spool = 4 << 20

// noIndex is an index that knows nothing.
type noIndex struct{}

func (noIndex) Add(context.Context, string, chunker.Digest, []chunker.Ref) error { return nil }
func (noIndex) Lookup(_ context.Context, d []chunker.Digest, _ versions.Reach) ([][]versions.Source, error) {
	return make([][]versions.Source, len(d)), nil
}

// guests may read what they like, and write only to their own namespace.
type guests struct{}

func (guests) Allow(p access.Principal, r name.Repo, a access.Action) error {
	if a == access.Read || p.Subject == r.Namespace {
		return nil
	}
	return access.ErrDenied
}

// world is a hub with replicas on one store. Requests go to them in turn.
type world struct {
	t        *testing.T
	versions *versions.Service
	servers  []*httptest.Server
	turn     int
	now      time.Time
}

func newWorld(t *testing.T, replicas int) *world {
	t.Helper()
	w := &world{t: t, now: time.Now()}
	policy := access.ByModel(guests{})
	engine := registers.NewMemory()
	config := versions.Config{
		Registers: engine, Blobs: blobs.NewMemory(), Index: noIndex{}, Policy: policy,
		Now: func() time.Time { return w.now }, Logger: slog.New(slog.DiscardHandler),
	}
	for range replicas {
		w.versions = versions.New(config)
		h := hub.New(hub.Config{Source: view.New(w.versions, stream.NewAhead(64<<20, 0)), Writer: w.writer(config), PartSize: partSize})
		s := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
			subject := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
			h.ServeHTTP(rw, r.WithContext(access.NewContext(r.Context(), access.Principal{Subject: subject})))
		}))
		t.Cleanup(s.Close)
		w.servers = append(w.servers, s)
	}
	return w
}

func (w *world) writer(c versions.Config) hub.Writer {
	store, err := ingest.New(ingest.Config{Versions: w.versions, Dir: w.t.TempDir(), Limit: spool, Now: c.Now})
	if err != nil {
		w.t.Fatal(err)
	}
	return publish.New(publish.Config{
		Versions: w.versions, Ingest: store, Commits: commits.New(w.versions, store, c.Logger),
		Grants: grants.New(grants.Config{Registers: c.Registers, Now: c.Now, Rand: rand.Reader}),
		Policy: c.Policy, Logger: c.Logger,
	})
}

// reply is what a server answered.
type reply struct {
	status int
	header http.Header
	body   string
}

// field returns a field of the JSON of the reply, "" for none.
func (r reply) field(path ...string) string {
	var v any
	if json.Unmarshal([]byte(r.body), &v) != nil {
		return ""
	}
	for _, p := range path {
		switch at := v.(type) {
		case map[string]any:
			v = at[p]
		case []any:
			var i int
			if _, err := fmt.Sscan(p, &i); err != nil || i >= len(at) {
				return ""
			}
			v = at[i]
		}
	}
	if v == nil {
		return ""
	}
	return fmt.Sprint(v)
}

// do makes a request as acme, unless the address has its own permission.
func (w *world) do(method, path, body string) reply { return w.as("acme", method, path, body) }

func (w *world) as(who, method, path, body string) reply {
	w.t.Helper()
	server := w.servers[w.turn%len(w.servers)]
	w.turn++
	if _, rest, ok := strings.Cut(path, "://"); ok { // an address that was told: any replica takes it
		path = rest[strings.Index(rest, "/"):]
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, server.URL+path, strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	if who != "" {
		r.Header.Set("Authorization", "Bearer "+who)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = resp.Body.Close() }()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(b)}
}

// want fails the test unless the reply has that status, and says something.
func (w *world) want(what string, r reply, status int, says string) reply {
	w.t.Helper()
	if r.status != status || !strings.Contains(r.body, says) {
		w.t.Fatalf("%s: %d %s, want %d and %q", what, r.status, r.body, status, says)
	}
	if status >= 400 && r.header.Get("X-Error-Message") == "" {
		w.t.Errorf("%s: no X-Error-Message", what)
	}
	return r
}

func (w *world) create() {
	w.t.Helper()
	w.want("create", w.do("POST", "/api/repos/create", `{"name":"model","organization":"acme"}`), 200, "/acme/model")
}

// commit commits lines.
func (w *world) commit(lines ...string) reply {
	w.t.Helper()
	return w.do("POST", "/api/models/acme/model/commit/main", strings.Join(lines, "\n"))
}

func header(parent string) string {
	return `{"key":"header","value":{"summary":"a title","description":"and more","parentCommit":"` + parent + `"}}`
}

func file(path, content string) string {
	return `{"key":"file","value":{"content":"` + base64.StdEncoding.EncodeToString([]byte(content)) + `","path":"` + path + `","encoding":"base64"}}`
}

func lfsFile(path string, content []byte) string {
	return fmt.Sprintf(`{"key":"lfsFile","value":{"path":%q,"algo":"sha256","oid":%q,"size":%d}}`, path, sumOf(content), len(content))
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = mathrand.NewChaCha8([32]byte{seed}).Read(b) // never fails
	return b
}

// batch asks where to upload contents.
func (w *world) batch(transfers string, contents ...[]byte) reply {
	w.t.Helper()
	var objects []string
	for _, c := range contents {
		objects = append(objects, fmt.Sprintf(`{"oid":%q,"size":%d}`, sumOf(c), len(c)))
	}
	return w.want("batch", w.do("POST", "/acme/model.git/info/lfs/objects/batch",
		`{"operation":"upload","transfers":[`+transfers+`],"objects":[`+strings.Join(objects, ",")+`],"hash_algo":"sha256"}`), 200, "objects")
}

// upload uploads a content at once.
func (w *world) upload(content []byte) {
	w.t.Helper()
	href := w.batch(`"basic"`, content).field("objects", "0", "actions", "upload", "href")
	w.want("upload", w.as("", "PUT", href, string(content)), 200, "")
}

// has reports whether the repository has a content.
func (w *world) has(content []byte) bool {
	w.t.Helper()
	return w.batch(`"basic"`, content).field("objects", "0", "actions") == ""
}

// read compares a file of a revision.
func (w *world) read(revision, path string, want []byte) {
	w.t.Helper()
	r := w.do("GET", "/acme/model/resolve/"+revision+"/"+path, "")
	if r.status != 200 || !bytes.Equal([]byte(r.body), want) || strings.Trim(r.header.Get("ETag"), `"`) != sumOf(want) {
		w.t.Errorf("%s at %s: %d, %d bytes, %s", path, revision, r.status, len(r.body), r.header.Get("ETag"))
	}
}
