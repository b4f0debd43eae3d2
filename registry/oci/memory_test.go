package oci_test

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/oci"
	"github.com/ingot-ml/ingot/registry/stream"
)

// memory is a Source of a few models.
type memory struct {
	models map[string]*memoryModel
	hidden string // a model that only those with the key in their context may read
	opened atomic.Int64
	broken error // of every call
}

type memoryModel struct {
	refs    map[string]string // names to commits
	history []string          // commits of main, the newest first
	commits map[string]*catalog.Revision
	bytes   map[string]string // by ETag
}

type mayRead struct{}

// commit adds a commit to main. Files whose path begins with "?" have no sha256 yet.
func (m *memory) commit(repo string, files map[string]string) *catalog.Revision {
	if m.models == nil {
		m.models = map[string]*memoryModel{}
	}
	model := m.models[repo]
	if model == nil {
		model = &memoryModel{refs: map[string]string{}, commits: map[string]*catalog.Revision{}, bytes: map[string]string{}}
		m.models[repo] = model
	}
	r, err := name.ParseRepo(repo)
	if err != nil {
		panic(err)
	}
	rev := &catalog.Revision{Repo: r, Commit: hexOf(fmt.Sprint(repo, len(model.history)))[:40], Created: time.Unix(1, 0)}
	for p, content := range files {
		sha := hexOf(content)
		f := catalog.File{Path: strings.TrimPrefix(p, "?"), Size: int64(len(content)), SHA256: sha, ETag: sha}
		if f.Path != p {
			f.SHA256, f.ETag = "", sha[:40]
		}
		rev.Files = append(rev.Files, f)
		model.bytes[f.ETag] = content
	}
	slices.SortFunc(rev.Files, func(a, b catalog.File) int { return cmp.Compare(a.Path, b.Path) })
	model.commits[rev.Commit] = rev
	model.refs["main"] = rev.Commit
	model.history = slices.Insert(model.history, 0, rev.Commit)
	return rev
}

func (m *memory) model(ctx context.Context, repo name.Repo) (*memoryModel, error) {
	if m.broken != nil {
		return nil, m.broken
	}
	found := m.models[repo.String()]
	if found == nil || repo.String() == m.hidden && ctx.Value(mayRead{}) == nil {
		return nil, fmt.Errorf("%s: %w", repo, catalog.ErrNoRepo)
	}
	return found, nil
}

func (m *memory) Models(ctx context.Context, q catalog.Query) (list []catalog.Model, _ error) {
	for repo := range m.models {
		r, err := name.ParseRepo(repo)
		if err != nil {
			return nil, err
		}
		if _, err := m.model(ctx, r); err == nil && strings.Contains(strings.ToLower(repo), q.Search) {
			list = append(list, catalog.Model{Repo: r})
		}
	}
	return list, nil
}

func (m *memory) Refs(ctx context.Context, repo name.Repo) (refs []catalog.Ref, err error) {
	model, err := m.model(ctx, repo)
	if err != nil {
		return nil, err
	}
	for n, c := range model.refs {
		refs = append(refs, catalog.Ref{Name: n, Commit: c})
	}
	return refs, nil
}

func (m *memory) Revision(ctx context.Context, repo name.Repo, revision string) (*catalog.Revision, error) {
	model, err := m.model(ctx, repo)
	if err != nil {
		return nil, err
	}
	if r := model.commits[cmp.Or(model.refs[revision], revision)]; r != nil {
		return r, nil
	}
	return nil, fmt.Errorf("%s has no %q: %w", repo, revision, catalog.ErrNoRevision)
}

func (m *memory) History(ctx context.Context, repo name.Repo, _ string, limit int) (list []catalog.Commit, err error) {
	model, err := m.model(ctx, repo)
	if err != nil {
		return nil, err
	}
	for _, c := range model.history[:min(limit, len(model.history))] {
		list = append(list, catalog.Commit{Commit: c})
	}
	return list, nil
}

func (m *memory) Open(ctx context.Context, r *catalog.Revision, f *catalog.File) (stream.Content, error) {
	model, err := m.model(ctx, r.Repo)
	if err != nil {
		return nil, err
	}
	m.opened.Add(1)
	return text(model.bytes[f.ETag]), nil
}

type text string

func (t text) Size() int64 { return int64(len(t)) }

func (t text) Send(_ context.Context, w io.Writer, offset, n int64) error {
	_, err := io.WriteString(w, string(t[offset:offset+n]))
	return err
}

func (t text) Close() error { return nil }

func hexOf(s string) string {
	h := sha256.Sum256([]byte(s))
	return hex.EncodeToString(h[:])
}

// world is a View of a memory, and what it answers.
type world struct {
	*memory
	t       *testing.T
	handler http.Handler
}

func newWorld(t *testing.T) *world {
	t.Helper()
	m := &memory{}
	return &world{m, t, oci.New(oci.Config{Source: m})}
}

// forget has a View that remembers nothing, as after a restart.
func (w *world) forget() { w.handler = oci.New(oci.Config{Source: w.memory}) }

// do makes a request with pairs of header and value.
func (w *world) do(method, path string, headers ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	return w.ask(r)
}

func (w *world) ask(r *http.Request) *httptest.ResponseRecorder {
	if !oci.Owns(r.URL.EscapedPath()) {
		w.t.Errorf("%s is not a path of OCI", r.URL)
	}
	got := httptest.NewRecorder()
	w.handler.ServeHTTP(got, r)
	return got
}

// get wants 200 and returns the body.
func (w *world) get(path string, headers ...string) string {
	w.t.Helper()
	got := w.do(http.MethodGet, path, headers...)
	if got.Code != http.StatusOK {
		w.t.Fatalf("GET %s: %d %s", path, got.Code, got.Body)
	}
	return got.Body.String()
}

// plain is a model as people have it.
var plain = map[string]string{
	"README.md":         "# tiny",
	"config.json":       `{"model_type":"llama"}`,
	"model.safetensors": strings.Repeat("weights", 1000),
	"sub/tokenizer.txt": "a b c",
	"empty":             "",
	"copy.safetensors":  strings.Repeat("weights", 1000),
}
