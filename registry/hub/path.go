package hub

import (
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
)

// split takes an escaped path apart at its slashes and unescapes the parts.
func split(path string) ([]string, error) {
	parts := strings.Split(strings.Trim(path, "/"), "/")
	for i, p := range parts {
		u, err := url.PathUnescape(p)
		if err != nil {
			return nil, badRequest("path: %v", err)
		}
		parts[i] = u
	}
	return parts, nil
}

// repoOf reads the name of a repository. What cannot be one does not exist.
func repoOf(namespace, model string) (name.Repo, error) {
	repo, err := name.ParseRepo(namespace + "/" + model)
	if err != nil || repo.Reserved() {
		return repo, catalog.ErrNoRepo
	}
	return repo, nil
}

// base returns the address under which the caller knows this server.
func base(r *http.Request) string {
	scheme := "http"
	if r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https" {
		scheme = "https"
	}
	return scheme + "://" + r.Host
}

// isSet reads a flag of a query, in any of the spellings that clients have for true.
func isSet(q url.Values, key string) bool {
	set, err := strconv.ParseBool(q.Get(key))
	return err == nil && set
}

// meant returns the revision that a caller means who names none, or git's word for it.
func meant(revision string) string {
	if revision == "" || revision == "HEAD" {
		return name.DefaultTag
	}
	return revision
}

// revision returns what the caller means by a revision.
func (c *call) revision(repo name.Repo, revision string) (*catalog.Revision, error) {
	return c.source.Revision(c.r.Context(), repo, meant(revision))
}
