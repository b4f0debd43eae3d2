package versions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/name"
)

// KnownHashes is FileHashes as far as somebody has computed them before; ok is false
// if nobody has.
func (s *Service) KnownHashes(ctx context.Context, p access.Principal, repo name.Repo, d chunker.Digest) (list openapi.FileHashes, ok bool, err error) {
	if err := s.readable(p, repo, versionName(repo, d)); err != nil {
		return list, false, err
	}
	if _, _, err := s.readHead(ctx, repo, d); err != nil {
		return list, false, err
	}
	var rec record.Hashes
	if _, err := s.book.Load(ctx, record.HashesKey(repo, d), &rec); err != nil || rec.Blob == "" {
		return list, false, err
	}
	list, ok, err = s.storedHashes(ctx, &rec)
	return list, ok, err
}

// storedHashes reads the blob of hashes. It is not ok when it is damaged, or was
// collected while the version was retired.
func (s *Service) storedHashes(ctx context.Context, rec *record.Hashes) (list openapi.FileHashes, ok bool, err error) {
	raw, err := blobs.Read(ctx, s.Blobs, rec.Blob, maxHashes)
	if err != nil && !errors.Is(err, blobs.ErrNotFound) {
		return list, false, err
	}
	ok = err == nil && placement.CheckSeal(rec.Blob, raw) == nil && json.Unmarshal(raw, &list) == nil
	return list, ok, nil
}

// SetHashes stores the sha256 of the files of a version, for a caller who has seen
// their bytes. What is stored already stays.
func (s *Service) SetHashes(ctx context.Context, repo name.Repo, d chunker.Digest, list openapi.FileHashes) error {
	b, err := s.currentBody(ctx, repo, d, "")
	if err != nil {
		return err
	}
	if len(list.Files) != len(b.manifest.Files) {
		return fmt.Errorf("hashes of %d files for %s, which has %d", len(list.Files), versionName(repo, d), len(b.manifest.Files))
	}
	for i := range list.Files {
		f, want := &list.Files[i], &b.manifest.Files[i]
		if f.Path != want.Path || f.Size != int64(want.Size) || len(f.SHA256) != 64 {
			return fmt.Errorf("hash of file %.120q for %s, which has %.120q there", f.Path, versionName(repo, d), want.Path)
		}
	}
	var rec record.Hashes
	v, err := s.book.Load(ctx, record.HashesKey(repo, d), &rec)
	if err != nil || v != registers.Absent {
		return err
	}
	return s.keepHashes(ctx, repo, d, &rec, v, list)
}
