package view

import (
	"context"
	"fmt"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/name"
)

// Commits lists revisions of the versions of a repository, those that no tag points at
// too, at most limit. A version that came from another hub is listed by what its
// commit would be here.
func (v *View) Commits(ctx context.Context, repo name.Repo, limit int) (list []string, err error) {
	for after := ""; ; {
		page, err := v.service.Versions(ctx, access.FromContext(ctx), repo, after, openapi.MaxPage)
		if isNotFound(err) {
			return nil, fmt.Errorf("%s: %w", repo, catalog.ErrNoRepo)
		}
		if err != nil {
			return nil, err
		}
		for _, info := range page.Versions[:min(len(page.Versions), limit-len(list))] {
			list = append(list, catalog.CommitOf(info.Digest))
		}
		if after = page.Next; after == "" || len(list) == limit {
			return list, nil
		}
	}
}
