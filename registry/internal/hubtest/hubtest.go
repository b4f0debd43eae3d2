// Package hubtest owns a hub for tests: it speaks the Hugging Face Hub's protocol for
// reading as that one does, counts what it is asked, and lies, loops, breaks off and
// hangs when it is told to.
//
// Law: without a fault it answers as the Hub does, in headers and redirects too.
package hubtest

import (
	"crypto/sha1" // git's name of a small file
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Fault answers a request in place of the hub; false lets the hub answer.
type Fault func(w http.ResponseWriter, r *http.Request) bool

// Hub is a hub with a second host for the bytes of large files.
type Hub struct {
	URL string
	CDN string // where large files are
	// Token is what requests need; empty for nothing.
	Token string
	// Direct has the hub itself give the bytes of large files.
	Direct bool
	// Page is how many files a list has; 0 is all.
	Page int

	mu     sync.Mutex // protects what follows
	models map[string]*model
	counts map[string]int
	fault  Fault
	closed chan struct{}
}

type model struct {
	refs    map[string]string // commits by heads/NAME and tags/NAME
	commits map[string]map[string]File
}

// File is a file of a commit.
type File struct {
	Bytes []byte
	LFS   bool
}

// New returns a hub that ends with the test.
func New(t testing.TB) *Hub {
	t.Helper()
	h := &Hub{models: map[string]*model{}, counts: map[string]int{}, closed: make(chan struct{})}
	front, cdn := httptest.NewServer(http.HandlerFunc(h.front)), httptest.NewServer(http.HandlerFunc(h.cdn))
	h.URL, h.CDN = front.URL, cdn.URL
	t.Cleanup(func() {
		close(h.closed)
		front.CloseClientConnections()
		cdn.CloseClientConnections()
		front.Close()
		cdn.Close()
	})
	return h
}

// Commit makes a commit and moves the refs, heads/NAME or tags/NAME, to it. It
// returns its name.
func (h *Hub) Commit(repo string, files map[string]File, refs ...string) string {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.models[repo]
	if m == nil {
		m = &model{refs: map[string]string{}, commits: map[string]map[string]File{}}
		h.models[repo] = m
	}
	sum := sha1.Sum([]byte(repo + strconv.Itoa(len(m.commits))))
	commit := hex.EncodeToString(sum[:])
	m.commits[commit] = files
	for _, ref := range refs {
		m.refs[ref] = commit
	}
	return commit
}

// Faulty has f answer from now on; nil ends that.
func (h *Hub) Faulty(f Fault) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.fault = f
}

// Count returns how often a request was made whose path holds a text.
func (h *Hub) Count(text string) int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for path, times := range h.counts {
		if strings.Contains(path, text) {
			n += times
		}
	}
	return n
}

// Hang is a Fault that never answers requests whose path holds a text.
func (h *Hub) Hang(text string) Fault {
	return func(_ http.ResponseWriter, r *http.Request) bool {
		if !strings.Contains(r.URL.Path, text) {
			return false
		}
		select {
		case <-r.Context().Done():
		case <-h.closed:
		}
		panic(http.ErrAbortHandler)
	}
}

// Status is a Fault that answers requests whose path holds a text by a status.
func Status(text string, status int) Fault {
	return func(w http.ResponseWriter, r *http.Request) bool {
		if strings.Contains(r.URL.Path, text) {
			http.Error(w, http.StatusText(status), status)
			return true
		}
		return false
	}
}

// count notes a request, and has a fault answer it.
func (h *Hub) count(w http.ResponseWriter, r *http.Request) bool {
	h.mu.Lock()
	h.counts[r.Method+" "+r.URL.Path]++
	fault := h.fault
	h.mu.Unlock()
	return fault != nil && fault(w, r)
}

// front is the hub.
func (h *Hub) front(w http.ResponseWriter, r *http.Request) {
	if h.count(w, r) {
		return
	}
	if h.Token != "" && r.Header.Get("Authorization") != "Bearer "+h.Token {
		refuse(w, http.StatusUnauthorized, "")
		return
	}
	path := strings.Split(strings.Trim(r.URL.EscapedPath(), "/"), "/")
	for i, p := range path {
		path[i], _ = url.PathUnescape(p)
	}
	switch {
	case len(path) == 2 && path[0] == "api" && path[1] == "models":
		h.list(w, r)
	case len(path) >= 5 && path[0] == "api":
		h.api(w, r, path[2]+"/"+path[3], path[4], strings.Join(path[5:min(6, len(path))], ""))
	case len(path) >= 5 && path[2] == "resolve":
		h.resolve(w, r, path[0]+"/"+path[1], path[3], strings.Join(path[4:], "/"))
	default:
		refuse(w, http.StatusNotFound, "")
	}
}

func refuse(w http.ResponseWriter, status int, code string) {
	if code != "" {
		w.Header().Set("X-Error-Code", code)
	}
	w.WriteHeader(status)
}

// find returns the commit that a revision names, and its files.
func (h *Hub) find(w http.ResponseWriter, repo, revision string) (string, map[string]File, *model) {
	h.mu.Lock()
	defer h.mu.Unlock()
	m := h.models[repo]
	if m == nil {
		refuse(w, http.StatusUnauthorized, "RepoNotFound") // so the Hub answers who has no token
		return "", nil, nil
	}
	commit := revision
	for _, kind := range []string{"heads/", "tags/"} {
		if c, ok := m.refs[kind+revision]; ok {
			commit = c
		}
	}
	files, ok := m.commits[commit]
	if !ok {
		refuse(w, http.StatusNotFound, "RevisionNotFound")
		return "", nil, nil
	}
	return commit, files, m
}

