package hub_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/hub"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/stream"
)

const (
	commit = "3eab2c9ee0653eab2c9ee0653eab2c9ee0653eab"
	sha    = "7575405e0050248d98ec966857575405e0050248d98ec966857575405e00502a"
)

// memory is a Source of one model, acme/tiny, and of one that is gated.
type memory struct{ files map[string]string }

var created = time.Date(2026, 11, 21, 21, 15, 41, 696_000_000, time.UTC)

func newMemory() memory {
	return memory{map[string]string{
		"README.md":                         "# tiny\n",
		"additional_chat_templates/a.jinja": "{{ a }}",
		"additional_chat_templates/b/c":     "c",
		"config.json":                       "{}",
		"weights é\"x.bin":                  "weights",
	}}
}

func (m memory) Models(_ context.Context, q catalog.Query) ([]catalog.Model, error) {
	if q.Namespace != "" && q.Namespace != "acme" || !strings.Contains("acme/tiny", q.Search) {
		return nil, nil
	}
	return []catalog.Model{{Repo: name.Repo{Namespace: "acme", Name: "tiny"}, Commit: commit, Updated: created}}, nil
}

func (m memory) find(repo name.Repo) error {
	switch repo.String() {
	case "acme/tiny":
		return nil
	case "acme/gated":
		return fmt.Errorf("%s: %w", repo, catalog.ErrGated)
	case "acme/busy":
		return openapi.Errorf(openapi.CodeBusy, "too much at once")
	case "acme/broken":
		return io.ErrUnexpectedEOF
	case "acme/badtoken":
		return openapi.Errorf(openapi.CodeUnauthorized, "who?")
	}
	return fmt.Errorf("%s: %w", repo, catalog.ErrNoRepo)
}

func (m memory) Refs(_ context.Context, repo name.Repo) ([]catalog.Ref, error) {
	return []catalog.Ref{{Name: "main", Branch: true, Commit: commit}, {Name: "v1.0", Commit: commit}}, m.find(repo)
}

func (m memory) Revision(_ context.Context, repo name.Repo, revision string) (*catalog.Revision, error) {
	if err := m.find(repo); err != nil {
		return nil, err
	}
	if revision != "main" && revision != commit && revision != "refs/heads/main" && revision != "feature/x" {
		return nil, fmt.Errorf("%s has no revision %q: %w", repo, revision, catalog.ErrNoRevision)
	}
	r := &catalog.Revision{Repo: repo, Commit: commit, Created: created}
	for _, p := range []string{"README.md", "additional_chat_templates/a.jinja", "additional_chat_templates/b/c", "config.json", "weights é\"x.bin"} {
		f := catalog.File{Path: p, Size: int64(len(m.files[p])), SHA256: sha, ETag: sha}
		if p == "README.md" {
			f.SHA256, f.ETag = "", sha[:40]
		}
		r.Files = append(r.Files, f)
	}
	return r, nil
}

func (m memory) History(_ context.Context, repo name.Repo, _ string, limit int) ([]catalog.Commit, error) {
	var list []catalog.Commit
	for i := range min(limit, 5) {
		list = append(list, catalog.Commit{Commit: fmt.Sprintf("%040d", i), Title: fmt.Sprint("step ", i), By: "ann", At: created})
	}
	return list, m.find(repo)
}

func (m memory) Open(_ context.Context, _ *catalog.Revision, f *catalog.File) (stream.Content, error) {
	return text(m.files[f.Path]), nil
}

type text string

func (t text) Size() int64  { return int64(len(t)) }
func (t text) Close() error { return nil }
func (t text) Send(_ context.Context, w io.Writer, offset, n int64) error {
	_, err := io.WriteString(w, string(t[offset:offset+n]))
	return err
}

