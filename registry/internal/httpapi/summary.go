package httpapi

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"net/http"
	"sync"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/name"
)

const summaryPath = "/v1/summary"

func (a *API) summaryRoutes() {
	a.get(summaryPath, a.getSummary)
	a.get(repoPath+"/summary", a.getRepoSummary)
	a.get(versionPath+"/map", a.getLayerMap)
}

func (a *API) getSummary(c echo.Context) error {
	namespace, err := namespaceOf(c)
	if err != nil {
		return err
	}
	search := c.QueryParam("q")
	if len(search) > openapi.MaxSearch {
		return openapi.Errorf(openapi.CodeBadRequest, "q: %d bytes, want at most %d", len(search), openapi.MaxSearch)
	}
	after, limit, err := pageOf(c)
	if err != nil {
		return err
	}
	r := c.Request()
	sum, err := a.service.Summary(r.Context(), a.principal(r), versions.SummaryFilter{Namespace: namespace, Search: search, After: after, Limit: limit})
	return answerPacked(c, sum, err)
}

func (a *API) getRepoSummary(c echo.Context) error {
	repo, err := repoOf(c)
	if err != nil {
		return err
	}
	behind, limit, err := pageBehind(c)
	if err != nil {
		return err
	}
	r := c.Request()
	sum, err := a.service.RepoSummary(r.Context(), a.principal(r), repo, behind, limit)
	return answerPacked(c, sum, err)
}

func (a *API) getLayerMap(c echo.Context) error {
	repo, digest, err := versionOf(c)
	if err != nil {
		return err
	}
	var against []name.Ref
	for _, text := range c.QueryParams()["against"] {
		ref, err := name.ParseRef(text)
		if err != nil {
			return badName(fmt.Errorf("against: %w", err))
		}
		if against = append(against, ref); len(against) > openapi.MaxAgainst {
			return openapi.Errorf(openapi.CodeBadRequest, "against: more than %d versions", openapi.MaxAgainst)
		}
	}
	r := c.Request()
	drawn, err := a.service.LayerMap(r.Context(), a.principal(r), repo, digest, against)
	return answerPacked(c, drawn, err)
}

// leastPacked is the length in bytes from which an answer is packed: below it fits into
// one packet.
const leastPacked = 1400

var packers = sync.Pool{New: func() any {
	z, err := gzip.NewWriterLevel(nil, gzip.BestSpeed)
	if err != nil {
		panic(err) // the level is one of the package's own
	}
	return z
}}

// answerPacked is answer for what people look at: long lists of things that are called
// alike, which take a fifth when they are packed.
func answerPacked[T any](c echo.Context, v T, err error) error {
	if err != nil {
		return err
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	header := c.Response().Header()
	header.Add("Vary", "Accept-Encoding")
	header.Set("Cache-Control", "no-store")
	if len(b) < leastPacked || !openapi.AcceptsGzip(c.Request().Header.Get("Accept-Encoding")) {
		return send(c, http.StatusOK, mediaJSON, b)
	}
	var packed bytes.Buffer
	z := packers.Get().(*gzip.Writer)
	defer packers.Put(z)
	z.Reset(&packed)
	if _, err := z.Write(b); err != nil {
		return fmt.Errorf("pack answer: %w", err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("pack answer: %w", err)
	}
	header.Set("Content-Encoding", "gzip")
	return send(c, http.StatusOK, mediaJSON, packed.Bytes())
}
