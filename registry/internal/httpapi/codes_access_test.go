package httpapi_test

import (
	"context"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/tokens"
)

// failingTokens, failingProtections and failingNodes are a failing service whose
// operations are called as others of it are.
type (
	failingTokens      struct{ *failing }
	failingProtections struct{ *failing }
	failingNodes       struct{ *failing }
)

func (f failingTokens) Create(context.Context, access.Principal, tokens.Spec) (text string, made openapi.Token, err error) {
	return "", made, f.err
}

func (f failingTokens) List(context.Context, access.Principal, string, int) (l openapi.TokenList, err error) {
	return l, f.err
}

func (f failingTokens) Revoke(context.Context, access.Principal, string) error { return f.err }

func (f failingTokens) Info(context.Context, access.Principal) (info openapi.Token, ok bool, err error) {
	return info, false, f.err
}

func (f failingProtections) Set(context.Context, access.Principal, string, bool) (p openapi.Protection, err error) {
	return p, f.err
}

func (f failingProtections) List(context.Context, access.Principal) (l openapi.ProtectionList, err error) {
	return l, f.err
}

func (f failingProtections) Remove(context.Context, access.Principal, string) error { return f.err }

func (f failingNodes) Forget(access.Principal, string) error { return f.err }