// ask asks a hub over memory, with a token if that is not empty.
func ask(t *testing.T, method, path, token, body, media string) (*http.Response, string) {
	t.Helper()
	h := hub.New(hub.Config{Source: newMemory()})
	r := httptest.NewRequestWithContext(t.Context(), method, "http://hub.test"+path, strings.NewReader(body))
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	r.Header.Set("Content-Type", media)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	got := w.Result()
	b, err := io.ReadAll(got.Body)
	if err != nil {
		t.Fatal(err)
	}
	return got, string(b)
}

// TestFailures wants for each failure what makes clients raise their class of error.
func TestFailures(t *testing.T) {
	for _, x := range []struct {
		method, path, token string
		status              int
		code, message       string
	}{
		{"HEAD", "/acme/none/resolve/main/config.json", "", 401, "RepoNotFound", "Repository not found"},
		{"HEAD", "/acme/none/resolve/main/config.json", "hf_x", 404, "RepoNotFound", "Repository not found"},
		{"GET", "/api/models/acme/none", "hf_x", 404, "RepoNotFound", "Repository not found"},
		{"GET", "/api/models/acme/none/tree/main", "", 401, "RepoNotFound", "Repository not found"},
		{"GET", "/api/models/gpt2", "hf_x", 404, "RepoNotFound", "Repository not found"},
		{"GET", "/gpt2/resolve/main/config.json", "hf_x", 404, "RepoNotFound", "Repository not found"},
		{"GET", "/api/models/acme/..%2F..", "hf_x", 404, "RepoNotFound", "Repository not found"},
		{"GET", "/api/datasets/acme/tiny", "hf_x", 404, "RepoNotFound", "Repository not found"},
		{"GET", "/datasets/acme/tiny/resolve/main/x", "hf_x", 404, "RepoNotFound", "Repository not found"},
		{"GET", "/acme/tiny/resolve/zzz/config.json", "", 404, "RevisionNotFound", `acme/tiny has no revision "zzz": revision not found`},
		{"GET", "/api/models/acme/tiny/revision/refs%2Fpr%2F1", "", 404, "RevisionNotFound", `acme/tiny has no revision "refs/pr/1": revision not found`},
		{"GET", "/acme/tiny/resolve/main/nope.bin", "", 404, "EntryNotFound", `acme/tiny at 3eab2c9ee065 has no file "nope.bin": file not found`},
		{"GET", "/acme/tiny/resolve/main/additional_chat_templates", "", 404, "EntryNotFound", `acme/tiny at 3eab2c9ee065 has no file "additional_chat_templates": file not found`},
		{"GET", "/api/models/acme/tiny/tree/main/nope", "", 404, "EntryNotFound", `acme/tiny at 3eab2c9ee065 has no folder "nope": file not found`},
		{"HEAD", "/acme/gated/resolve/main/config.json", "", 401, "GatedRepo", "acme/gated: access to this repository is restricted"},
		{"GET", "/api/models/acme/gated/auth-check", "hf_x", 403, "GatedRepo", "acme/gated: access to this repository is restricted"},
		{"GET", "/api/models/acme/none/auth-check", "hf_x", 404, "RepoNotFound", "Repository not found"},
		{"HEAD", "/acme/gated/resolve/main/config.json", "hf_x", 403, "GatedRepo", "acme/gated: access to this repository is restricted"},
		{"GET", "/api/models/acme/badtoken", "hf_x", 401, "", "Invalid credentials in Authorization header"},
		{"GET", "/api/models/acme/busy", "", 429, "", "too much at once"},
		{"GET", "/api/whoami-v2", "", 401, "", "Invalid username or password."},
		{"GET", "/acme/tiny/resolve/main", "", 404, "", "no such path on this hub"},
		{"POST", "/acme/tiny/resolve/main/config.json", "", 405, "", "no such method for this path"},
		{"GET", "/api/models/acme/tiny/paths-info/main", "", 405, "", "no such method for this path"},
	} {
		got, body := ask(t, x.method, x.path, x.token, "", "")
		header := got.Header
		if got.StatusCode != x.status || header.Get("X-Error-Code") != x.code || header.Get("X-Error-Message") != x.message {
			t.Errorf("%s %s: %d %q %q, want %d %q %q", x.method, x.path, got.StatusCode, header.Get("X-Error-Code"), header.Get("X-Error-Message"), x.status, x.code, x.message)
		}
		if x.method != "HEAD" && !strings.Contains(body, `{"error":`) {
			t.Errorf("%s %s: body %q", x.method, x.path, body)
		}
		if strings.HasPrefix(x.code, "Entry") && header.Get("X-Repo-Commit") != commit {
			t.Errorf("%s %s: clients do not remember that the file is missing", x.method, x.path)
		}
	}
}

