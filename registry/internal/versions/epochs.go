package versions

import (
	"context"
	"fmt"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// checkEpochs is P4: a collection that began after P0 may have condemned what the
// version names. Condemned chunks are uploaded again under another attempt; a
// condemned body is a conflict, which writes another one.
func (c *commit) checkEpochs(ctx context.Context, body string, entries []placement.Entry) error {
	var gc record.Collection
	if _, err := c.book.Load(ctx, record.CollectionKey, &gc); err != nil {
		return err
	}
	if gc.Epoch == c.rec.E0 {
		return nil
	}
	if err := c.catchUp(ctx, c.upload, gc.Epoch); err != nil {
		return err
	}
	var lost []int
	for i := range entries {
		if c.upload.absent(&entries[i]) {
			lost = append(lost, i)
		}
	}
	if len(lost) > 0 {
		if err := c.advance(ctx, gc.Epoch); err != nil {
			return err
		}
		return missingChunks(lost)
	}
	if c.upload.absent(&placement.Entry{Object: body}) {
		return fmt.Errorf("body %q is condemned: %w", body, registers.ErrConflict)
	}
	return nil
}

// advance records that the push knows the collections up to epoch, and goes on
// with another attempt.
func (c *commit) advance(ctx context.Context, epoch uint64) error {
	rec, v, err := c.loadPush(ctx, c.principal, c.id)
	if err != nil {
		return err
	}
	rec.E0, rec.Attempt = max(rec.E0, epoch), rec.Attempt+1 // another replica may know of later ones
	if _, err := c.book.Swap(ctx, record.PushKey(c.id), v, rec); err != nil && !isConflict(err) {
		return err
	}
	c.upload.taken.Store(nil)
	return nil
}

// catchUp makes the names count as absent, for the rest of the push, that
// collections since P0 have condemned, up to an epoch. This goes for the names of
// the push itself too: one that was deleted may be written again by a request that
// comes late, and be deleted again.
func (s *Service) catchUp(ctx context.Context, u *upload, epoch uint64) error {
	for e := u.caughtUp() + 1; e <= epoch; e++ {
		if err := s.condemnEpoch(ctx, u, e); err != nil {
			return err
		}
	}
	u.catchUp(epoch)
	return nil
}

// condemnEpoch makes the names of every list of an epoch count as absent. A list
// that was not used for deleting holds more names than one that was, and naming
// fewer chunks is always safe.
func (s *Service) condemnEpoch(ctx context.Context, u *upload, epoch uint64) error {
	known := false
	for info, err := range s.Blobs.List(ctx, placement.ListsOf(epoch), "") {
		if err != nil {
			return err
		}
		known = true
		if err := s.condemn(ctx, u, info.Name); err != nil {
			return err
		}
	}
	if !known {
		return openapi.Errorf(openapi.CodePushClosed, "push %s is older than what is known of collections: start another", u.id)
	}
	return nil
}
