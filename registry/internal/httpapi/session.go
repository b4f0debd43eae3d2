package httpapi

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/credentials"
)

const sessionPath = "/v1/session"

func (a *API) sessionRoutes() {
	a.router.POST(sessionPath, a.beginSession)
	a.router.DELETE(sessionPath, a.endSession)
}

// beginSession gives a browser its token to keep where no script can read it. The cookie
// is the token: it ends with it, and when it is revoked.
func (a *API) beginSession(c echo.Context) error {
	if err := fromHere(c.Request()); err != nil {
		return err
	}
	var q openapi.NewSession
	if err := a.parseJSON(c, &q); err != nil {
		return err
	}
	if a.authenticator == nil {
		return a.whoami(c)
	}
	if !plainToken(q.Token) {
		a.strange(c)
		return openapi.Errorf(openapi.CodeUnauthorized, "what was sent is not a token of this registry")
	}
	// It is asked as any other request that has the token would be.
	r := c.Request()
	asked := r.Clone(r.Context())
	asked.Header = http.Header{"Authorization": {"Bearer " + q.Token}}
	p, err := a.authenticator.Authenticate(asked)
	if err != nil {
		a.strange(c)
		return err
	}
	cookie := sessionCookie(r, q.Token)
	if info, ok, err := a.tokens.Info(r.Context(), p); err != nil {
		return err
	} else if ok {
		cookie.Expires = info.Expires
	}
	c.SetCookie(cookie)
	c.SetRequest(r.WithContext(access.NewContext(r.Context(), p)))
	return a.whoami(c)
}

// endSession has the browser forget the token, which stays good.
func (a *API) endSession(c echo.Context) error {
	if err := fromHere(c.Request()); err != nil {
		return err
	}
	cookie := sessionCookie(c.Request(), "")
	cookie.MaxAge = -1
	c.SetCookie(cookie)
	return c.NoContent(http.StatusNoContent)
}

func sessionCookie(r *http.Request, value string) *http.Cookie {
	return &http.Cookie{
		Name: credentials.Cookie, Value: value, Path: "/", HttpOnly: true, SameSite: http.SameSiteStrictMode,
		Secure: r.TLS != nil || r.Header.Get("X-Forwarded-Proto") == "https",
	}
}

// fromHere refuses what a page from elsewhere has a browser send.
func fromHere(r *http.Request) error {
	switch r.Header.Get("Sec-Fetch-Site") {
	case "", "same-origin", "none":
		return nil
	}
	return openapi.Errorf(openapi.CodeBadRequest, "a page from elsewhere cannot begin or end a session here")
}

// maxToken bounds a token in bytes.
const maxToken = 256

// plainToken tells what may stand in a cookie as it is.
func plainToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return s != "" && len(s) <= maxToken
}