// TestFaultIsNotTold has a fault whose text is not for the caller.
func TestFaultIsNotTold(t *testing.T) {
	got, body := ask(t, "GET", "/api/models/acme/broken", "", "", "")
	if got.StatusCode != 500 || strings.Contains(body, "EOF") || !strings.Contains(body, "log has the cause") {
		t.Errorf("%d %s", got.StatusCode, body)
	}
}

func TestFile(t *testing.T) {
	for _, path := range []string{
		"/acme/tiny/resolve/main/config.json", "/acme/tiny/resolve/" + commit + "/config.json",
		"/acme/tiny/resolve/HEAD/config.json", "/acme/tiny/raw/main/config.json", "/acme/tiny/resolve/refs%2Fheads%2Fmain/config.json", "/acme/tiny/resolve/feature%2Fx/config.json",
	} {
		got, body := ask(t, "GET", path, "", "", "")
		if got.StatusCode != 200 || body != "{}" {
			t.Errorf("%s: %d %q", path, got.StatusCode, body)
		}
		for k, want := range map[string]string{
			"X-Repo-Commit": commit, "Etag": `"` + sha + `"`, "X-Linked-Etag": `"` + sha + `"`, "X-Linked-Size": "2",
			"Content-Length": "2", "Accept-Ranges": "bytes", "Content-Encoding": "", "X-Xet-Hash": "", "Link": "",
		} {
			if got.Header.Get(k) != want {
				t.Errorf("%s: %s %q, want %q", path, k, got.Header.Get(k), want)
			}
		}
	}
	got, body := ask(t, "GET", "/acme/tiny/resolve/main/weights%20%C3%A9%22x.bin", "", "", "")
	if body != "weights" || got.Header.Get("Content-Disposition") != `attachment; filename="weights __x.bin"` {
		t.Errorf("%q %s", body, got.Header.Get("Content-Disposition"))
	}
}

// paths returns the paths in a listing.
func paths(t *testing.T, body string) string {
	t.Helper()
	var list []map[string]any
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		t.Fatalf("%v: %s", err, body)
	}
	var all []string
	for _, e := range list {
		p := e["path"].(string)
		if e["type"] == "directory" {
			p += "/"
		}
		if e["oid"] == "" {
			t.Errorf("%s has no oid", p)
		}
		all = append(all, p)
	}
	return strings.Join(all, " ")
}

