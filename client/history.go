package client

import (
	"context"
	"encoding/json"
	"fmt"
	"iter"
	"net/http"
	"strconv"

	"github.com/ingot-ml/ingot/client/internal/wire"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// logPage is how many versions a page of a log has: the registry reads where the chunks
// of each lie.
const logPage = 50

// Log yields the version of a reference and those that it was made from, as far as they
// are in its repository, at most so many; 0 is all. It ends with the first error.
func (r *Registry) Log(ctx context.Context, ref name.Ref, most int) iter.Seq2[openapi.LogEntry, error] {
	at := ref.Tag
	if at == "" {
		at = "@" + ref.Digest.String()
	}
	left := most
	entries := pages(func(after string) ([]openapi.LogEntry, string, error) {
		limit := logPage
		if most > 0 {
			limit = min(limit, left)
		}
		q := query("ref", at, "after", after, "limit", strconv.Itoa(limit))
		page, err := get[openapi.Log](ctx, r, q, below(ref.Repo, "log")...)
		if left -= len(page.Entries); most > 0 && left <= 0 {
			page.Next = ""
		}
		return page.Entries, page.Next, err
	})
	return entries
}

// Encodings says how the chunks of a version are stored. A registry that does not know
// of it is CodeNotFound.
func (r *Registry) Encodings(ctx context.Context, ref name.Ref) (openapi.Encodings, error) {
	digest, err := r.Resolve(ctx, ref)
	if err != nil {
		return openapi.Encodings{}, err
	}
	return get[openapi.Encodings](ctx, r, nil, below(ref.Repo, "versions", digest.String(), "encodings")...)
}

// Retention returns the rule by which versions of a repository stay; without one it is
// CodeNotFound.
func (r *Registry) Retention(ctx context.Context, repo name.Repo) (openapi.Retention, error) {
	return get[openapi.Retention](ctx, r, nil, below(repo, "retention")...)
}

// SetRetention says which versions of a repository stay. The registry retires the
// others from then on.
func (r *Registry) SetRetention(ctx context.Context, repo name.Repo, rule openapi.RetentionRule) (openapi.Retention, error) {
	body, err := json.Marshal(rule)
	if err != nil {
		return openapi.Retention{}, fmt.Errorf("set retention of %s: %w", repo, err)
	}
	q := wire.Request{Method: http.MethodPut, Path: below(repo, "retention"), Type: mediaJSON, Body: body}
	return call[openapi.Retention](ctx, r, q)
}

// ClearRetention has all versions of a repository stay.
func (r *Registry) ClearRetention(ctx context.Context, repo name.Repo) error {
	return r.remove(ctx, nil, below(repo, "retention")...)
}

// ApplyRetention has the registry retire at once what the rule of a repository does not
// keep. With dryRun it only tells what that would be.
func (r *Registry) ApplyRetention(ctx context.Context, repo name.Repo, dryRun bool) (openapi.RetentionReport, error) {
	q := wire.Request{Method: http.MethodPost, Path: below(repo, "retention", "apply"), Accept: mediaJSON}
	if dryRun {
		q.Query = query("dry_run", openapi.Yes)
	}
	return call[openapi.RetentionReport](ctx, r, q)
}
