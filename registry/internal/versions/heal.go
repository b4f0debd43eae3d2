package versions

import (
	"context"
	"errors"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
)

// heal is for a version that is there already: where its body, or objects that
// its body names, are known to be bad, it is pointed at what this push has. Chunks
// that the push does not have are missing, as in any other commit.
func (c *commit) heal(ctx context.Context, h *record.Head) error {
	hurt, err := c.hurt(ctx, h)
	if err != nil || !hurt {
		return err
	}
	places, err := c.find(ctx, c.principal, c.rec, c.upload, c.digests())
	if err != nil {
		return err
	}
	bad, _ := c.upload.avoids()
	var missing []int
	m := &Move{c.Service, c.id, c.rec.E0, c.upload}
	changed, err := m.point(ctx, c.repo, c.digest, func(old *body) *body {
		var entries []placement.Entry
		entries, missing = mend(old, places, bad)
		if len(missing) > 0 {
			return nil
		}
		return &body{document: c.document, manifest: c.manifest, entries: entries}
	})
	if len(missing) > 0 {
		return missingChunks(missing)
	}
	if errors.Is(err, ErrCondemned) {
		c.Logger.WarnContext(ctx, "a collection wants what would heal a version: push it again", "repo", c.repo.String(), "version", c.digest.Short())
		return nil
	}
	if changed {
		c.Logger.InfoContext(ctx, "healed a version", "repo", c.repo.String(), "version", c.digest.Short(), "push", c.id)
	}
	return err
}

// hurt reports whether the version needs anything that is known to be bad.
func (c *commit) hurt(ctx context.Context, h *record.Head) (bool, error) {
	bad, _ := c.upload.avoids()
	looked, known := c.upload.source(Source{c.repo.String(), c.digest})
	unread := known && looked == "" // it was of no use to this push: perhaps for want of a body
	if len(bad) == 0 && !unread {
		return false, nil
	}
	if bad[h.Body] != nil {
		return true, nil
	}
	b, err := c.loadBody(ctx, h.Body)
	if errors.Is(err, errDamaged) || errors.Is(err, blobs.ErrNotFound) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	for i := range b.entries {
		if bad.names(&b.entries[i]) {
			return true, nil
		}
	}
	return false, nil
}

// mend returns where the chunks of a version are to lie: where they are, unless
// that is bad or not known, because old cannot be read and is nil.
func mend(old *body, places []found, bad badObjects) (entries []placement.Entry, missing []int) {
	entries = make([]placement.Entry, len(places))
	for i := range places {
		switch {
		case old != nil && !bad.names(&old.entries[i]):
			entries[i] = old.entries[i]
		case places[i].plain != 0:
			entries[i] = places[i].entry
		case old != nil && !bad.covers(&old.entries[i]):
			entries[i] = old.entries[i] // only other parts of the object are bad
		default:
			missing = append(missing, i)
		}
	}
	return entries, missing
}
