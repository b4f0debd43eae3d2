package httpapi

import (
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/openapi"
)

func (a *API) listUpstreams(c echo.Context) error {
	if err := a.admits(c); err != nil {
		return err
	}
	if a.upstreams == nil {
		return sendJSON(c, http.StatusOK, openapi.UpstreamList{Upstreams: []openapi.UpstreamInfo{}})
	}
	list, err := a.upstreams.Upstreams()
	if err != nil {
		return err
	}
	return sendJSON(c, http.StatusOK, list)
}

func (a *API) registerUpstream(c echo.Context) error {
	var u openapi.Upstream
	release, err := a.upkeep(c, &u)
	if err != nil {
		return err
	}
	defer release()
	if a.upstreams == nil {
		return refuseWrite()
	}
	return done(c, a.upstreams.Register(c.Param("namespace"), u))
}

func (a *API) forgetUpstream(c echo.Context) error {
	if err := a.admits(c); err != nil {
		return err
	}
	if a.upstreams == nil {
		return refuseWrite()
	}
	return done(c, a.upstreams.Forget(c.Param("namespace")))
}
