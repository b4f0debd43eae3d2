package commits

import (
	"context"
	"errors"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
)

// maxBack is how many commits before the head may be the one that is asked for again.
const maxBack = 64

// earlier looks for this very commit among those that led to the head: the answer to
// a first try may have been lost. Only the child of Parent can be it. It fails with
// CodeTagMoved if it is not there.
func (t *attempt) earlier(ctx context.Context, head chunker.Digest) (chunker.Digest, error) {
	child := head
	for n := 0; n < maxBack && !child.IsZero(); n++ {
		r, err := t.versions.Read(ctx, t.principal, t.repo, child)
		if errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
			break // retired
		}
		if err != nil {
			return child, err
		}
		parent := r.Manifest.Parent
		at, err := t.nameOf(ctx, parent)
		if err != nil && !errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
			return child, err
		}
		if at == t.change.Parent {
			if done, err := t.isDone(ctx, child); done || err != nil {
				return child, err
			}
			break
		}
		child = parent
	}
	return head, t.stale(ctx, head)
}

func (t *attempt) stale(ctx context.Context, head chunker.Digest) error {
	at, err := t.nameOf(ctx, head)
	if err != nil {
		return err
	}
	if at == "" {
		at = "nothing"
	}
	return openapi.Errorf(openapi.CodeTagMoved, "branch %s is at %.12s, the commit was made on %.12s: look at what came between, then commit again", t.change.Branch, at, t.change.Parent)
}

// isDone reports whether the change, made on the parent of a version, gives that
// version.
func (t *attempt) isDone(ctx context.Context, d chunker.Digest) (bool, error) {
	if d.IsZero() {
		return false, nil
	}
	r, err := t.versions.Read(ctx, t.principal, t.repo, d)
	if err != nil {
		return false, err
	}
	b, err := t.build(ctx, r.Manifest.Parent)
	if err != nil {
		return false, nil // then it is another change, or its parent is gone
	}
	return b.digest == d, nil
}
