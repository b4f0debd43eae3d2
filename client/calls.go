package client

import (
	"context"
	"errors"
	"iter"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

var errNotBuilt = errors.New("not built")

// Health asks whether the registry is up.
func (r *Registry) Health(ctx context.Context) (openapi.Health, error) {
	return openapi.Health{}, errNotBuilt
}

// Stats returns figures of one namespace, or of the whole registry when it is
// empty.
func (r *Registry) Stats(ctx context.Context, namespace string) (openapi.Stats, error) {
	return openapi.Stats{}, errNotBuilt
}

// Repos yields the repositories of a namespace, or all when it is empty, by name.
func (r *Registry) Repos(ctx context.Context, namespace string) iter.Seq2[openapi.RepoInfo, error] {
	return func(yield func(openapi.RepoInfo, error) bool) {}
}

// Versions yields the versions of a repository.
func (r *Registry) Versions(ctx context.Context, repo name.Repo) iter.Seq2[openapi.VersionInfo, error] {
	return func(yield func(openapi.VersionInfo, error) bool) {}
}

// Tags yields the tags of a repository, by name.
func (r *Registry) Tags(ctx context.Context, repo name.Repo) iter.Seq2[openapi.Tag, error] {
	return func(yield func(openapi.Tag, error) bool) {}
}

// Tag returns one tag.
func (r *Registry) Tag(ctx context.Context, repo name.Repo, tag string) (openapi.Tag, error) {
	return openapi.Tag{}, errNotBuilt
}

// SetTag makes or moves a tag.
func (r *Registry) SetTag(ctx context.Context, repo name.Repo, tag string, set openapi.SetTag) (openapi.Tag, error) {
	return openapi.Tag{}, errNotBuilt
}

// DeleteTag removes a tag, which must be at the digest expect unless it is empty.
func (r *Registry) DeleteTag(ctx context.Context, repo name.Repo, tag, expect string) error {
	return errNotBuilt
}

// DeleteVersion retires a version that no tag points at.
func (r *Registry) DeleteVersion(ctx context.Context, repo name.Repo, digest chunker.Digest) error {
	return errNotBuilt
}

// Resolve returns the version that ref names now.
func (r *Registry) Resolve(ctx context.Context, ref name.Ref) (chunker.Digest, error) {
	return chunker.Digest{}, errNotBuilt
}

// Manifest returns the document of a version and its name, verified.
func (r *Registry) Manifest(ctx context.Context, ref name.Ref) (*manifest.Manifest, chunker.Digest, error) {
	return nil, chunker.Digest{}, errNotBuilt
}

// Diff says how version b differs from version a.
func (r *Registry) Diff(ctx context.Context, a, b name.Ref) (openapi.Diff, error) {
	return openapi.Diff{}, errNotBuilt
}

// FileHashes returns the sha256 of every file of a version.
func (r *Registry) FileHashes(ctx context.Context, ref name.Ref) (openapi.FileHashes, error) {
	return openapi.FileHashes{}, errNotBuilt
}
