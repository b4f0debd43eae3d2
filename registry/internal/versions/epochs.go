package versions

import (
	"context"
	"fmt"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/placement"
)

// checkEpochs is P4: a collection that began after P0 may have condemned what the
// version names. The names of such a list are uploaded again under another
// attempt, and the push is as if it had begun now.
func (c *commit) checkEpochs(ctx context.Context, entries []placement.Entry) error {
	var gc gcRecord
	if _, err := c.load(ctx, gcKey, &gc); err != nil {
		return err
	}
	if gc.Epoch == c.rec.E0 {
		return nil
	}
	for epoch := c.rec.E0 + 1; epoch <= gc.Epoch; epoch++ {
		if err := c.condemnEpoch(ctx, epoch); err != nil {
			return err
		}
	}
	var lost []int
	for i := range entries {
		if c.upload.absent(&entries[i]) {
			lost = append(lost, i)
		}
	}
	if len(lost) == 0 {
		return nil
	}
	if err := c.advance(ctx, &gc); err != nil {
		return err
	}
	return missingChunks(lost)
}

// condemnEpoch makes the names of every list of an epoch count as absent. A list
// that was not used for deleting holds more names than one that was, and naming
// fewer chunks is always safe.
func (c *commit) condemnEpoch(ctx context.Context, epoch uint64) error {
	any := false
	for info, err := range c.Blobs.List(ctx, fmt.Sprintf("gl/%016x.", epoch), "") {
		if err != nil {
			return err
		}
		any = true
		if err := c.condemn(ctx, c.upload, info.Name); err != nil {
			return err
		}
	}
	if !any {
		return openapi.Errorf(openapi.CodePushClosed, "push %s is older than what is known of collections: start another", c.id)
	}
	return nil
}

// advance records that the push goes on with another attempt in the epoch of gc.
func (c *commit) advance(ctx context.Context, gc *gcRecord) error {
	rec, v, err := c.loadPush(ctx, c.principal, c.id)
	if err != nil {
		return err
	}
	rec.E0, rec.List, rec.Attempt = gc.Epoch, gc.active(), rec.Attempt+1
	if _, err := c.swap(ctx, pushKey(c.id), v, rec); err != nil && !isConflict(err) {
		return err
	}
	return nil
}