func (h *Hub) list(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := []map[string]any{}
	for repo, m := range h.models {
		if strings.HasPrefix(repo, r.URL.Query().Get("author")+"/") {
			all = append(all, map[string]any{"id": repo, "sha": m.refs["heads/main"], "lastModified": stamp})
		}
	}
	reply(w, all)
}

var stamp = time.Unix(1_700_000_000, 0).UTC().Format("2006-01-02T15:04:05.000Z")

func reply(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

func (h *Hub) api(w http.ResponseWriter, r *http.Request, repo, what, revision string) {
	if what == "refs" {
		h.refs(w, repo)
		return
	}
	commit, files, _ := h.find(w, repo, revision)
	if files == nil {
		return
	}
	switch what {
	case "revision":
		reply(w, map[string]any{"id": repo, "sha": commit, "lastModified": stamp})
	case "tree":
		h.tree(w, r, files)
	case "commits":
		reply(w, []map[string]any{{"id": commit, "title": "a commit", "date": stamp, "authors": []map[string]string{{"user": "somebody"}}}})
	default:
		refuse(w, http.StatusNotFound, "")
	}
}

func (h *Hub) refs(w http.ResponseWriter, repo string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := map[string][]map[string]string{"branches": {}, "tags": {}, "converts": {}}
	m := h.models[repo]
	if m == nil {
		refuse(w, http.StatusUnauthorized, "RepoNotFound")
		return
	}
	for ref, commit := range m.refs {
		kind, name, _ := strings.Cut(ref, "/")
		kind = map[string]string{"heads": "branches", "tags": "tags"}[kind]
		all[kind] = append(all[kind], map[string]string{"name": name, "ref": "refs/" + ref, "targetCommit": commit})
	}
	reply(w, all)
}

// GitSHA1 returns git's name of a file.
func GitSHA1(b []byte) string {
	sum := sha1.New()
	fmt.Fprintf(sum, "blob %d\x00", len(b))
	sum.Write(b)
	return hex.EncodeToString(sum.Sum(nil))
}

// SHA256 returns the sha256 of a file.
func SHA256(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

func (h *Hub) tree(w http.ResponseWriter, r *http.Request, files map[string]File) {
	paths := make([]string, 0, len(files))
	for p := range files {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	from, _ := strconv.Atoi(r.URL.Query().Get("cursor"))
	paths = paths[min(from, len(paths)):]
	if h.Page > 0 && len(paths) > h.Page {
		paths = paths[:h.Page]
		w.Header().Set("Link", fmt.Sprintf(`<%s%s?cursor=%d>; rel="next"`, h.URL, r.URL.EscapedPath(), from+h.Page))
	}
	list := []map[string]any{{"type": "directory", "path": "folder", "size": 0, "oid": strings.Repeat("0", 40)}}
	for _, p := range paths {
		f := files[p]
		e := map[string]any{"type": "file", "path": p, "size": len(f.Bytes), "oid": GitSHA1(f.Bytes)}
		if f.LFS {
			e["lfs"] = map[string]any{"oid": SHA256(f.Bytes), "size": len(f.Bytes), "pointerSize": 134}
		}
		list = append(list, e)
	}
	reply(w, list)
}

func (h *Hub) resolve(w http.ResponseWriter, r *http.Request, repo, revision, path string) {
	commit, files, _ := h.find(w, repo, revision)
	if files == nil {
		return
	}
	w.Header().Set("X-Repo-Commit", commit)
	f, ok := files[path]
	if !ok {
		refuse(w, http.StatusNotFound, "EntryNotFound")
		return
	}
	if !f.LFS {
		w.Header().Set("ETag", `"`+GitSHA1(f.Bytes)+`"`)
		send(w, r, f.Bytes)
		return
	}
	w.Header().Set("X-Linked-Etag", `"`+SHA256(f.Bytes)+`"`)
	w.Header().Set("X-Linked-Size", strconv.Itoa(len(f.Bytes)))
	if h.Direct {
		w.Header().Set("ETag", `"`+SHA256(f.Bytes)+`"`)
		send(w, r, f.Bytes)
		return
	}
	http.Redirect(w, r, h.CDN+"/"+repo+"/"+commit+"/"+url.PathEscape(path)+"?signature=secret", http.StatusFound)
}

// cdn gives bytes to whoever has an address.
func (h *Hub) cdn(w http.ResponseWriter, r *http.Request) {
	if h.count(w, r) {
		return
	}
	parts := strings.SplitN(strings.TrimPrefix(r.URL.Path, "/"), "/", 4)
	h.mu.Lock()
	defer h.mu.Unlock()
	if r.Header.Get("Authorization") != "" {
		refuse(w, http.StatusBadRequest, "") // the token is not for this host
		return
	}
	send(w, r, h.models[parts[0]+"/"+parts[1]].commits[parts[2]][parts[3]].Bytes)
}

func send(w http.ResponseWriter, r *http.Request, b []byte) {
	http.ServeContent(w, r, "", time.Time{}, strings.NewReader(string(b)))
}
