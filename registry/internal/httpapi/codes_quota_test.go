package httpapi_test

import (
	"context"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
)

func (f *failing) Quota(context.Context, access.Principal, string) (q openapi.Quota, err error) {
	return q, f.err
}

func (f *failing) Quotas(context.Context, access.Principal, string, int) (l openapi.QuotaList, err error) {
	return l, f.err
}

func (f *failing) SetQuota(context.Context, access.Principal, string, openapi.QuotaLimits) (q openapi.Quota, err error) {
	return q, f.err
}

func (f *failing) ClearQuota(context.Context, access.Principal, string) error { return f.err }
