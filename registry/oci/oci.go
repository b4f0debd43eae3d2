package oci

import (
	"context"
	"errors"
	"log/slog"
	"net/http"
	"strings"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
)

// Config is what a View works with.
type Config struct {
	Source catalog.Source
	// Commits lists revisions of a repository, those that no ref leads to too, at most
	// limit; nil for a Source that cannot. Digests are looked for there.
	Commits func(ctx context.Context, repo name.Repo, limit int) ([]string, error)
	// Location returns the address at which a blob can be read without credentials by
	// whoever may make the request; nil is the path of the request.
	Location func(*http.Request) string
	// Guest tells requests of who should say who they are; nil is nobody. What they may
	// not read is answered so.
	Guest func(*http.Request) bool
	// Logger gets faults, which are not the caller's; nil is silence.
	Logger *slog.Logger
}

// View answers the requests of OCI clients that read. It is safe for concurrent use.
type View struct {
	source   catalog.Source
	commits  func(ctx context.Context, repo name.Repo, limit int) ([]string, error)
	location func(*http.Request) string
	guest    func(*http.Request) bool
	logger   *slog.Logger
	index    *index
	sums     *sums
	scanning turns
	hashing  turns
}

// How many requests look through versions, or compute the sha256 of a file, at a time.
const (
	maxScans  = 4
	maxHashes = 2
)

// turns has a place for each that may do something at a time.
type turns chan struct{}

func (t turns) enter(ctx context.Context) error {
	select {
	case t <- struct{}{}:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

func (t turns) leave() { <-t }

// New returns a View.
func New(c Config) *View {
	v := &View{
		source: c.Source, commits: c.Commits, location: c.Location, guest: c.Guest, logger: c.Logger,
		index: newIndex(maxIndexed), sums: newSums(maxSums), scanning: make(turns, maxScans), hashing: make(turns, maxHashes),
	}
	if v.location == nil {
		v.location = func(r *http.Request) string { return r.URL.EscapedPath() }
	}
	if v.guest == nil {
		v.guest = func(*http.Request) bool { return false }
	}
	if v.commits == nil {
		v.commits = func(context.Context, name.Repo, int) ([]string, error) { return nil, nil }
	}
	if v.logger == nil {
		v.logger = slog.New(slog.DiscardHandler)
	}
	return v
}

// root is where all paths begin.
const root = "/v2"

// Owns tells whether a path, escaped, is one of the View's.
func Owns(path string) bool { return path == root || strings.HasPrefix(path, root+"/") }

// Refuse answers a request whose credentials are wrong.
func (v *View) Refuse(w http.ResponseWriter, r *http.Request, e *openapi.Error) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	v.fail(w, r, e)
}

// ServeHTTP implements http.Handler.
func (v *View) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Docker-Distribution-Api-Version", "registry/2.0")
	if err := v.serve(w, r); err != nil {
		v.fail(w, r, err)
	}
}

// call is a request for something in a repository.
type call struct {
	*View
	w    http.ResponseWriter
	r    *http.Request
	repo name.Repo
}

func (v *View) serve(w http.ResponseWriter, r *http.Request) error {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		return errReadOnly
	}
	parts := strings.Split(strings.TrimPrefix(r.URL.EscapedPath(), root), "/")[1:]
	if len(parts) == 0 || len(parts) == 1 && parts[0] == "" {
		if v.guest(r) { // clients ask this to know whether to send what they know
			return errGuest
		}
		return sendDocument(w, r, mediaJSON, []byte("{}"))
	}
	if len(parts) != 4 {
		return errNoPath
	}
	repo, err := name.ParseRepo(parts[0] + "/" + parts[1])
	if err != nil {
		return errName(err)
	}
	c := &call{View: v, w: w, r: r, repo: repo}
	err = c.answer(parts[2], parts[3])
	if !errors.Is(err, catalog.ErrNoRepo) {
		return err
	}
	var serr error
	if c.repo, serr = c.spelt(); serr != nil {
		return serr
	}
	if c.repo == repo {
		return err
	}
	return c.answer(parts[2], parts[3])
}

func (c *call) answer(kind, which string) error {
	switch {
	case kind == "manifests":
		return c.manifest(which)
	case kind == "blobs":
		return c.blob(which)
	case kind == "referrers":
		return c.referrers(which)
	case kind == "tags" && which == "list":
		return c.tags()
	}
	return errNoPath
}

// spelt returns how a repository that is not there may be spelt: OCI allows no capital
// letters, so that a name without them may mean the one model that has some.
func (c *call) spelt() (name.Repo, error) {
	asked := c.repo.String()
	if asked != strings.ToLower(asked) {
		return c.repo, nil
	}
	list, err := c.source.Models(c.r.Context(), catalog.Query{Search: asked})
	if err != nil {
		return c.repo, err
	}
	var found []name.Repo
	for _, m := range list {
		if strings.EqualFold(m.Repo.String(), asked) {
			found = append(found, m.Repo)
		}
	}
	switch len(found) {
	case 0:
		return c.repo, nil
	case 1:
		return found[0], nil
	}
	return c.repo, &problem{codeNameUnknown, "several models are spelt like " + asked + " but for capital letters", http.StatusNotFound}
}
