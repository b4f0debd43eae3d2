package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"

	"github.com/ingot-ml/ingot/client/internal/wire"
	"github.com/ingot-ml/ingot/openapi"
)

// RegisterUpstream makes a hub that of a namespace for the lifetime that it says.
func (r *Registry) RegisterUpstream(ctx context.Context, namespace string, u openapi.Upstream) error {
	body, err := json.Marshal(u)
	if err != nil {
		return fmt.Errorf("upstream of %s: %w", namespace, err)
	}
	q := wire.Request{Method: http.MethodPut, Path: []string{"v1", "upstreams", namespace}, Type: mediaJSON, Body: body}
	return r.wire.Call(ctx, q, func(wire.Answer) error { return nil })
}

// ForgetUpstream ends what RegisterUpstream has begun.
func (r *Registry) ForgetUpstream(ctx context.Context, namespace string) error {
	return r.remove(ctx, nil, "v1", "upstreams", namespace)
}

// Upstreams lists the hubs that models come from.
func (r *Registry) Upstreams(ctx context.Context) (openapi.UpstreamList, error) {
	return get[openapi.UpstreamList](ctx, r, nil, "v1", "upstreams")
}
