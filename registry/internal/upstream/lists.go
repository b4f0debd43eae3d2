package upstream

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/name"
)

// maxModels is how many models a list has when nobody says.
const maxModels = 1000

// Models implements catalog.Source. Of hubs that have all namespaces it lists only
// what is here.
func (s *Source) Models(ctx context.Context, q catalog.Query) ([]catalog.Model, error) {
	limit := cmp.Or(max(0, q.Limit), maxModels)
	all, err := s.Local.Models(ctx, q)
	if err != nil || s.Offline || askedIn(ctx).stay {
		return all, err
	}
	known := map[name.Repo]bool{}
	for _, m := range all {
		known[m.Repo] = true
	}
	for _, namespace := range s.namespaces(q.Namespace) {
		for _, m := range s.modelsOf(ctx, namespace, q, limit) {
			if !known[m.Repo] && s.mayRead(ctx, m.Repo) {
				all = append(all, m)
			}
		}
	}
	slices.SortFunc(all, func(a, b catalog.Model) int { return strings.Compare(a.Repo.String(), b.Repo.String()) })
	return all[:min(len(all), limit)], nil
}

func (s *Source) mayRead(ctx context.Context, repo name.Repo) bool {
	return s.Policy == nil || s.Policy.Allow(access.FromContext(ctx), repo, access.Read) == nil
}

// namespaces returns those that have a hub of their own, or only the one that is asked
// for.
func (s *Source) namespaces(only string) []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var all []string
	for namespace, h := range s.hubs {
		if namespace != "" && (only == "" || only == namespace) && !h.over(s.Now()) {
			all = append(all, namespace)
		}
	}
	slices.Sort(all)
	return all
}

// modelsOf lists the models of a namespace's hub. One that does not answer has none
// meanwhile, which the log tells.
func (s *Source) modelsOf(ctx context.Context, namespace string, q catalog.Query, limit int) []catalog.Model {
	h := s.hubFor(namespace)
	if h == nil {
		return nil
	}
	q.Namespace, q.Limit = namespace, limit
	key := "models " + namespace + " " + q.Search
	list, err := ask(ctx, s, h, key, func(ctx context.Context) ([]catalog.Model, error) { return h.client.Models(ctx, q) })
	if err != nil {
		return nil
	}
	return list
}

// Refs implements catalog.Source: those of the other hub, and those of people here,
// which go first.
func (s *Source) Refs(ctx context.Context, repo name.Repo) ([]catalog.Ref, error) {
	here, err := s.Local.Refs(ctx, repo)
	h := s.hubOf(ctx, repo)
	if h == nil || err != nil && !absent(err) || err == nil && s.own(ctx, repo) {
		return here, err
	}
	there, thereErr := ask(ctx, s, h, "refs "+repo.String(), func(ctx context.Context) ([]catalog.Ref, error) {
		return h.client.Refs(ctx, repo)
	})
	if thereErr != nil {
		if err == nil {
			return here, nil
		}
		return nil, told(thereErr)
	}
	return s.mergeRefs(ctx, repo, here, there), nil
}

func (s *Source) mergeRefs(ctx context.Context, repo name.Repo, here, there []catalog.Ref) []catalog.Ref {
	all := slices.Clone(there)
	for _, ref := range here {
		i := slices.IndexFunc(all, func(r catalog.Ref) bool { return r.Name == ref.Name })
		if i < 0 {
			all = append(all, ref)
		} else if r, err := s.Local.Revision(ctx, repo, ref.Name); err == nil && !foreign(r) {
			all[i] = ref
		}
	}
	slices.SortFunc(all, func(a, b catalog.Ref) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// History implements catalog.Source.
func (s *Source) History(ctx context.Context, repo name.Repo, revision string, limit int) ([]catalog.Commit, error) {
	r, err := s.Local.Revision(ctx, repo, revision)
	h := s.hubOf(ctx, repo)
	if h == nil || err == nil && !foreign(r) || err != nil && !absent(err) || !s.askable(ctx, repo, revision, err) {
		return s.Local.History(ctx, repo, revision, limit)
	}
	there, thereErr := h.client.History(ctx, repo, revision, limit)
	if thereErr == nil {
		return there, nil
	}
	h.note(s, thereErr)
	if err == nil {
		return s.Local.History(ctx, repo, revision, limit)
	}
	return nil, told(thereErr)
}
