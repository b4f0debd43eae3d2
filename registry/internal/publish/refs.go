package publish

import (
	"context"
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/name"
)

// CreateRef implements hub.Refs.
func (w *Publisher) CreateRef(ctx context.Context, repo name.Repo, ref string, branch bool, at chunker.Digest) error {
	p := access.FromContext(ctx)
	// SetTag takes a tag that is where it is to go for one that it has made.
	if _, err := w.versions.Tag(ctx, p, repo, ref); err == nil {
		return openapi.Errorf(openapi.CodeTagMoved, "%s:%s exists", repo, ref)
	} else if !isNotFound(err) {
		return err
	}
	_, err := w.versions.SetTag(ctx, p, repo, ref, openapi.SetTag{Digest: at, Expect: openapi.ExpectNone, Branch: branch && ref != name.DefaultTag})
	return err
}

// DeleteRef implements hub.Refs. The default branch stays.
func (w *Publisher) DeleteRef(ctx context.Context, repo name.Repo, ref string, branch bool) error {
	p := access.FromContext(ctx)
	if ref == name.DefaultTag {
		return openapi.Errorf(openapi.CodeForbidden, "%s is the default branch of %s: it is not deleted", ref, repo)
	}
	missing := fmt.Errorf("%s has no such reference as %.200q: %w", repo, ref, catalog.ErrNoRevision)
	if name.CheckTag(ref) != nil {
		return missing
	}
	t, err := w.versions.Tag(ctx, p, repo, ref)
	if isNotFound(err) || err == nil && t.Branch != branch {
		return missing
	}
	if err != nil {
		return err
	}
	return w.versions.DeleteTag(ctx, p, repo, ref, t.Digest.String())
}

// Squash implements hub.Refs.
func (w *Publisher) Squash(ctx context.Context, repo name.Repo, branch, title string) error {
	if err := w.branch(ctx, repo, branch); err != nil {
		return err
	}
	if title == "" {
		title = "Super-squash branch '" + branch + "'"
	}
	_, err := w.Commits.Squash(ctx, access.FromContext(ctx), repo, branch, annotations(title, ""))
	return err
}

// branch fails unless there is such a branch.
func (w *Publisher) branch(ctx context.Context, repo name.Repo, branch string) error {
	missing := fmt.Errorf("%s has no branch %.200q: %w", repo, branch, catalog.ErrNoRevision)
	if name.CheckTag(branch) != nil {
		return missing
	}
	t, err := w.versions.Tag(ctx, access.FromContext(ctx), repo, branch)
	switch {
	case isNotFound(err) && branch == name.DefaultTag:
		return nil // the first commit makes it
	case isNotFound(err):
		return missing
	case err != nil:
		return err
	case !t.Branch && branch != name.DefaultTag:
		return openapi.Errorf(openapi.CodeBadRequest, "%s:%s is a tag, which no commit moves: commit to a branch", repo, branch)
	}
	return nil
}
