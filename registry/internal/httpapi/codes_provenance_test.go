package httpapi_test

import (
	"context"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/name"
)

// failingSignatures and failingExchanger are a failing service whose operations are
// called as others of it are.
type (
	failingSignatures struct{ *failing }
	failingExchanger  struct{ *failing }
)

func (f failingSignatures) List(context.Context, access.Principal, name.Repo, chunker.Digest) (l openapi.SignatureList, err error) {
	return l, f.err
}

func (f failingSignatures) Signature(context.Context, access.Principal, name.Repo, chunker.Digest, chunker.Digest) ([]byte, error) {
	return nil, f.err
}

func (f failingSignatures) Put(context.Context, access.Principal, name.Repo, chunker.Digest, chunker.Digest, []byte) (s openapi.Signature, err error) {
	return s, f.err
}

func (f failingSignatures) Delete(context.Context, access.Principal, name.Repo, chunker.Digest, chunker.Digest) error {
	return f.err
}

func (f failingExchanger) Exchange(context.Context, string) (e openapi.Exchanged, err error) {
	return e, f.err
}
