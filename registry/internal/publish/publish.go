// Package publish owns what others may change through interfaces that they have
// defined: it is the hub.Writer of a registry, over the packages that keep files,
// make commits and hold versions.
//
// Laws:
//   - Whatever is done is done as the one who asks, who is in the context, or as the
//     one who was permitted an upload, who is in its permission.
//   - To do a thing again that is done is to find it done.
//   - Nothing is remembered between requests, so that any replica may take any of
//     them. Parts of a file are objects too until they are put together.
package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/hub"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/commits"
	"github.com/ingot-ml/ingot/registry/internal/grants"
	"github.com/ingot-ml/ingot/registry/internal/ingest"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/name"
)

// Annotations of versions that are commits.
const (
	annotationTitle   = "hf.title"
	annotationMessage = "hf.message"
)

// Config is what a Publisher works with.
type Config struct {
	Versions *versions.Service
	Ingest   *ingest.Store
	Commits  *commits.Service
	Grants   *grants.Grants
	Policy   access.Policy
	// Valid returns nil if who was permitted an upload may still make it; nil lets all.
	Valid  func(context.Context, access.Principal) error
	Logger *slog.Logger
	// Good is for how long an upload is permitted; 0 is DefaultGood.
	Good time.Duration
}

// DefaultGood lets a large file come over a slow line.
const DefaultGood = 24 * time.Hour

// Publisher is a hub.Writer. It is safe for concurrent use.
type Publisher struct {
	Config
	versions *versions.Service
}

var _ hub.Writer = (*Publisher)(nil)

// New returns a Publisher.
func New(c Config) *Publisher {
	if c.Good == 0 {
		c.Good = DefaultGood
	}
	return &Publisher{Config: c, versions: c.Versions}
}

func isNotFound(err error) bool { return errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) }

// Writable implements hub.Writer.
func (w *Publisher) Writable(ctx context.Context, repo name.Repo) error {
	p := access.FromContext(ctx)
	switch {
	case w.Policy.Allow(p, repo, access.Push) == nil:
		return nil
	case w.Policy.Allow(p, repo, access.Read) == nil:
		return openapi.Errorf(openapi.CodeForbidden, "%s: %s may not push here", repo, p.Subject)
	}
	return fmt.Errorf("%s: %w", repo, catalog.ErrNoRepo)
}

// Create implements hub.Repos.
func (w *Publisher) Create(ctx context.Context, repo name.Repo) (made bool, err error) {
	p := access.FromContext(ctx)
	there, err := w.exists(ctx, p, repo)
	if there || err != nil {
		return false, err
	}
	_, _, err = w.Commits.Commit(ctx, p, repo, commits.Change{Annotations: map[string]string{annotationTitle: "initial commit"}})
	return err == nil, err
}

// exists reports whether a repository has a version.
func (w *Publisher) exists(ctx context.Context, p access.Principal, repo name.Repo) (bool, error) {
	list, err := w.versions.Versions(ctx, p, repo, "", 1)
	if isNotFound(err) {
		return false, nil
	}
	return len(list.Versions) > 0, err
}

// Delete implements hub.Repos. What was uploaded goes too. Who may not delete all of it
// deletes nothing.
func (w *Publisher) Delete(ctx context.Context, repo name.Repo) error {
	if p := access.FromContext(ctx); w.Policy.Allow(p, repo, access.Delete) != nil {
		return openapi.Errorf(openapi.CodeForbidden, "%s: %s may not delete here", repo, p.Subject)
	}
	uploads, err := repo.Uploads()
	if err != nil {
		return openapi.Errorf(openapi.CodeBadName, "%v", err)
	}
	for _, r := range []name.Repo{uploads, repo} {
		if err := w.empty(ctx, r); err != nil && !isNotFound(err) {
			return fmt.Errorf("delete %s: %w", repo, err)
		}
	}
	return nil
}

// empty deletes the tags of a repository, then its versions.
func (w *Publisher) empty(ctx context.Context, repo name.Repo) error {
	p := access.FromContext(ctx)
	err := w.eachTag(ctx, repo, func(t openapi.Tag) error {
		return w.versions.DeleteTag(ctx, p, repo, t.Name, "")
	})
	if err != nil {
		return err
	}
	return w.eachVersion(ctx, repo, func(d chunker.Digest) error {
		return w.versions.Delete(ctx, p, repo, d)
	})
}

// eachTag calls f with every tag. One that is gone meanwhile is no failure.
func (w *Publisher) eachTag(ctx context.Context, repo name.Repo, f func(openapi.Tag) error) error {
	for after := ""; ; {
		page, err := w.versions.Tags(ctx, access.FromContext(ctx), repo, after, openapi.MaxPage)
		if err != nil {
			return err
		}
		for _, t := range page.Tags {
			if err := f(t); err != nil && !isNotFound(err) {
				return err
			}
		}
		if after = page.Next; after == "" {
			return nil
		}
	}
}

// eachVersion calls f with every version.
func (w *Publisher) eachVersion(ctx context.Context, repo name.Repo, f func(chunker.Digest) error) error {
	for after := ""; ; {
		page, err := w.versions.Versions(ctx, access.FromContext(ctx), repo, after, openapi.MaxPage)
		if err != nil {
			return err
		}
		for _, v := range page.Versions {
			if err := f(v.Digest); err != nil && !isNotFound(err) {
				return err
			}
		}
		if after = page.Next; after == "" {
			return nil
		}
	}
}

// Move implements hub.Repos: the versions are made again under the new name, of the
// same chunks, then those under the old one go. Done half-way it can be done again.
func (w *Publisher) Move(ctx context.Context, from, to name.Repo) error {
	p := access.FromContext(ctx)
	if err := w.Policy.Allow(p, from, access.Delete); err != nil {
		return openapi.Errorf(openapi.CodeForbidden, "%s: %s may not delete here", from, p.Subject)
	}
	if there, err := w.exists(ctx, p, to); there || err != nil {
		if there {
			err = openapi.Errorf(openapi.CodeConflict, "%s exists: delete it first, or choose another name", to)
		}
		return err
	}
	copied := func(d chunker.Digest) error { return w.copyVersion(ctx, from, to, d) }
	if err := w.eachVersion(ctx, from, copied); err != nil {
		return fmt.Errorf("move %s: %w", from, err)
	}
	err := w.eachTag(ctx, from, func(t openapi.Tag) error {
		_, err := w.versions.SetTag(ctx, p, to, t.Name, openapi.SetTag{Digest: t.Digest, Branch: t.Branch})
		return err
	})
	if err != nil {
		return fmt.Errorf("move %s: %w", from, err)
	}
	return w.Delete(ctx, from)
}

// copyVersion makes a version one of another repository too.
func (w *Publisher) copyVersion(ctx context.Context, from, to name.Repo, d chunker.Digest) error {
	p := access.FromContext(ctx)
	doc, err := w.versions.Manifest(ctx, p, from, d)
	if err != nil {
		return err
	}
	push, err := w.versions.StartPush(ctx, p, to)
	if err != nil {
		return err
	}
	_, err = w.versions.CommitFrom(ctx, p, push.ID, doc, "", "", []versions.Source{{Repo: from.String(), Version: d}})
	return err
}
