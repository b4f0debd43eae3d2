package versions

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// maxHashes bounds the blob of hashes of a version with the most files there can
// be, their paths at their longest in all.
const maxHashes = 64 << 20

// FileHashes returns the sha256 of every file of a version. They are computed
// when they are wanted for the first time, unless HashPending was faster; several
// callers share the work.
func (s *Service) FileHashes(ctx context.Context, p access.Principal, repo name.Repo, d chunker.Digest) (openapi.FileHashes, error) {
	b, err := s.readBody(ctx, p, repo, d)
	if err != nil {
		return openapi.FileHashes{}, err
	}
	return s.hashes(ctx, repo, d, b)
}

// hashes waits no longer than ctx. The work itself goes on for those who share
// it only as long as the first of them waits.
func (s *Service) hashes(ctx context.Context, repo name.Repo, d chunker.Digest, b *body) (openapi.FileHashes, error) {
	for {
		ch := s.hashing.DoChan(record.HashesKey(repo, d), func() (any, error) { return s.loadHashes(ctx, repo, d, b) })
		select {
		case <-ctx.Done():
			return openapi.FileHashes{}, ctx.Err()
		case r := <-ch:
			if ctx.Err() == nil && (errors.Is(r.Err, context.Canceled) || errors.Is(r.Err, context.DeadlineExceeded)) {
				continue // the one who worked went away
			}
			if r.Err != nil {
				return openapi.FileHashes{}, fmt.Errorf("hash files of %s@%s: %w", repo, d.Short(), r.Err)
			}
			return r.Val.(openapi.FileHashes), nil
		}
	}
}

func (s *Service) loadHashes(ctx context.Context, repo name.Repo, d chunker.Digest, b *body) (openapi.FileHashes, error) {
	var rec record.Hashes
	v, err := s.book.Load(ctx, record.HashesKey(repo, d), &rec)
	if err != nil {
		return openapi.FileHashes{}, err
	}
	if rec.Blob != "" {
		if list, ok, err := s.storedHashes(ctx, &rec); ok || err != nil {
			return list, err
		}
	}
	list, err := s.hashFiles(ctx, repo, d, b)
	if err != nil {
		return list, err
	}
	if err := s.keepHashes(ctx, repo, d, &rec, v, list); err != nil { // they are right all the same
		s.Logger.WarnContext(ctx, "sha256 of files will be computed again", "repo", repo.String(), "version", d.Short(), "error", err)
	}
	return list, nil
}

// keepHashes stores the list. Losing a race is fine: there is one right list.
func (s *Service) keepHashes(ctx context.Context, repo name.Repo, d chunker.Digest, rec *record.Hashes, v registers.Version, list openapi.FileHashes) error {
	raw, err := json.Marshal(list)
	if err != nil {
		return err
	}
	nonce, err := s.book.Token(record.NonceLen)
	if err != nil {
		return err
	}
	rec.Blob = placement.HashesName(repo, d, placement.Seal(nonce, raw))
	if err := s.Blobs.Put(ctx, rec.Blob, raw); err != nil {
		return err
	}
	if _, err := s.book.Swap(ctx, record.HashesKey(repo, d), v, rec); err != nil && !isConflict(err) {
		return err
	}
	return nil
}

func (s *Service) hashFiles(ctx context.Context, repo name.Repo, d chunker.Digest, b *body) (openapi.FileHashes, error) {
	list := openapi.FileHashes{Files: []openapi.FileHash{}}
	buf := plainBuffers.Get().(*[chunker.MaxSize]byte)
	defer plainBuffers.Put(buf)
	w := fileHasher{Service: s, repo: repo, version: d, body: b, plain: buf[:0], sum: sha256.New()}
	for i := range b.manifest.Files {
		f := &b.manifest.Files[i]
		sum, err := w.file(ctx, f)
		if err != nil {
			return list, fmt.Errorf("file %q: %w", f.Path, err)
		}
		list.Files = append(list.Files, openapi.FileHash{Path: f.Path, Size: int64(f.Size), SHA256: sum})
	}
	return list, nil
}

// fileHasher hashes one file after another, in the memory of one chunk.
type fileHasher struct {
	*Service
	repo    name.Repo
	version chunker.Digest
	body    *body
	plain   []byte
	sum     hash.Hash
}

func (w *fileHasher) file(ctx context.Context, f *manifest.File) (string, error) {
	w.sum.Reset()
	for _, i := range f.Chunks {
		if err := ctx.Err(); err != nil {
			return "", err
		}
		plain, err := w.chunk(ctx, i)
		if err != nil {
			return "", err
		}
		w.sum.Write(plain) // never fails
	}
	return hex.EncodeToString(w.sum.Sum(nil)), nil
}

// chunk returns the verified plain bytes of a chunk, which are good until the
// next call.
func (w *fileHasher) chunk(ctx context.Context, i uint32) ([]byte, error) {
	return w.PlainChunk(ctx, w.body.locate(w.repo, w.version, i), w.plain)
}

// HashPending hashes the files of every version that has no hashes yet. It
// returns when all have them, or ctx ends. A version that cannot be hashed is
// logged and left.
func (s *Service) HashPending(ctx context.Context) error {
	return s.eachRepo(ctx, "", "", func(repo name.Repo) (bool, error) {
		return true, s.eachHead(ctx, repo, "", func(d chunker.Digest, h *record.Head) (bool, error) {
			err := s.hashUnhashed(ctx, repo, d, h)
			if err != nil && ctx.Err() == nil {
				s.Logger.WarnContext(ctx, "files of a version cannot be hashed", "repo", repo.String(), "version", d.Short(), "error", err)
				err = nil
			}
			return true, err
		})
	})
}

func (s *Service) hashUnhashed(ctx context.Context, repo name.Repo, d chunker.Digest, h *record.Head) error {
	_, _, err := s.Registers.Get(ctx, record.HashesKey(repo, d))
	if !errors.Is(err, registers.ErrNotFound) {
		return err
	}
	b, err := s.loadBody(ctx, h.Body)
	if errors.Is(err, blobs.ErrNotFound) {
		return nil // pointed elsewhere; the next round finds it
	}
	if err != nil {
		return err
	}
	_, err = s.hashes(ctx, repo, d, b)
	return err
}
