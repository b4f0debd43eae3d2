package httpapi

import (
	"strconv"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/name"
)

const (
	defaultPage = 100
	maxAfter    = 256 // bytes; longer than any entry's name
	maxPushID   = 64  // bytes
)

// badName makes a spelling error one of the API.
func badName(err error) error {
	if err == nil {
		return nil
	}
	return openapi.Errorf(openapi.CodeBadName, "%v", err)
}

func repoOf(c echo.Context) (name.Repo, error) {
	repo, err := name.ParseRepo(c.Param("namespace") + "/" + c.Param("model"))
	return repo, badName(err)
}

// writableRepo is repoOf for what changes something.
func writableRepo(c echo.Context) (name.Repo, error) {
	repo, err := repoOf(c)
	if err == nil && repo.Reserved() {
		err = openapi.Errorf(openapi.CodeBadName, "repository %s: names that end in .git are for uploads: choose another", repo)
	}
	return repo, err
}

func digestOf(c echo.Context) (chunker.Digest, error) {
	digest, err := chunker.ParseDigest(c.Param("digest"))
	return digest, badName(err)
}

func versionOf(c echo.Context) (name.Repo, chunker.Digest, error) {
	repo, err := repoOf(c)
	if err != nil {
		return repo, chunker.Digest{}, err
	}
	digest, err := digestOf(c)
	return repo, digest, err
}

func tagOf(c echo.Context) (name.Repo, string, error) {
	tag := c.Param("tag")
	repo, err := repoOf(c)
	if err != nil {
		return repo, tag, err
	}
	return repo, tag, badName(name.CheckTag(tag))
}

// pushOf returns the id of a push. Who makes ids decides what they look like;
// here they only have to be harmless.
func pushOf(c echo.Context) (string, error) {
	id := c.Param("push")
	ok := len(id) >= 1 && len(id) <= maxPushID
	for i := range len(id) {
		ok = ok && ('a' <= id[i] && id[i] <= 'z' || '0' <= id[i] && id[i] <= '9')
	}
	if !ok {
		return "", openapi.Errorf(openapi.CodeBadName, "push %.80q: want 1 to %d of a-z 0-9", id, maxPushID)
	}
	return id, nil
}

// namespaceOf returns the namespace that a list is narrowed to, if any.
func namespaceOf(c echo.Context) (string, error) {
	namespace := c.QueryParam("namespace")
	if namespace == "" {
		return "", nil
	}
	repo, err := name.ParseRepo(namespace + "/x")
	return repo.Namespace, badName(err)
}

// pageOf returns behind which entry a page begins, and how many it has at most.
func pageOf(c echo.Context) (after string, limit int, err error) {
	after, limit = c.QueryParam("after"), defaultPage
	if len(after) > maxAfter {
		return "", 0, openapi.Errorf(openapi.CodeBadRequest, "after: %d bytes, want at most %d", len(after), maxAfter)
	}
	if c.QueryParams().Has("limit") {
		s := c.QueryParam("limit")
		limit, err = strconv.Atoi(s)
		if err != nil || limit < 1 || limit > openapi.MaxPage {
			return "", 0, openapi.Errorf(openapi.CodeBadRequest, "limit %.20q: want 1 to %d", s, openapi.MaxPage)
		}
	}
	return after, limit, nil
}

// checkExpect judges where a tag is said to be now.
func checkExpect(expect string) error {
	if expect == "" || expect == openapi.ExpectNone {
		return nil
	}
	if _, err := chunker.ParseDigest(expect); err != nil {
		return openapi.Errorf(openapi.CodeBadName, "expect %.80q: want a digest or %q", expect, openapi.ExpectNone)
	}
	return nil
}

func refOf(c echo.Context, param string) (name.Ref, error) {
	s := c.QueryParam(param)
	if s == "" {
		return name.Ref{}, openapi.Errorf(openapi.CodeBadRequest, "%s is not given: want a reference", param)
	}
	ref, err := name.ParseRef(s)
	return ref, badName(err)
}

// sourceOf reads a version, NS/MODEL@DIGEST; the zero Source if the parameter is empty.
func sourceOf(c echo.Context, param string) (versions.Source, error) {
	s := c.QueryParam(param)
	if s == "" {
		return versions.Source{}, nil
	}
	ref, err := name.ParseRef(s)
	if err == nil && ref.Digest.IsZero() {
		err = openapi.Errorf(openapi.CodeBadName, "%s %.120q: want namespace/name@digest", param, s)
	}
	return versions.Source{Repo: ref.Repo.String(), Version: ref.Digest}, badName(err)
}

// saysYes reads a parameter that is openapi.Yes or nothing.
func saysYes(c echo.Context, param string) (bool, error) {
	switch value := c.QueryParam(param); value {
	case "", openapi.Yes:
		return value != "", nil
	default:
		return false, openapi.Errorf(openapi.CodeBadRequest, "%s %.20q: want %q, or nothing", param, value, openapi.Yes)
	}
}
