package versions

import (
	"context"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/name"
)

// inSources looks for chunks in versions that the caller names. A head is read after
// P0 as in inVersions, and names a body in which the chunk's place stands.
func (q *search) inSources(ctx context.Context, sources []Source) error {
	if len(sources) == 0 {
		return nil
	}
	q.remember()
	bodies := make([]*body, len(sources))
	group, gctx := errgroup.WithContext(ctx)
	group.SetLimit(probing)
	for i, src := range sources {
		group.Go(func() (err error) {
			bodies[i], err = q.named(gctx, src)
			return err
		})
	}
	if err := group.Wait(); err != nil {
		return err
	}
	for n, b := range bodies {
		if b == nil {
			continue
		}
		foreign := q.foreign(sources[n])
		for _, i := range open(q.places) {
			q.places[i] = b.place(q.digests[i], q.upload, foreign)
		}
	}
	return nil
}

// named returns the body of a version that the push may take chunks from, or nil.
func (q *search) named(ctx context.Context, src Source) (*body, error) {
	repo, err := name.ParseRepo(src.Repo)
	if err != nil || q.policy.Allow(q.principal, repo, access.Read) != nil {
		return nil, nil
	}
	var h record.Head
	if _, err := q.book.Load(ctx, record.HeadKey(repo, src.Version), &h); err != nil || h.State != record.Committed {
		return nil, err
	}
	return q.bodyOf(ctx, src, h.Body)
}
