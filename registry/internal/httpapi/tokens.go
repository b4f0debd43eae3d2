package httpapi

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/tokens"
)

const (
	whoamiPath      = "/v1/whoami"
	tokensPath      = "/v1/tokens"
	protectionsPath = "/v1/protections"
)

// Tokens are made and revoked; *tokens.Tokens is one.
type Tokens interface {
	Create(ctx context.Context, p access.Principal, spec tokens.Spec) (text string, made openapi.Token, err error)
	List(ctx context.Context, p access.Principal, after string, limit int) (openapi.TokenList, error)
	Revoke(ctx context.Context, p access.Principal, id string) error
	// Info returns what is known of p's own token; ok is false for one without.
	Info(ctx context.Context, p access.Principal) (info openapi.Token, ok bool, err error)
}

// Protections say which tags only admins move; *protections.Service is one.
type Protections interface {
	Set(ctx context.Context, p access.Principal, pattern string, create bool) (openapi.Protection, error)
	List(ctx context.Context, p access.Principal) (openapi.ProtectionList, error)
	Remove(ctx context.Context, p access.Principal, pattern string) error
}

func (a *API) accessRoutes() {
	a.get(whoamiPath, a.whoami)
	a.get(tokensPath, a.needsTokens(a.listTokens))
	a.router.POST(tokensPath, a.writes(a.needsTokens(a.createToken)))
	a.router.POST(exchangePath, a.writes(a.exchangeToken))
	a.router.DELETE(tokensPath+"/:token", a.writes(a.needsTokens(a.revokeToken)))

	a.get(protectionsPath, a.listProtections)
	a.router.PUT(protectionsPath, a.writes(a.setProtection))
	a.router.DELETE(protectionsPath, a.writes(a.removeProtection))
}

// needsTokens is a handler of what is done with tokens. Where everybody may do everything
// nobody makes one: it would go on to be good when others are shut out.
func (a *API) needsTokens(h echo.HandlerFunc) echo.HandlerFunc {
	return func(c echo.Context) error {
		if a.tokens == nil {
			return openapi.Errorf(openapi.CodeForbidden, "this registry has no access control: start it with --access tokens")
		}
		return h(c)
	}
}

// whoami tells callers what the registry takes them for.
func (a *API) whoami(c echo.Context) error {
	r := c.Request()
	p := a.principal(r)
	who := openapi.Whoami{Subject: p.Subject, Access: openapi.AccessOpen, Scopes: []string{"*:admin"}}
	if a.authenticator != nil {
		who.Access, who.Scopes = openapi.AccessTokens, strings.Fields(p.Scopes)
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	if a.tokens == nil || p.Token == "" {
		return sendJSON(c, http.StatusOK, who)
	}
	who.Token = p.Token
	info, ok, err := a.tokens.Info(r.Context(), p)
	if ok {
		who.Expires = &info.Expires
	}
	return answer(c, http.StatusOK, who, err)
}

func (a *API) listTokens(c echo.Context) error {
	after, limit, err := pageOf(c)
	if err != nil {
		return err
	}
	r := c.Request()
	page, err := a.tokens.List(r.Context(), a.principal(r), after, limit)
	return answer(c, http.StatusOK, page, err)
}

func (a *API) createToken(c echo.Context) error {
	var q openapi.TokenSpec
	if err := a.parseJSON(c, &q); err != nil {
		return err
	}
	spec, err := specOf(q)
	if err != nil {
		return err
	}
	r := c.Request()
	text, made, err := a.tokens.Create(r.Context(), a.principal(r), spec)
	c.Response().Header().Set("Cache-Control", "no-store")
	return answer(c, http.StatusCreated, openapi.NewToken{Token: made, Text: text}, err)
}

func specOf(q openapi.TokenSpec) (tokens.Spec, error) {
	spec := tokens.Spec{Name: q.Name}
	var err error
	if spec.Scopes, err = access.ParseScopes(q.Scopes...); err != nil {
		return spec, openapi.Errorf(openapi.CodeBadName, "%v", err)
	}
	if n := q.ExpiresSeconds; n != nil {
		if *n < 1 || *n > openapi.MaxTokenSeconds {
			return spec, openapi.Errorf(openapi.CodeBadRequest, "expires_seconds %d: want 60 to %d", *n, openapi.MaxTokenSeconds)
		}
		spec.Life = time.Duration(*n) * time.Second
	}
	return spec, nil
}

func (a *API) revokeToken(c echo.Context) error {
	r := c.Request()
	return done(c, a.tokens.Revoke(r.Context(), a.principal(r), c.Param("token")))
}

func (a *API) listProtections(c echo.Context) error {
	r := c.Request()
	list, err := a.protections.List(r.Context(), a.principal(r))
	return answer(c, http.StatusOK, list, err)
}

func (a *API) setProtection(c echo.Context) error {
	var q openapi.ProtectionSpec
	if err := a.parseJSON(c, &q); err != nil {
		return err
	}
	r := c.Request()
	set, err := a.protections.Set(r.Context(), a.principal(r), q.Pattern, q.Create)
	return answer(c, http.StatusOK, set, err)
}

func (a *API) removeProtection(c echo.Context) error {
	r := c.Request()
	return done(c, a.protections.Remove(r.Context(), a.principal(r), c.QueryParam("pattern")))
}

// parseJSON reads a body whose parts must all be known.
func (a *API) parseJSON(c echo.Context, into any) error {
	doc, release, err := a.document(c, mediaJSON, openapi.MaxJSON, 2)
	if err != nil {
		return err
	}
	defer release()
	return parseComplete(doc, into)
}
