package access_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// role is somebody who asks about acme/llama, or in one case about public/llama.
type role int

// The roles, as the columns of the table.
const (
	none   role = iota // without a token
	public             // without a token, about a repository that everybody may read
	pull
	push
	admin
	other // an admin of another namespace
	runs  // who runs the registry
	numRoles
)

var roleNames = [numRoles]string{
	"nobody", "nobody, public repository", "`acme/*:pull`", "`acme/*:push`", "`acme/*:admin`", "`other/*:admin`", "`*:admin`",
}

// world is a registry with access control, and a token for each role.
type world struct {
	t      *testing.T
	url    string
	http   *http.Client
	tokens [numRoles]string
	made   atomic.Int64
}

func newWorld(t *testing.T) *world {
	t.Helper()
	r, err := registry.Open(t.Context(), registry.Config{
		Data: t.TempDir(), Access: registry.AccessTokens, Anonymous: []string{"public/*"}, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(r.Handler())
	w := &world{t: t, url: server.URL, http: server.Client()}
	w.http.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	w.tokens[runs] = r.AdminToken()
	for role, scope := range map[role]string{pull: "acme/*:pull", push: "acme/*:push", admin: "acme/*:admin", other: "other/*:admin"} {
		w.tokens[role] = w.token(scope)
	}
	for _, repo := range []string{"acme/llama", "public/llama", "other/llama"} {
		c := &cell{world: w, role: runs, repo: repo}
		c.version("main")
	}
	return w
}

// token makes a token.
func (w *world) token(scope string) string {
	w.t.Helper()
	var made openapi.NewToken
	w.do(http.StatusCreated, w.tokens[runs], request{method: "POST", path: "/v1/tokens", body: fmt.Sprintf(`{"scopes":[%q],"name":"t%d"}`, scope, w.made.Add(1))}, &made)
	return made.Text
}

// request is one that a role makes.
type request struct {
	method string // empty is GET
	path   string
	media  string // empty is JSON, for one with a body
	body   string
	header map[string]string
	token  string // another than the role's, "-" for none
}

// answer is what came of it.
type answer struct {
	status int
	header http.Header
	body   []byte
}

func (w *world) ask(token string, q request) answer {
	w.t.Helper()
	method := q.method
	if method == "" {
		method = http.MethodGet
	}
	path := q.path
	if path[0] == '/' {
		path = w.url + path
	}
	var body io.Reader
	if q.body != "" {
		body = bytes.NewReader([]byte(q.body))
	}
	r, err := http.NewRequestWithContext(w.t.Context(), method, path, body)
	if err != nil {
		w.t.Fatal(err)
	}
	if q.body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if q.media != "" {
		r.Header.Set("Content-Type", q.media)
	}
	for key, value := range q.header {
		r.Header.Set(key, value)
	}
	if q.token != "" {
		token = q.token
	}
	if token != "" && token != "-" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := w.http.Do(r)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	defer func() { _ = resp.Body.Close() }() // it was only read
	a := answer{status: resp.StatusCode, header: resp.Header}
	if resp.Header.Get("Content-Type") != "text/event-stream" { // which does not end
		if a.body, err = io.ReadAll(resp.Body); err != nil {
			w.t.Fatalf("%s %s: %v", method, path, err)
		}
	}
	return a
}

// do makes a request that must succeed.
func (w *world) do(want int, token string, q request, into any) answer {
	w.t.Helper()
	a := w.ask(token, q)
	if a.status != want {
		w.t.Fatalf("%s %s: %d %.300s, want %d", q.method, q.path, a.status, a.body, want)
	}
	if into != nil {
		if err := json.Unmarshal(a.body, into); err != nil {
			w.t.Fatalf("%s %s: %v in %.300s", q.method, q.path, err, a.body)
		}
	}
	return a
}

// cell is a role that asks about a repository.
type cell struct {
	*world
	role role
	repo string
}

func (c *cell) token() string { return c.tokens[c.role] }

// at is the address of something of the repository.
func (c *cell) at(path string) string { return "/v1/repos/" + c.repo + path }

// root has who runs the registry do something first.
func (c *cell) root(want int, q request, into any) answer {
	c.t.Helper()
	return c.do(want, c.tokens[runs], q, into)
}

// version is a version of one file of one chunk.
type version struct {
	digest string
	doc    string
	chunk  chunker.Ref
	plain  []byte
}

// encoded is the chunk as it travels.
func (v *version) encoded() string { return string(codec.Append(nil, v.plain, chunker.Opaque)) }

// newVersion makes a version that nobody has.
func (w *world) newVersion() *version {
	w.t.Helper()
	v := &version{plain: fmt.Appendf(nil, "file %d", w.made.Add(1))}
	v.chunk = chunker.Ref{Digest: chunker.Sum(v.plain), Size: uint32(len(v.plain))}
	b := manifest.NewBuilder()
	b.Add(manifest.File{Path: "config.json", Size: uint64(len(v.plain)), Format: "opaque"}, []chunker.Ref{v.chunk})
	m, err := b.Build(chunker.Digest{}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	doc, err := m.Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	v.digest, v.doc = manifest.Name(doc).String(), string(doc)
	return v
}

// version has a new version stored; the tag may be empty.
func (c *cell) version(tag string) *version {
	c.t.Helper()
	v := c.newVersion()
	var started openapi.Push
	c.root(http.StatusCreated, request{method: "POST", path: c.at("/pushes")}, &started)
	c.root(http.StatusCreated, request{method: "PUT", path: "/v1/pushes/" + started.ID + "/chunks/" + v.chunk.Digest.String(), media: openapi.MediaChunk, body: v.encoded()}, nil)
	c.root(http.StatusCreated, request{method: "POST", path: "/v1/pushes/" + started.ID + "/commit?tag=" + tag, media: openapi.MediaManifest, body: v.doc}, nil)
	return v
}

// tag has a tag set on a new version.
func (c *cell) tag() (string, *version) {
	c.t.Helper()
	tag := fmt.Sprintf("tag%d", c.made.Add(1))
	return tag, c.version(tag)
}

// push returns the id of a push that the role has started, or if it may not, somebody
// else.
func (c *cell) push() string {
	c.t.Helper()
	var started openapi.Push
	q := request{method: "POST", path: c.at("/pushes")}
	if a := c.ask(c.token(), q); a.status == http.StatusCreated {
		if err := json.Unmarshal(a.body, &started); err != nil {
			c.t.Fatal(err)
		}
		return started.ID
	}
	c.root(http.StatusCreated, q, &started)
	return started.ID
}

func quoted(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and maps of them can be marshalled
	}
	return string(b)
}
