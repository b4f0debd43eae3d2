package versions

import (
	"context"
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// rounds bounds how often a step starts again because somebody else was faster.
const rounds = 16

// commit is one call of Commit on its way through the steps.
type commit struct {
	*Service
	principal access.Principal
	id        string
	rec       *record.Push
	upload    *upload
	repo      name.Repo
	digest    chunker.Digest
	document  []byte
	manifest  *manifest.Manifest
	sources   []Source // versions that are known to have chunks of this one
	orphan    bool     // the parent need not be here
}

// Commit makes the version that doc describes readable, then sets a tag on it if
// one is named: steps P3 to P6. It may be called again with the same arguments
// after any failure, at any replica.
//
// A chunk that the push may not name is CodeMissingChunks: upload those, then
// commit again.
func (s *Service) Commit(ctx context.Context, p access.Principal, id string, doc []byte, tag, expect string) (openapi.Committed, error) {
	return s.CommitFrom(ctx, p, id, doc, tag, expect, nil)
}

// CommitFrom is Commit by a caller who knows which versions have the chunks that were
// not uploaded. They are asked first, however many they are.
func (s *Service) CommitFrom(ctx context.Context, p access.Principal, id string, doc []byte, tag, expect string, sources []Source) (openapi.Committed, error) {
	c, err := s.newCommit(ctx, p, id, doc, tag)
	if err != nil {
		return openapi.Committed{}, err
	}
	c.sources = sources
	return c.do(ctx, tag, expect)
}

// CommitOrphan is Commit of a version that was taken out of another registry: its
// parent need not be here.
func (s *Service) CommitOrphan(ctx context.Context, p access.Principal, id string, doc []byte, tag, expect string) (openapi.Committed, error) {
	c, err := s.newCommit(ctx, p, id, doc, tag)
	if err != nil {
		return openapi.Committed{}, err
	}
	c.orphan = true
	return c.do(ctx, tag, expect)
}

// do goes through the steps.
func (c *commit) do(ctx context.Context, tag, expect string) (openapi.Committed, error) {
	if err := c.maySetFirst(ctx, c.principal, c.repo, tag, c.digest.String()); err != nil {
		return openapi.Committed{}, err
	}
	created, err := c.publish(ctx)
	if err != nil {
		return openapi.Committed{}, fmt.Errorf("commit %s@%s: %w", c.repo, c.digest.Short(), err)
	}
	done := openapi.Committed{Digest: c.digest, Created: created}
	if tag != "" {
		t, err := c.setTag(ctx, c.principal, c.repo, tag, openapi.SetTag{Digest: c.digest, Expect: expect})
		if err != nil {
			return openapi.Committed{}, err
		}
		done.Tag = &t
	}
	c.close(ctx)
	return done, nil
}

// newCommit checks everything that can be checked without the chunks. A push that
// is done may be committed again, since the answer may have been lost.
func (s *Service) newCommit(ctx context.Context, p access.Principal, id string, doc []byte, tag string) (*commit, error) {
	if tag != "" {
		if err := name.CheckTag(tag); err != nil {
			return nil, openapi.Errorf(openapi.CodeBadName, "%v", err)
		}
	}
	m, err := manifest.Parse(doc)
	if err != nil {
		return nil, openapi.Errorf(openapi.CodeBadManifest, "%v", err)
	}
	rec, _, err := s.loadPush(ctx, p, id)
	if err != nil {
		return nil, err
	}
	c := &commit{Service: s, principal: p, id: id, rec: rec, repo: rec.Repo(), digest: manifest.Name(doc), document: doc, manifest: m}
	if rec.State != openapi.PushDone {
		c.upload, err = s.uploadOf(ctx, id, rec)
	}
	return c, err
}

// checkParent wants the parent to be a version that the pusher can read, in this
// repository or in another. Parents in others are rare, so nothing keeps them at
// hand.
func (c *commit) checkParent(ctx context.Context) error {
	if c.orphan || c.manifest.Parent.IsZero() {
		return nil
	}
	found, err := c.parentIn(ctx, c.repo)
	if err == nil && !found {
		err = c.eachReadable(ctx, c.principal, "", "", func(repo name.Repo) (bool, error) {
			found, err = c.parentIn(ctx, repo)
			return !found, err
		})
	}
	if err != nil {
		return fmt.Errorf("look for the parent: %w", err)
	}
	if !found {
		return openapi.Errorf(openapi.CodeBadManifest, "parent %s: no version of that name that %s can read", c.manifest.Parent.Short(), c.principal.Subject)
	}
	return nil
}

// parentIn reports whether the pusher can read the parent in repo, or could until it
// was retired: that may have been while the push was under way.
func (c *commit) parentIn(ctx context.Context, repo name.Repo) (bool, error) {
	if c.Policy.Allow(c.principal, repo, access.Read) != nil {
		return false, nil
	}
	var h record.Head
	_, err := c.book.Load(ctx, record.HeadKey(repo, c.manifest.Parent), &h)
	return h.Readable() || h.State == record.Dead, err
}

// publish brings the head to committed. created is false when the version was
// there before this push.
func (c *commit) publish(ctx context.Context) (created bool, err error) {
	for range rounds {
		var h record.Head
		v, err := c.book.Load(ctx, record.HeadKey(c.repo, c.digest), &h)
		if err != nil {
			return false, err
		}
		switch {
		case h.State == record.Committed:
			return c.found(ctx, &h)
		case h.State == record.Condemned:
			err = c.restore(ctx, &h, v)
		case c.upload == nil:
			return false, openapi.Errorf(openapi.CodePushClosed, "push %s is done, and its version is gone: start another", c.id)
		default:
			err = c.attempt(ctx, h, v)
		}
		if err != nil && !isConflict(err) {
			return false, err
		}
	}
	return false, conflict("%s@%s: others commit the same version: try again", c.repo, c.digest.Short())
}

// found is for a version that is there. What this push has made is sound, as far
// as it knows; a push that is done has nothing to heal others with.
func (c *commit) found(ctx context.Context, h *record.Head) (created bool, err error) {
	switch {
	case c.upload == nil:
	case h.Push == c.id:
		c.tellIndex(ctx)
	default:
		err = c.heal(ctx, h)
	}
	return h.Push == c.id, err
}

// restore takes a version back that is about to be retired: it is wanted.
func (c *commit) restore(ctx context.Context, h *record.Head, v registers.Version) error {
	h.State = record.Committed
	_, err := c.book.Swap(ctx, record.HeadKey(c.repo, c.digest), v, h)
	return err
}

// attempt takes the head, whose version is v, through P3 to P5. Taking a pending
// head over from another push is aborting it and publishing this one in one
// step: the other push's P5 then fails, and it looks again.
func (c *commit) attempt(ctx context.Context, old record.Head, v registers.Version) error {
	if err := c.checkParent(ctx); err != nil {
		return err
	}
	entries, err := c.place(ctx)
	if err != nil {
		return err
	}
	push := quotaPush(c.id, c.rec)
	if err := c.Quota.Fits(ctx, push, int64(c.manifest.Size())); err != nil {
		return err
	}
	if err := c.show(ctx, old, v, entries); err != nil {
		c.Quota.Failed(push)
		return err
	}
	c.Quota.Committed(push)
	return nil
}

// show is P3 to P5 for a version whose chunks are all there.
func (c *commit) show(ctx context.Context, old record.Head, v registers.Version, entries []placement.Entry) error {
	body, err := c.putBody(ctx, c.repo, c.digest, c.id, &placement.Body{Document: c.document, Entries: entries})
	if err != nil {
		return err
	}
	h := &record.Head{
		Stamp: old.Stamp, State: record.Pending, Body: body, E0: c.rec.E0, Push: c.id,
		By: c.principal.Subject, At: c.Now().UTC(), Facts: c.facts(entries),
	}
	key := record.HeadKey(c.repo, c.digest)
	if v, err = c.book.Swap(ctx, key, v, h); err != nil { // P3
		return err
	}
	if err := c.checkEpochs(ctx, body, entries); err != nil { // P4
		return err
	}
	h.State = record.Committed
	_, err = c.book.Swap(ctx, key, v, h) // P5
	return err
}

// tellIndex is done by every commit of the push that made the version: the first
// may not have come to it.
func (c *commit) tellIndex(ctx context.Context) {
	if err := c.Index.Add(ctx, c.repo.String(), c.digest, c.manifest.Chunks); err != nil {
		c.Logger.WarnContext(ctx, "chunk index failed: chunks of this version will be uploaded again", "version", c.digest.Short(), "error", err)
	}
}

// place finds every chunk of the version, or says which are missing.
func (c *commit) place(ctx context.Context) ([]placement.Entry, error) {
	q := newSearch(c.Service, c.principal, c.rec, c.upload, c.digests())
	if err := q.inSources(ctx, c.sources); err != nil {
		return nil, err
	}
	if err := q.all(ctx); err != nil {
		return nil, err
	}
	places := q.places
	if err := missingChunks(open(places)); err != nil {
		return nil, err
	}
	entries := make([]placement.Entry, len(places))
	for i, ref := range c.manifest.Chunks {
		if places[i].plain != ref.Size {
			return nil, openapi.Errorf(openapi.CodeBadManifest, "chunk %d, %s: has %d bytes, the manifest says %d", i, ref.Digest.Short(), places[i].plain, ref.Size)
		}
		entries[i] = places[i].entry
	}
	return entries, nil
}

// digests returns those of the version's chunks.
func (c *commit) digests() []chunker.Digest {
	digests := make([]chunker.Digest, len(c.manifest.Chunks))
	for i, ref := range c.manifest.Chunks {
		digests[i] = ref.Digest
	}
	return digests
}

func missingChunks(indexes []int) error {
	if len(indexes) == 0 {
		return nil
	}
	e := openapi.Errorf(openapi.CodeMissingChunks, "%d chunks are missing: upload them, then commit again", len(indexes))
	for _, i := range indexes[:min(len(indexes), openapi.MaxMissing)] {
		e.Missing = append(e.Missing, uint32(i))
	}
	return e
}

// putBody stores a body under a name of its own; id is the push's.
func (s *Service) putBody(ctx context.Context, repo name.Repo, d chunker.Digest, id string, b *placement.Body) (string, error) {
	nonce, err := s.book.Token(record.NonceLen)
	if err != nil {
		return "", err
	}
	raw := b.Encode()
	body := placement.BodyName(repo, d, id, placement.Seal(nonce, raw))
	return body, s.Blobs.Put(ctx, body, raw)
}

func (c *commit) facts(entries []placement.Entry) record.Facts {
	f := record.Facts{
		Size: int64(c.manifest.Size()), Files: len(c.manifest.Files), Chunks: len(c.manifest.Chunks), Stored: storedBytes(entries),
	}
	if !c.manifest.Parent.IsZero() {
		f.Parent = c.manifest.Parent.String()
	}
	return f
}

func storedBytes(entries []placement.Entry) (n int64) {
	for i := range entries {
		n += int64(entries[i].Length)
	}
	return n
}

// close marks the push as done. Nothing depends on it: if it fails, the push
// expires.
func (c *commit) close(ctx context.Context) {
	c.uploads.forget(c.id)
	if c.rec.State == openapi.PushDone {
		return
	}
	rec, v, err := c.loadPush(ctx, c.principal, c.id)
	if err == nil && rec.State == openapi.PushOpen {
		rec.State = openapi.PushDone
		_, err = c.book.Swap(ctx, record.PushKey(c.id), v, rec)
	}
	if err != nil && !isConflict(err) && !errors.Is(err, context.Canceled) {
		c.Logger.WarnContext(ctx, "push stays open until it expires", "push", c.id, "error", err)
	}
}
