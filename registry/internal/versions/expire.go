package versions

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/name"
)

// DropUploads deletes the tags of uploads that were set before a time, and retires
// their versions. It goes on after what fails, and returns the first failure and how
// many it dropped.
func (s *Service) DropUploads(ctx context.Context, before time.Time) (n int, err error) {
	failed := s.eachRepo(ctx, "", "", func(repo name.Repo) (bool, error) {
		if !repo.Reserved() {
			return true, nil
		}
		return true, s.eachTag(ctx, repo, "", func(tag string, rec *record.Tag) (bool, error) {
			if !rec.At.Before(before) {
				return true, nil
			}
			switch derr := s.DropUpload(ctx, repo, tag, before); {
			case derr == nil:
				n++
			case err == nil:
				err = derr
			}
			return ctx.Err() == nil, ctx.Err()
		})
	})
	if err == nil {
		err = failed
	}
	return n, err
}

// RenewUpload has an upload count as set now, so that it lasts until a commit which
// somebody is about to make.
func (s *Service) RenewUpload(ctx context.Context, uploads name.Repo, tag string) error {
	var rec record.Tag
	v, err := s.book.Load(ctx, record.TagKey(uploads, tag), &rec)
	if err != nil || rec.Digest == "" {
		return err
	}
	rec.At = s.Now().UTC()
	if _, err := s.swapTag(ctx, uploads, tag, v, &rec); err != nil && !isConflict(err) {
		return fmt.Errorf("renew upload %s: %w", tagName(uploads, tag), err)
	}
	return nil
}

// DropUpload deletes the tag of one upload, unless it was set again since a time, and
// retires its version unless it has another.
func (s *Service) DropUpload(ctx context.Context, uploads name.Repo, tag string, before time.Time) error {
	var rec record.Tag
	v, err := s.book.Load(ctx, record.TagKey(uploads, tag), &rec)
	if err != nil || rec.Digest == "" || rec.At.After(before) {
		return err
	}
	at, err := viewTag(&rec, tag)
	if err != nil {
		return err
	}
	rec.Prev, rec.Digest, rec.By, rec.At = rec.Digest, "", "", s.Now().UTC()
	if _, err := s.swapTag(ctx, uploads, tag, v, &rec); err != nil {
		if isConflict(err) {
			return nil // somebody uploads it at this moment
		}
		return fmt.Errorf("drop upload %s: %w", tagName(uploads, tag), err)
	}
	err = s.Retire(ctx, uploads, at.Digest)
	if _, refused := errors.AsType[*openapi.Error](err); refused {
		return nil // it has another tag, or is gone
	}
	return err
}
