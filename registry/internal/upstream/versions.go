package upstream

import (
	"context"
	"errors"
	"maps"
	"slices"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/commits"
	"github.com/ingot-ml/ingot/registry/internal/ingest"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/name"
)

// Registry is the Versions of a registry.
type Registry struct {
	Commits  *commits.Service
	Versions *versions.Service
}

// Add implements Versions.
func (r Registry) Add(ctx context.Context, p access.Principal, repo name.Repo, tag string, files map[string]ingest.Object, annotations map[string]string) (chunker.Digest, error) {
	c := commits.Change{Branch: tag, Create: true, Annotations: annotations}
	for _, path := range slices.Sorted(maps.Keys(files)) {
		c.Ops = append(c.Ops, commits.Op{Kind: commits.AddObject, Path: path, Object: files[path]})
	}
	_, d, err := r.Commits.Commit(ctx, p, repo, c)
	return d, err
}

// Point implements Versions. If others move the ref at the same time theirs stays.
func (r Registry) Point(ctx context.Context, p access.Principal, repo name.Repo, ref string, branch bool, d chunker.Digest) error {
	expect := openapi.ExpectNone
	t, err := r.Versions.Tag(ctx, p, repo, ref)
	if err == nil {
		expect = t.Digest.String()
	} else if !errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
		return err
	}
	_, err = r.Versions.SetTag(ctx, p, repo, ref, openapi.SetTag{Digest: d, Expect: expect, Branch: branch})
	if errors.Is(err, &openapi.Error{Code: openapi.CodeTagMoved}) {
		return nil
	}
	return err
}
