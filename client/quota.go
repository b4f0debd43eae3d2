package client

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strconv"

	"github.com/ingot-ml/ingot/client/internal/wire"
	"github.com/ingot-ml/ingot/openapi"
)

// Quota tells how much a namespace may hold, and how much it does.
func (r *Registry) Quota(ctx context.Context, namespace string) (openapi.Quota, error) {
	return get[openapi.Quota](ctx, r, nil, "v1", "quotas", namespace)
}

// Quotas yields the quotas that were set, by namespace. It ends with the first error.
func (r *Registry) Quotas(ctx context.Context) iter.Seq2[openapi.Quota, error] {
	return pages(func(after string) ([]openapi.Quota, string, error) {
		page, err := get[openapi.QuotaList](ctx, r, query("after", after, "limit", strconv.Itoa(openapi.MaxPage)), "v1", "quotas")
		return page.Quotas, page.Next, err
	})
}

// SetQuota says how much a namespace may hold, in the place of what was said before.
func (r *Registry) SetQuota(ctx context.Context, namespace string, to openapi.QuotaLimits) (openapi.Quota, error) {
	body, err := json.Marshal(to)
	if err != nil {
		return openapi.Quota{}, fmt.Errorf("set quota of %s: %w", namespace, err)
	}
	q := wire.Request{Method: http.MethodPut, Path: []string{"v1", "quotas", namespace}, Type: mediaJSON, Body: body}
	return call[openapi.Quota](ctx, r, q)
}

// ClearQuota lets a namespace hold as much as the store does.
func (r *Registry) ClearQuota(ctx context.Context, namespace string) error {
	return r.remove(ctx, nil, "v1", "quotas", namespace)
}
