package httpapi

import (
	"context"
	"errors"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/openapi"
)

const exchangePath = tokensPath + "/exchange"

// Exchanger gives tokens for those of others; *oidc.Service is one.
type Exchanger interface {
	Exchange(ctx context.Context, jwt string) (openapi.Exchanged, error)
}

// exchangeToken is for everybody: what they send says who they are.
func (a *API) exchangeToken(c echo.Context) error {
	var q openapi.Exchange
	if err := a.parseJSON(c, &q); err != nil {
		return err
	}
	if a.exchanger == nil {
		return openapi.Errorf(openapi.CodeForbidden, "this registry takes no JWTs: start it with --access tokens and --oidc FILE")
	}
	got, err := a.exchanger.Exchange(c.Request().Context(), q.Token)
	if errors.Is(err, &openapi.Error{Code: openapi.CodeUnauthorized}) {
		a.strange(c)
	}
	c.Response().Header().Set("Cache-Control", "no-store")
	return answer(c, http.StatusOK, got, err)
}
