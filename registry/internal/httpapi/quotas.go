package httpapi

import (
	"context"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
)

// Quotas is how much namespaces may hold; *quota.Service is one.
type Quotas interface {
	Quota(ctx context.Context, p access.Principal, namespace string) (openapi.Quota, error)
	Quotas(ctx context.Context, p access.Principal, after string, limit int) (openapi.QuotaList, error)
	SetQuota(ctx context.Context, p access.Principal, namespace string, to openapi.QuotaLimits) (openapi.Quota, error)
	ClearQuota(ctx context.Context, p access.Principal, namespace string) error
}

const (
	quotasPath = "/v1/quotas"
	quotaPath  = quotasPath + "/:namespace"
)

func (a *API) quotaRoutes() {
	a.get(quotasPath, a.listQuotas)
	a.get(quotaPath, a.getQuota)
	a.router.PUT(quotaPath, a.writes(a.setQuota))
	a.router.DELETE(quotaPath, a.writes(a.clearQuota))
}

func (a *API) listQuotas(c echo.Context) error {
	after, limit, err := pageOf(c)
	if err != nil {
		return err
	}
	r := c.Request()
	page, err := a.quotas.Quotas(r.Context(), a.principal(r), after, limit)
	return answer(c, http.StatusOK, page, err)
}

func (a *API) getQuota(c echo.Context) error {
	r := c.Request()
	quota, err := a.quotas.Quota(r.Context(), a.principal(r), c.Param("namespace"))
	return answer(c, http.StatusOK, quota, err)
}

func (a *API) setQuota(c echo.Context) error {
	doc, release, err := a.document(c, mediaJSON, openapi.MaxJSON, 2)
	if err != nil {
		return err
	}
	defer release()
	limits, err := parseLimits(doc)
	if err != nil {
		return err
	}
	r := c.Request()
	set, err := a.quotas.SetQuota(r.Context(), a.principal(r), c.Param("namespace"), limits)
	return answer(c, http.StatusOK, set, err)
}

func (a *API) clearQuota(c echo.Context) error {
	r := c.Request()
	return done(c, a.quotas.ClearQuota(r.Context(), a.principal(r), c.Param("namespace")))
}

// parseLimits reads limits, of which at least one has to be given.
func parseLimits(doc []byte) (limits openapi.QuotaLimits, err error) {
	if err := parseComplete(doc, &limits); err != nil {
		return limits, err
	}
	if limits.Bytes == nil && limits.Stored == nil {
		return limits, openapi.Errorf(openapi.CodeBadRequest, "neither max_bytes nor max_stored_bytes is given: to take the limits away, delete the quota")
	}
	for name, n := range map[string]*int64{"max_bytes": limits.Bytes, "max_stored_bytes": limits.Stored} {
		if n != nil && (*n < 0 || *n > openapi.MaxQuota) {
			return limits, openapi.Errorf(openapi.CodeBadRequest, "%s %d: want 0 to %d", name, *n, int64(openapi.MaxQuota))
		}
	}
	return limits, nil
}
