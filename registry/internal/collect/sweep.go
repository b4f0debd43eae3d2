package collect

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// publish is G2: from now on pushes see what may be deleted.
func (r *run) publish(ctx context.Context, s *state, names []string) error {
	epoch := s.Epoch + 1
	list, err := r.putList(ctx, epoch, "D", names)
	if err != nil {
		return err
	}
	s.Epoch = epoch
	if err := r.write(ctx, s, record.Publishing, list); err != nil {
		return r.unused(ctx, list, err)
	}
	r.report.Epoch = epoch
	return nil
}

func (r *run) putList(ctx context.Context, epoch uint64, kind string, names []string) (string, error) {
	nonce, err := r.book.Token(record.NonceLen)
	if err != nil {
		return "", err
	}
	raw := placement.EncodeList(names)
	list := placement.ListsOf(epoch) + placement.Seal(nonce, raw) + "." + kind
	if err := r.Blobs.Put(ctx, list, raw); err != nil {
		return "", fmt.Errorf("publish list of collection: %w", err)
	}
	return list, nil
}

// unused deletes a list that lost the race to be the collection's, and returns why.
func (r *run) unused(ctx context.Context, list string, cause error) error {
	if !lost(cause) || errors.Is(cause, registers.ErrUnknown) {
		return cause // it may be the collection's after all
	}
	return errors.Join(cause, r.Sweeper.Delete(ctx, []string{list}))
}

// decide is G3 and G4: what is referenced now is taken out of the candidates, and
// the rest becomes what this collection deletes. seen are the heads that need none
// of the candidates as long as they have not changed.
func (r *run) decide(ctx context.Context, s *state, found *candidates, seen map[entryHash]bool) error {
	needed, err := r.markAgain(ctx, found.names, seen)
	if err != nil {
		return err
	}
	doomed := make([]string, 0, len(found.names))
	var kept openapi.GCTotal
	for i, object := range found.names {
		if !needed[i] {
			doomed = append(doomed, object)
			continue
		}
		kept.Objects++
		kept.Bytes += found.sizes[object]
	}
	list, err := r.putList(ctx, s.Epoch, "S", doomed)
	if err != nil {
		return err
	}
	if err := r.write(ctx, s, record.Sweeping, list); err != nil {
		return r.unused(ctx, list, err)
	}
	found.names, found.bytes = doomed, found.bytes-kept.Bytes
	if kept.Objects > 0 {
		was := r.report.Kept[openapi.KeptRepublished]
		r.report.Kept[openapi.KeptRepublished] = openapi.GCTotal{Objects: was.Objects + kept.Objects, Bytes: was.Bytes + kept.Bytes}
	}
	return nil
}

// markAgain is G3. It must begin after G2. It tells for each of the names, which
// are ascending, whether a head needs it.
func (r *run) markAgain(ctx context.Context, names []string, seen map[entryHash]bool) ([]bool, error) {
	needed := make([]bool, len(names))
	lock := make(chan struct{}, 1) // protects needed
	err := r.eachHead(ctx, func(ctx context.Context, e registers.Entry) error {
		if seen[hashEntry(e)] {
			return nil
		}
		var h record.Head
		if _, err := r.book.Load(ctx, e.Key, &h); err != nil {
			return err
		}
		if h.State != record.Pending && !h.Readable() {
			return nil
		}
		return r.eachName(ctx, e.Key, &h, func(object string) {
			if i, ok := slices.BinarySearch(names, object); ok {
				lock <- struct{}{}
				needed[i] = true
				<-lock
			}
		})
	})
	return needed, err
}

const (
	batch    = 1000 // names that are deleted at a time
	sweepers = 4    // batches at a time
	// tries bounds how often a name is deleted that a late upload has made again.
	tries = 3
)

// sweep is G5 and G6: it deletes what was decided and ends the collection.
func (r *run) sweep(ctx context.Context, s *state, names []string) error {
	left := names
	for try := 0; len(left) > 0 && try < tries; try++ {
		if err := r.deleteAll(ctx, left); err != nil {
			return err
		}
		var err error
		if left, err = r.left(ctx, left); err != nil {
			return err
		}
		if len(left) > 0 { // at last they are garbage for the next collection
			r.Logger.WarnContext(ctx, "deleted objects are there again", "objects", len(left), "first", left[0], "try", try+1)
		}
	}
	if err := r.write(ctx, s, record.Idle, ""); err != nil && !lost(err) {
		return err // when it is lost, another collector has ended this collection
	}
	return r.forget(ctx)
}

func (r *run) deleteAll(ctx context.Context, names []string) error {
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(sweepers)
	done := int64(0)
	for names := range slices.Chunk(names, batch) {
		if working.Err() != nil {
			break
		}
		group.Go(func() error { return r.Sweeper.Delete(working, names) })
		done += int64(len(names))
		r.tell("sweep", done, 0)
	}
	if err := group.Wait(); err != nil {
		return fmt.Errorf("delete objects: %w", err)
	}
	return ctx.Err()
}

// fewNames is up to how many names each is asked for; more are found by a list.
const fewNames = 64

// left returns which of the names, ascending, are there.
func (r *run) left(ctx context.Context, names []string) (left []string, err error) {
	if len(names) <= fewNames {
		for _, object := range names {
			_, err := r.Blobs.Stat(ctx, object)
			if err == nil {
				left = append(left, object)
			} else if !errors.Is(err, blobs.ErrNotFound) {
				return nil, err
			}
		}
		return left, nil
	}
	for _, kind := range []placement.Kind{placement.Bodies, placement.Chunk, placement.Hashes, placement.Bundle} {
		for info, err := range r.Blobs.List(ctx, kind.Prefix(), "") {
			if err != nil {
				return nil, err
			}
			if _, ok := slices.BinarySearch(names, info.Name); ok {
				left = append(left, info.Name)
			}
		}
	}
	return left, nil
}