func TestTree(t *testing.T) {
	for path, want := range map[string]string{
		"":                               "README.md additional_chat_templates/ config.json weights é\"x.bin",
		"?recursive=true&expand=false":   "README.md additional_chat_templates/ additional_chat_templates/a.jinja additional_chat_templates/b/ additional_chat_templates/b/c config.json weights é\"x.bin",
		"/additional_chat_templates":     "additional_chat_templates/a.jinja additional_chat_templates/b/",
		"/additional_chat_templates%2Fb": "additional_chat_templates/b/c",
		"/additional_chat_templates/b/":  "additional_chat_templates/b/c",
		"?recursive=false&limit=2":       "README.md additional_chat_templates/",
		"?limit=2&cursor=config.json":    "weights é\"x.bin",
		"?limit=2&cursor=zzz":            "",
	} {
		got, body := ask(t, "GET", "/api/models/acme/tiny/tree/main"+path, "", "", "")
		if list := paths(t, body); got.StatusCode != 200 || list != want {
			t.Errorf("tree%s: %q, want %q", path, list, want)
		}
	}
	// The link leads on until all was seen, and no further.
	seen, next := "", "/api/models/acme/tiny/tree/main?recursive=true&limit=3"
	for n := 0; next != ""; n++ {
		got, body := ask(t, "GET", next, "", "", "")
		seen += paths(t, body) + " "
		link, _, _ := strings.Cut(strings.TrimPrefix(got.Header.Get("Link"), "<http://hub.test"), ">")
		if next = link; n > 3 {
			t.Fatal("the pages do not end")
		}
	}
	if n := len(strings.Fields(strings.ReplaceAll(seen, " é", "é"))); n != 7 {
		t.Errorf("%d entries on all pages, want 7: %s", n, seen)
	}
}

// TestTreeFile wants the fields that clients take without looking whether they are
// there, and none that they should not see.
func TestTreeFile(t *testing.T) {
	_, body := ask(t, "GET", "/api/models/acme/tiny/tree/main", "", "", "")
	for _, want := range []string{
		`{"type":"file","oid":"` + sha[:40] + `","size":2,"path":"config.json","lfs":{"oid":"` + sha + `","size":2,"pointerSize":128}}`,
		`{"type":"file","oid":"` + sha[:40] + `","size":7,"path":"README.md"}`,
	} {
		if !strings.Contains(body, want) {
			t.Errorf("%s\nlacks %s", body, want)
		}
	}
	if strings.Contains(body, "xetHash") {
		t.Errorf("Xet is announced and is not served: %s", body)
	}
}

func TestPathsInfo(t *testing.T) {
	const want = `"path":"config.json"`
	for media, body := range map[string]string{
		"application/x-www-form-urlencoded": "paths=config.json&paths=nope&paths=additional_chat_templates%2F&expand=false",
		"application/json":                  `{"paths":["config.json","nope","additional_chat_templates"]}`,
	} {
		got, answer := ask(t, "POST", "/api/models/acme/tiny/paths-info/main", "", body, media)
		if list := paths(t, answer); list != "config.json additional_chat_templates/" || got.Header.Get("X-Repo-Commit") != commit || !strings.Contains(answer, want) {
			t.Errorf("%s: %s", media, answer)
		}
	}
	for media, body := range map[string]string{"application/json": "{", "x": "%zz"} {
		if got, answer := ask(t, "POST", "/api/models/acme/tiny/paths-info/main", "", body, media); got.StatusCode != 400 {
			t.Errorf("%s %q: %d %s", media, body, got.StatusCode, answer)
		}
	}
	huge := "paths=" + string(bytes.Repeat([]byte("x"), 5<<20))
	if got, _ := ask(t, "POST", "/api/models/acme/tiny/paths-info/main", "", huge, "x"); got.StatusCode != 400 {
		t.Errorf("a body of %d bytes: %d", len(huge), got.StatusCode)
	}
}

