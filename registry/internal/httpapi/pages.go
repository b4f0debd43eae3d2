package httpapi

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
)

const docsPath = "/docs"

// fixed is a body that only another release of the program changes.
type fixed struct {
	media string
	body  []byte
	tag   string
}

func newFixed(media string, body []byte) fixed {
	return fixed{media, body, entityTag(chunker.Sum(body))}
}

var (
	spec = newFixed("application/yaml", openapi.Spec)
	docs = newFixed("text/html; charset=utf-8", openapi.Page)
)

// pagePolicy has a browser load nothing and run nothing, whatever is in the page.
const pagePolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

func (a *API) getSpec(c echo.Context) error { return sendFixed(c, spec) }

func (a *API) getDocs(c echo.Context) error {
	c.Response().Header().Set("Content-Security-Policy", pagePolicy)
	return sendFixed(c, docs)
}

// sendFixed answers with f, unless the caller has it. Browsers keep it and ask
// each time whether it is still the same.
func sendFixed(c echo.Context, f fixed) error {
	header := c.Response().Header()
	header.Set("ETag", f.tag)
	header.Set("Cache-Control", "no-cache")
	if has(c.Request(), f.tag) {
		return c.NoContent(http.StatusNotModified)
	}
	return send(c, http.StatusOK, f.media, f.body)
}

// entityTag is the ETag of what has that digest.
func entityTag(d chunker.Digest) string { return `"` + d.String() + `"` }

// has tells whether the caller says that it has what the tag names. Weak tags
// count: the comparison of this header ignores that they are.
func has(r *http.Request, tag string) bool {
	return strings.Contains(strings.Join(r.Header.Values("If-None-Match"), ","), tag)
}
