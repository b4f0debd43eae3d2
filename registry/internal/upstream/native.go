package upstream

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/name"
)

// Native is a versions.Service for ingot's own clients, who find models of other hubs
// in it too: a tag that is not here is had once the whole version is.
type Native struct {
	*versions.Service
	Source *Source
}

// Tag returns where a tag points. A version of another hub comes first, whole, and one
// that was there before stands in for it. While the hub is away it is what is here.
func (n Native) Tag(ctx context.Context, p access.Principal, repo name.Repo, tag string) (openapi.Tag, error) {
	t, err := n.Service.Tag(ctx, p, repo, tag)
	if n.Source.hubFor(repo.Namespace) == nil || err != nil && !errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
		return t, err
	}
	commit := ""
	if err == nil {
		if commit = n.commitOf(ctx, p, repo, t.Digest); commit == "" {
			return t, nil
		}
	}
	why := n.Source.Whole(access.NewContext(ctx, p), repo, tag)
	if why == nil {
		return n.Service.Tag(ctx, p, repo, tag)
	}
	if c, ok := errors.AsType[*coming](why); ok && c.commit == commit {
		return t, why // of which only some is here
	}
	switch {
	case err == nil, absent(why):
		return t, err
	case errors.Is(why, catalog.ErrUpstream):
		return t, openapi.Errorf(openapi.CodeUnavailable, "%s:%s: %v", repo, tag, why)
	case errors.Is(why, catalog.ErrGated):
		return t, openapi.Errorf(openapi.CodeForbidden, "%s: %v", repo, why)
	}
	return t, why
}

// commitOf returns the name that a version's commit has at another hub; empty for one
// of people here.
func (n Native) commitOf(ctx context.Context, p access.Principal, repo name.Repo, d chunker.Digest) string {
	r, err := n.Service.Read(ctx, p, repo, d)
	if err != nil {
		return ""
	}
	for _, a := range r.Manifest.Annotations {
		if a.Key == AnnotationCommit {
			return a.Value
		}
	}
	return ""
}

// Repos returns a page of the repositories here, and of those that hubs with a
// namespace of their own have, of which nothing may be here.
func (n Native) Repos(ctx context.Context, p access.Principal, namespace, after string, limit int) (openapi.RepoList, error) {
	list, err := n.Service.Repos(ctx, p, namespace, after, limit)
	if err != nil {
		return list, err
	}
	limit = cmp.Or(max(0, limit), openapi.MaxPage)
	for _, m := range n.Source.Listed(access.NewContext(ctx, p), namespace) {
		repo := m.Repo.String()
		beyond := repo <= after || list.Next != "" && repo > list.Next
		if !beyond && !slices.ContainsFunc(list.Repos, func(r openapi.RepoInfo) bool { return r.Name == repo }) {
			list.Repos = append(list.Repos, openapi.RepoInfo{Name: repo})
		}
	}
	slices.SortFunc(list.Repos, func(a, b openapi.RepoInfo) int { return cmp.Compare(a.Name, b.Name) })
	if len(list.Repos) > limit {
		list.Repos = list.Repos[:limit]
		list.Next = list.Repos[limit-1].Name
	}
	return list, nil
}
