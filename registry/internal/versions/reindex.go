package versions

import (
	"context"
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/name"
)

// Reindex tells the index of every version that can be read, after it was lost. A
// version whose body is damaged is logged and left out.
func (s *Service) Reindex(ctx context.Context) error {
	err := s.eachRepo(ctx, "", "", func(repo name.Repo) (bool, error) {
		return true, s.eachHead(ctx, repo, "", func(d chunker.Digest, h *record.Head) (bool, error) {
			return true, s.reindexOne(ctx, repo, d, h)
		})
	})
	if err != nil {
		return fmt.Errorf("rebuild the chunk index: %w", err)
	}
	return nil
}

func (s *Service) reindexOne(ctx context.Context, repo name.Repo, d chunker.Digest, h *record.Head) error {
	b, err := s.loadBody(ctx, h.Body)
	if errors.Is(err, errDamaged) || errors.Is(err, blobs.ErrNotFound) {
		s.Logger.ErrorContext(ctx, "body of a version cannot be read", "repo", repo.String(), "version", d.Short(), "error", err)
		return nil
	}
	if err != nil {
		return err
	}
	return s.Index.Add(ctx, repo.String(), d, b.manifest.Chunks)
}
