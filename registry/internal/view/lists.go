package view

import (
	"cmp"
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/name"
)

// maxModels is how many models a list has when nobody says.
const maxModels = 1000

// Models implements catalog.Source.
func (v *View) Models(ctx context.Context, q catalog.Query) (list []catalog.Model, err error) {
	limit, word := cmp.Or(max(0, q.Limit), maxModels), strings.ToLower(q.Search)
	if q.Namespace != "" {
		if _, err := name.ParseRepo(q.Namespace + "/x"); err != nil {
			return nil, nil // nobody has models under such a name
		}
	}
	for after := ""; len(list) < limit; {
		page, err := v.service.Repos(ctx, access.FromContext(ctx), q.Namespace, after, openapi.MaxPage)
		if err != nil {
			return nil, err
		}
		for _, info := range page.Repos {
			if len(list) < limit && strings.Contains(strings.ToLower(info.Name), word) {
				m, err := v.model(ctx, info.Name)
				if err != nil {
					return nil, err
				}
				list = append(list, m)
			}
		}
		if after = page.Next; after == "" {
			break
		}
	}
	return list, nil
}

func (v *View) model(ctx context.Context, repo string) (m catalog.Model, err error) {
	if m.Repo, err = name.ParseRepo(repo); err != nil {
		return m, err
	}
	t, err := v.service.Tag(ctx, access.FromContext(ctx), m.Repo, name.DefaultTag)
	if isNotFound(err) {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	m.Updated = t.Updated
	m.Commit, err = v.commit(ctx, m.Repo, t.Digest)
	return m, err
}

// commit returns the name of a version as a commit.
func (v *View) commit(ctx context.Context, repo name.Repo, d chunker.Digest) (string, error) {
	r, err := v.service.Read(ctx, access.FromContext(ctx), repo, d)
	if err != nil {
		return "", err
	}
	for _, a := range r.Manifest.Annotations {
		if a.Key == AnnotationCommit {
			return commitOf(d, map[string]string{a.Key: a.Value}), nil
		}
	}
	return catalog.CommitOf(d), nil
}

// Refs implements catalog.Source.
func (v *View) Refs(ctx context.Context, repo name.Repo) (refs []catalog.Ref, err error) {
	for after := ""; ; {
		page, err := v.service.Tags(ctx, access.FromContext(ctx), repo, after, openapi.MaxPage)
		if isNotFound(err) {
			return nil, fmt.Errorf("%s: %w", repo, catalog.ErrNoRepo)
		}
		if err != nil {
			return nil, err
		}
		for _, t := range page.Tags {
			if strings.HasPrefix(t.Name, foreignTag) && hexName.MatchString(t.Name[len(foreignTag):]) {
				continue
			}
			c, err := v.commit(ctx, repo, t.Digest)
			if isNotFound(err) {
				continue // retired since the page was read
			}
			if err != nil {
				return nil, err
			}
			refs = append(refs, catalog.Ref{Name: t.Name, Branch: isBranch(t), Commit: c})
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if len(refs) > 0 {
		return refs, nil
	}
	if there, err := v.exists(ctx, repo); err != nil || there {
		return refs, err
	}
	return nil, fmt.Errorf("%s: %w", repo, catalog.ErrNoRepo)
}

// isBranch tells branches from tags, which are one kind of thing here.
func isBranch(t openapi.Tag) bool { return t.Branch || t.Name == name.DefaultTag }

// History implements catalog.Source.
func (v *View) History(ctx context.Context, repo name.Repo, revision string, limit int) (list []catalog.Commit, err error) {
	d, err := v.digest(ctx, repo, revision)
	if err != nil {
		return nil, err
	}
	for len(list) < limit && !d.IsZero() {
		r, err := v.service.Read(ctx, access.FromContext(ctx), repo, d)
		if isNotFound(err) && len(list) > 0 {
			break // older versions may be gone, or of another repository
		}
		if err != nil {
			return nil, v.missing(ctx, repo, revision, err)
		}
		c := catalog.Commit{Title: "version " + d.Short(), By: r.Info.By, At: r.Info.Created}
		annotations := map[string]string{}
		for _, a := range r.Manifest.Annotations {
			annotations[a.Key] = a.Value
		}
		c.Commit, c.Message = commitOf(d, annotations), annotations[AnnotationMessage]
		c.Title = cmp.Or(annotations[AnnotationTitle], c.Title)
		c.At = c.At.Truncate(time.Millisecond)
		list = append(list, c)
		d = r.Manifest.Parent
	}
	return list, nil
}
