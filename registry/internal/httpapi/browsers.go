package httpapi

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/registry/page"
)

// getRoot shows a browser the page, and leads everybody else to that of the API. The
// path is relative because a proxy may put the registry below one of its own.
func (a *API) getRoot(c echo.Context) error {
	c.Response().Header().Add("Vary", "Accept")
	if a.page != nil && isBrowser(c.Request()) {
		a.page.ServeHTTP(c.Response(), c.Request())
		return nil
	}
	return c.Redirect(http.StatusSeeOther, strings.TrimPrefix(docsPath, "/"))
}

// lead sends a browser that asks for a model where others have its page to where it is
// shown here. It tells nothing of what there is.
func (a *API) lead(c echo.Context) (led bool) {
	r := c.Request()
	if a.page == nil || c.Path() != "" || !isBrowser(r) || a.viewOf(r) != nil {
		return false
	}
	to, ok := page.Leads(r.URL)
	if ok {
		c.Response().Header().Set("Location", to)
		c.Response().Header().Add("Vary", "Accept")
		c.Response().WriteHeader(http.StatusSeeOther)
	}
	return ok
}

// isBrowser tells a request for something that people look at.
func isBrowser(r *http.Request) bool {
	return (r.Method == http.MethodGet || r.Method == http.MethodHead) && strings.Contains(r.Header.Get("Accept"), "text/html")
}
