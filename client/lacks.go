package client

import (
	"context"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// Lacks says which files a version names and does not have, as it says itself: an
// upload that came in several commits, of which this was not the last. It is empty for
// a version that is complete.
func (r *Registry) Lacks(ctx context.Context, repo name.Repo, digest chunker.Digest) (string, error) {
	m, _, err := r.Manifest(ctx, name.Ref{Repo: repo, Digest: digest})
	if err != nil {
		return "", err
	}
	return m.Annotation(manifest.Incomplete), nil
}
