package client

import (
	"context"

	"github.com/ingot-ml/ingot/openapi"
)

// Whoami asks who one is to the registry, by the token of Options, and what one may do.
func (r *Registry) Whoami(ctx context.Context) (openapi.Whoami, error) {
	return get[openapi.Whoami](ctx, r, nil, "v1", "whoami")
}
