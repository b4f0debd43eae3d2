package httpapi

import (
	"fmt"
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
)

func (a *API) getHealth(c echo.Context) error {
	return sendJSON(c, http.StatusOK, openapi.Health{Status: "ok", Version: a.version})
}

func (a *API) getStats(c echo.Context) error {
	namespace, err := namespaceOf(c)
	if err != nil {
		return err
	}
	r := c.Request()
	stats, err := a.service.Stats(r.Context(), a.principal(r), namespace)
	return answer(c, http.StatusOK, stats, err)
}

func (a *API) listRepos(c echo.Context) error {
	namespace, err := namespaceOf(c)
	if err != nil {
		return err
	}
	after, limit, err := pageOf(c)
	if err != nil {
		return err
	}
	r := c.Request()
	page, err := a.service.Repos(r.Context(), a.principal(r), namespace, after, limit)
	return answer(c, http.StatusOK, page, err)
}

func (a *API) listVersions(c echo.Context) error {
	repo, err := repoOf(c)
	if err != nil {
		return err
	}
	after, limit, err := pageOf(c)
	if err != nil {
		return err
	}
	r := c.Request()
	page, err := a.service.Versions(r.Context(), a.principal(r), repo, after, limit)
	return answer(c, http.StatusOK, page, err)
}

// getVersion answers with the document to those who ask for its type, and with a
// view to people and their tools.
func (a *API) getVersion(c echo.Context) error {
	repo, digest, err := versionOf(c)
	if err != nil {
		return err
	}
	r := c.Request()
	doc, err := a.service.Manifest(r.Context(), a.principal(r), repo, digest)
	if err != nil {
		return err
	}
	c.Response().Header().Set("Vary", "Accept")
	if strings.Contains(r.Header.Get("Accept"), openapi.MediaManifest) {
		return send(c, http.StatusOK, openapi.MediaManifest, doc)
	}
	release, err := a.reserve(r.Context(), parsedShare*int64(len(doc)))
	if err != nil {
		return err
	}
	defer release()
	view, err := viewOf(doc)
	return answer(c, http.StatusOK, view, err)
}

func viewOf(doc []byte) (manifest.View, error) {
	m, err := manifest.Parse(doc)
	if err != nil {
		return manifest.View{}, fmt.Errorf("view stored manifest: %w", err)
	}
	return m.View()
}

func (a *API) deleteVersion(c echo.Context) error {
	repo, digest, err := versionOf(c)
	if err != nil {
		return err
	}
	r := c.Request()
	return done(c, a.service.Delete(r.Context(), a.principal(r), repo, digest))
}

func (a *API) getFileHashes(c echo.Context) error {
	repo, digest, err := versionOf(c)
	if err != nil {
		return err
	}
	r := c.Request()
	hashes, err := a.service.FileHashes(r.Context(), a.principal(r), repo, digest)
	return answer(c, http.StatusOK, hashes, err)
}

func (a *API) getDiff(c echo.Context) error {
	from, err := refOf(c, "a")
	if err != nil {
		return err
	}
	to, err := refOf(c, "b")
	if err != nil {
		return err
	}
	r := c.Request()
	diff, err := a.service.Diff(r.Context(), a.principal(r), from, to)
	return answer(c, http.StatusOK, diff, err)
}
