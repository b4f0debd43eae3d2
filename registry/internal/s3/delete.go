package s3

import (
	"context"
	"fmt"
	"slices"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"
)

// deletions bounds the batches that are deleted at a time.
const deletions = 8

// Delete implements blobs.Sweeper. A name is deleted in every bucket: which one has
// it depends on when it was made.
func (s *Blobs) Delete(ctx context.Context, names []string) error {
	keys := make([]string, len(names))
	for i, name := range names {
		if err := s.check(ctx, name); err != nil {
			return fmt.Errorf("delete blob: %w", err)
		}
		keys[i] = s.space.root + name
	}
	if err := s.space.refresh(ctx); err != nil {
		return fmt.Errorf("delete blobs: %w", err)
	}
	var all errgroup.Group
	all.SetLimit(deletions)
	for _, b := range s.space.buckets() {
		for batch := range slices.Chunk(keys, pageSize) {
			all.Go(func() error { return b.remove(ctx, batch) })
		}
	}
	if err := all.Wait(); err != nil {
		return fmt.Errorf("delete blobs: %w", err)
	}
	return nil
}

// remove deletes up to a page of objects, and returns when the store has confirmed
// each. One that is not there counts as deleted.
func (b bucket) remove(ctx context.Context, keys []string) error {
	left := slices.Clone(keys)
	err := b.again(ctx, func() error {
		failed := b.removeOnce(ctx, &left)
		if len(left) == 0 {
			return nil
		}
		return failed
	})
	if err != nil {
		return fmt.Errorf("delete %d objects, %.200s and so on: %w", len(left), left[0], b.explain(err))
	}
	return nil
}

// removeOnce deletes what is left, and leaves what the store has not confirmed. The
// answer to a batch may be a failure for some, which minio-go does not tell in every
// case, so what counts is only what is confirmed.
func (b bucket) removeOnce(ctx context.Context, left *[]string) error {
	objects := func(yield func(minio.ObjectInfo) bool) {
		for _, key := range *left {
			if !yield(minio.ObjectInfo{Key: key}) {
				return
			}
		}
	}
	results, err := b.core.RemoveObjectsWithIter(ctx, b.name, objects, minio.RemoveObjectsOptions{})
	if err != nil {
		return err
	}
	gone := map[string]bool{}
	for result := range results {
		switch {
		case result.Err == nil:
			gone[result.ObjectName] = true
		case minio.ToErrorResponse(result.Err).Code == minio.NoSuchKey:
			gone[result.ObjectName] = true
		case err == nil:
			err = result.Err
		}
	}
	*left = slices.DeleteFunc(*left, func(key string) bool { return gone[key] })
	if err == nil {
		err = errUnconfirmed
	}
	return err
}

// errUnconfirmed reports a deletion that the store does not mention in its answer.
var errUnconfirmed = fmt.Errorf("the store has not confirmed the deletion: %w", ErrAnswer)
