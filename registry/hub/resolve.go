package hub

import (
	"fmt"
	"net/http"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/stream"
)

// resolve answers /{namespace}/{model}/resolve/{revision}/{path}: the bytes of a
// file, or only its facts. The Hub has also raw, which of large files is what stands
// for them in git; here nothing does, so that both are the same.
func (c *call) resolve(parts []string) error {
	if parts[0] == "datasets" || parts[0] == "spaces" || len(parts) > 1 && isFiles(parts[1]) {
		return catalog.ErrNoRepo
	}
	if len(parts) < 5 || !isFiles(parts[2]) {
		return errNoPath
	}
	return c.reads(func() error { return c.file(parts[0], parts[1], parts[3], strings.Join(parts[4:], "/")) })
}

func isFiles(part string) bool { return part == "resolve" || part == "raw" }

func (c *call) file(namespace, model, revision, path string) error {
	repo, err := repoOf(namespace, model)
	if err != nil {
		return err
	}
	rev, err := c.revision(repo, revision)
	if err != nil {
		return err
	}
	// Clients remember by this that the commit has no such file, and do not ask again.
	c.w.Header().Set("X-Repo-Commit", rev.Commit)
	f := rev.File(path)
	if f == nil && slices.Contains(rev.Elsewhere, path) {
		// It is no answer that clients may remember.
		c.w.Header().Del("X-Repo-Commit")
		return openapi.Errorf(openapi.CodeUnavailable, "%s at %.12s: file %.200q has not come from its upstream hub, which is not asked now: try again later", repo, rev.Commit, path)
	}
	if f == nil {
		return fmt.Errorf("%s at %.12s has no file %.200q: %w", repo, rev.Commit, path, catalog.ErrNoFile)
	}
	if c.r.Method == http.MethodHead {
		c.describe(f)
		if !c.announce(rev, f) {
			stream.ServeHead(c.w, c.r, f.Size)
		}
		return nil
	}
	content, err := c.source.Open(c.r.Context(), rev, f)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }() // it was only read
	c.describe(f)
	if c.announce(rev, f) {
		return nil
	}
	stream.Serve(c.w, c.r, content, func(err error) {
		c.logger.ErrorContext(c.r.Context(), "file was cut off", "repo", repo.String(), "commit", rev.Commit, "path", path, "error", err)
	})
	return nil
}

// describe sets the headers by which clients know a file.
func (c *call) describe(f *catalog.File) {
	h := c.w.Header()
	etag := `"` + f.ETag + `"`
	h.Set("ETag", etag)
	h.Set("X-Linked-Etag", etag)
	h.Set("X-Linked-Size", strconv.FormatInt(f.Size, 10))
	h.Set("Content-Type", "application/octet-stream")
	h.Set("Content-Disposition", disposition(f.Path))
	// Shared caches between here and the caller may keep a file of a commit, not more.
	h.Set("Cache-Control", "private, no-cache")
	h.Set("Vary", "Authorization")
}

// disposition names the file for browsers, in ASCII.
func disposition(p string) string {
	return `attachment; filename="` + strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' || r == '"' || r == '\\' {
			return '_'
		}
		return r
	}, path.Base(p)) + `"`
}

var _ http.Handler = (*Hub)(nil)
