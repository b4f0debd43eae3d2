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
	after, limit, err := pageOf(c)
	if err != nil {
		return err
	}
	var behind chunker.Digest
	if after != "" {
		if behind, err = chunker.ParseDigest(after); err != nil {
			return openapi.Errorf(openapi.CodeBadName, "after: %v", err)
		}
	}
	r := c.Request()
	log, err := a.service.Log(r.Context(), a.principal(r), ref, behind, limit)
	return answer(c, http.StatusOK, log, err)
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
