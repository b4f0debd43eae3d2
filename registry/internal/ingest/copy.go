package ingest

import (
	"context"
	"fmt"
	"io"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/name"
)

// Copy writes the bytes of an object to w.
func (s *Store) Copy(ctx context.Context, p access.Principal, w io.Writer, o Object) error {
	repo, err := name.ParseRepo(o.From.Repo)
	if err != nil {
		return err
	}
	r, err := s.versions.Read(ctx, p, repo, o.From.Version)
	if err != nil {
		return err
	}
	at := make(map[chunker.Ref]uint32, len(r.Manifest.Chunks))
	for i, ref := range r.Manifest.Chunks {
		at[ref] = uint32(i)
	}
	for _, ref := range o.Refs {
		i, ok := at[ref]
		if !ok {
			return fmt.Errorf("read object %.12s: %w", o.SHA256, openapi.Errorf(openapi.CodeConflict, "it is not of %s@%s", repo, o.From.Version.Short()))
		}
		plain, release, err := r.Chunk(ctx, i)
		if err == nil {
			_, err = w.Write(plain)
		}
		release()
		if err != nil {
			return err
		}
	}
	return nil
}

// Forget has an object that was uploaded to repo be none any more. Versions that were
// made of it stay what they are.
func (s *Store) Forget(ctx context.Context, repo name.Repo, sha256 string) error {
	uploads, err := repo.Uploads()
	if err != nil {
		return openapi.Errorf(openapi.CodeBadName, "%v", err)
	}
	return s.versions.DropUpload(ctx, uploads, TagOf(sha256), s.now())
}
