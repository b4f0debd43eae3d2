package client

import (
	"context"
	"fmt"
	"net/http"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client/internal/wire"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// Signatures returns what the registry keeps as signatures of a version. Nothing of it
// is verified: package registry/signature does that. A registry that knows of none is
// CodeNotFound, as is a version that is not there.
func (r *Registry) Signatures(ctx context.Context, repo name.Repo, digest chunker.Digest) ([]openapi.Signature, error) {
	list, err := get[openapi.SignatureList](ctx, r, nil, below(repo, "versions", digest.String(), "signatures")...)
	if err != nil {
		return nil, fmt.Errorf("signatures of %s@%s: %w", repo, digest.Short(), err)
	}
	return list.Signatures, nil
}

// PutSignature has the registry keep a signature of a version.
func (r *Registry) PutSignature(ctx context.Context, repo name.Repo, digest chunker.Digest, bundle []byte) (openapi.Signature, error) {
	path := below(repo, "versions", digest.String(), "signatures", chunker.Sum(bundle).String())
	return call[openapi.Signature](ctx, r, wire.Request{Method: http.MethodPut, Path: path, Type: openapi.MediaSignature, Body: bundle})
}

// DeleteSignature takes a signature of a version away.
func (r *Registry) DeleteSignature(ctx context.Context, repo name.Repo, digest, id chunker.Digest) error {
	return r.remove(ctx, nil, below(repo, "versions", digest.String(), "signatures", id.String())...)
}

// Document returns the manifest of a version byte for byte, which is what is signed, and
// its name, which it verifies.
func (r *Registry) Document(ctx context.Context, ref name.Ref) ([]byte, chunker.Digest, error) {
	digest, err := r.Resolve(ctx, ref)
	if err != nil {
		return nil, digest, err
	}
	doc, err := r.document(ctx, ref.Repo, digest)
	if err != nil {
		return nil, digest, err
	}
	if got := manifest.Name(doc); got != digest {
		return nil, digest, fmt.Errorf("manifest %s: what came from %s is %s: %w", digest.Short(), r.wire.Base(), got.Short(), ErrCorrupt)
	}
	return doc, digest, nil
}
