package httpapi

import (
	"net/http"
	"strings"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/name"
)

// wantsToken is how callers are asked to say who they are. It is not Basic, for which
// browsers would ask people behind the back of a page.
const wantsToken = `Bearer realm="ingot"`

// forEverybody are the routes that nobody has to say who they are for, and where what
// they say does not matter.
var forEverybody = map[string]bool{exchangePath: true, "/": true, docsPath: true, healthPath: true, "/openapi.yaml": true, sessionPath: true}

// principal returns who asks.
func (a *API) principal(r *http.Request) access.Principal { return access.FromContext(r.Context()) }

// authenticate finds out who asks, once for everything that a request leads to. It has
// answered if refused is true.
func (a *API) authenticate(c echo.Context) (refused bool, err error) {
	if a.authenticator == nil || forEverybody[c.Path()] {
		return false, nil
	}
	r := c.Request()
	v := a.viewOf(r)
	if v != nil && v.OwnGrants {
		return false, nil
	}
	p, err := a.authenticator.Authenticate(r)
	if err != nil {
		return a.turnAway(c, err)
	}
	c.SetRequest(r.WithContext(access.NewContext(r.Context(), p)))
	if v == nil && !p.Named() && !a.serves(c, p) {
		return false, whoAreYou
	}
	return false, nil
}

// serves reports whether a guest gets an answer at all: guests change nothing, and where
// they may read nothing they are not told of nothing.
func (a *API) serves(c echo.Context, guest access.Principal) bool {
	method := c.Request().Method
	return answersGuests[c.Path()] || guest.Scopes != "" && (method == http.MethodGet || method == http.MethodHead)
}

// answersGuests are the routes that tell guests who they are, and make them somebody.
var answersGuests = map[string]bool{whoamiPath: true}

// viewOf returns the view that has the path of a request; nil if that is the API's own.
func (a *API) viewOf(r *http.Request) *View {
	path := r.URL.EscapedPath()
	if strings.HasPrefix(path, "/v1/") {
		return nil
	}
	for i := range a.views {
		if a.views[i].Owns(path) {
			return &a.views[i]
		}
	}
	return nil
}

var whoAreYou = openapi.Errorf(openapi.CodeUnauthorized, "this registry wants to know who asks: send a token, which \"ingot login\" keeps for ingot's own programs")

// challenge makes of a denial to a guest the wish to know who it is, whether what the
// guest asked for exists or not.
func (a *API) challenge(c echo.Context, e *openapi.Error) *openapi.Error {
	if a.authenticator == nil || forEverybody[c.Path()] || a.principal(c.Request()).Named() {
		return e
	}
	switch e.Code {
	case openapi.CodeForbidden:
		return whoAreYou
	case openapi.CodeNotFound:
		if c.Path() != "" && !a.readsNamed(c) {
			return whoAreYou
		}
	}
	return e
}

// readsNamed reports whether who asks may read every repository that a request names,
// and that it names one.
func (a *API) readsNamed(c echo.Context) bool {
	var named []name.Repo
	if repo, err := repoOf(c); err == nil {
		named = append(named, repo)
	}
	for _, param := range []string{"a", "b"} {
		if ref, err := refOf(c, param); err == nil {
			named = append(named, ref.Repo)
		}
	}
	for _, repo := range named {
		if a.policy.Allow(a.principal(c.Request()), repo, access.Read) != nil {
			return false
		}
	}
	return len(named) > 0
}
