package httpapi

import (
	"cmp"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

func (a *API) getLog(c echo.Context) error {
	repo, err := repoOf(c)
	if err != nil {
		return err
	}
	ref, err := logFrom(c, repo)
	if err != nil {
		return err
	}
	behind, limit, err := pageBehind(c)
	if err != nil {
		return err
	}
	r := c.Request()
	log, err := a.service.Log(r.Context(), a.principal(r), ref, behind, limit)
	return answer(c, http.StatusOK, log, err)
}

// pageBehind returns the version behind which a page of versions begins, the zero Digest
// for the first one, and how many it may have.
func pageBehind(c echo.Context) (behind chunker.Digest, limit int, err error) {
	after, limit, err := pageOf(c)
	if err != nil || after == "" {
		return chunker.Digest{}, limit, err
	}
	if behind, err = chunker.ParseDigest(after); err != nil {
		return chunker.Digest{}, 0, openapi.Errorf(openapi.CodeBadName, "after: %v", err)
	}
	return behind, limit, nil
}

// logFrom returns where a log begins: at a tag, or at "@" and a digest.
func logFrom(c echo.Context, repo name.Repo) (name.Ref, error) {
	at := cmp.Or(c.QueryParam("ref"), name.DefaultTag)
	if at[0] != '@' {
		at = ":" + at
	}
	ref, err := name.ParseRef(repo.String() + at)
	return ref, badName(err)
}

func (a *API) getEncodings(c echo.Context) error {
	repo, digest, err := versionOf(c)
	if err != nil {
		return err
	}
	r := c.Request()
	encodings, err := a.service.Encodings(r.Context(), a.principal(r), repo, digest)
	return answer(c, http.StatusOK, encodings, err)
}