func TestModelInfo(t *testing.T) {
	_, body := ask(t, "GET", "/api/models/acme/tiny", "", "", "")
	var info map[string]any
	if err := json.Unmarshal([]byte(body), &info); err != nil {
		t.Fatal(err)
	}
	for k, want := range map[string]any{
		"id": "acme/tiny", "sha": commit, "author": "acme", "createdAt": "2026-11-21T21:15:41.696Z", "private": false, "gated": false,
	} {
		if info[k] != want {
			t.Errorf("%s: %v, want %v", k, info[k], want)
		}
	}
	if n := len(info["siblings"].([]any)); n != 5 {
		t.Errorf("%d files, want 5", n)
	}
	if _, body := ask(t, "GET", "/api/models/acme/tiny/revision/main?blobs=True", "", "", ""); !strings.Contains(body, `"lfs":{"sha256":"`+sha) {
		t.Errorf("no hashes: %s", body)
	}
	if _, body := ask(t, "GET", "/api/models/acme/tiny/revision/main?expand=xetEnabled&expand=sha", "", "", ""); body != `{"_id":"acme/tiny","id":"acme/tiny","sha":"`+commit+`"}` {
		t.Errorf("expand: %s", body)
	}
	for query, n := range map[string]int{"": 1, "?author=acme&search=tin": 1, "?author=other": 0} {
		_, body := ask(t, "GET", "/api/models"+query, "", "", "")
		var list []any
		if err := json.Unmarshal([]byte(body), &list); err != nil || len(list) != n {
			t.Errorf("models%s: %v %s", query, err, body)
		}
	}
}

func TestRefsAndCommits(t *testing.T) {
	_, body := ask(t, "GET", "/api/models/acme/tiny/refs", "", "", "")
	want := `{"branches":[{"name":"main","ref":"refs/heads/main","targetCommit":"` + commit + `"}],"converts":[],"pullRequests":[],` +
		`"tags":[{"name":"v1.0","ref":"refs/tags/v1.0","targetCommit":"` + commit + `"}]}`
	if body != want {
		t.Errorf("%s\nwant %s", body, want)
	}
	seen, next := 0, "/api/models/acme/tiny/commits/main?limit=2"
	for next != "" {
		got, body := ask(t, "GET", next, "", "", "")
		var list []struct{ ID, Title, Date string }
		if err := json.Unmarshal([]byte(body), &list); err != nil {
			t.Fatal(err)
		}
		seen += len(list)
		next, _, _ = strings.Cut(strings.TrimPrefix(got.Header.Get("Link"), "<http://hub.test"), ">")
		if seen > 5 {
			t.Fatal("the pages do not end")
		}
	}
	if seen != 5 {
		t.Errorf("%d commits on all pages, want 5", seen)
	}
}

func TestAuthCheck(t *testing.T) {
	if got, body := ask(t, "GET", "/api/models/acme/tiny/auth-check", "", "", ""); got.StatusCode != 200 || body != "{}" {
		t.Errorf("%d %s", got.StatusCode, body)
	}
}

// TestReadOnly has no Writer: writes are refused, with what to do.
func TestReadOnly(t *testing.T) {
	for _, path := range []string{
		"/api/repos/create", "/api/models/acme/tiny/preupload/main", "/api/models/acme/tiny/commit/main",
		"/acme/tiny.git/info/lfs/objects/batch",
	} {
		got, body := ask(t, "POST", path, "hf_x", "{}", "application/json")
		if got.StatusCode != 403 || !strings.Contains(body, "only reads") {
			t.Errorf("%s: %d %s", path, got.StatusCode, body)
		}
	}
}

// FuzzPath asks for anything: nothing may panic, and every answer is one of JSON or
// a file.
func FuzzPath(f *testing.F) {
	for _, p := range []string{"/api/models/acme/tiny/tree/main", "/acme/tiny/resolve/main/config.json", "/api/models/a%2fb/c/revision/%2e%2e", "/x.git/info/lfs/", "/api/", "/api//", "//resolve//"} {
		f.Add("GET", p, "q=1")
	}
	h := hub.New(hub.Config{Source: newMemory()})
	f.Fuzz(func(t *testing.T, method, path, query string) {
		r, err := http.NewRequestWithContext(t.Context(), method, "http://hub.test", nil)
		if err != nil || method == "" {
			return
		}
		if r.URL, err = r.URL.Parse("http://hub.test/" + path + "?" + query); err != nil {
			return
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code >= 500 {
			t.Errorf("%s %s: %d %s", method, path, w.Code, w.Body)
		}
	})
}
