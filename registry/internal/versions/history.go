package versions

import (
	"context"
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/name"
)

// maxSteps bounds the versions, retired ones too, that a page of a log walks past.
const maxSteps = 8 * openapi.MaxPage

// Log returns a page of the version that ref names and those that it was made from,
// as far as they are in its repository. after is the version behind which the page
// begins, which may be retired; zero for ref itself.
//
// It reads the body of every version of the page, two at a time.
func (s *Service) Log(ctx context.Context, p access.Principal, ref name.Ref, after chunker.Digest, limit int) (openapi.Log, error) {
	w, err := s.walkFrom(ctx, p, ref, after)
	if err != nil {
		return openapi.Log{}, err
	}
	release, err := s.history(ctx)
	if err != nil {
		return openapi.Log{}, err
	}
	defer release()
	log, err := w.page(ctx, pageSize(limit))
	if err != nil {
		return log, fmt.Errorf("log of %s: %w", ref, err)
	}
	return log, nil
}

// history has those wait who ask for more bodies while others do. What it returns
// lets the next one in.
func (s *Service) history(ctx context.Context) (release func(), err error) {
	if err := s.walking.Acquire(ctx, 1); err != nil {
		return nil, err
	}
	return func() { s.walking.Release(1) }, nil
}

// walk goes from a version to what it was made from.
type walk struct {
	*Service
	principal access.Principal
	repo      name.Repo
	tags      map[string][]string
	at        *stop
	steps     int
}

// stop is a version on the way. One that was retired has no body.
type stop struct {
	digest chunker.Digest
	head   *record.Head
	body   *body // nil also where it cannot be read
	parent chunker.Digest
}

// walkFrom begins at a reference, or at the parent of after.
func (s *Service) walkFrom(ctx context.Context, p access.Principal, ref name.Ref, after chunker.Digest) (*walk, error) {
	w := &walk{Service: s, principal: p, repo: ref.Repo}
	if err := s.existing(ctx, p, ref.Repo); err != nil {
		return nil, err
	}
	first := after
	if after.IsZero() {
		d, err := s.Resolve(ctx, p, ref)
		if err != nil {
			return nil, err
		}
		first = d
	}
	var err error
	if w.at, err = w.stopAt(ctx, first); err != nil {
		return nil, err
	}
	if w.at == nil {
		return nil, notFound("%s: not found", versionName(ref.Repo, first))
	}
	if !after.IsZero() {
		if w.at, err = w.stopAt(ctx, w.at.parent); err != nil {
			return nil, err
		}
	}
	w.tags, err = s.tagsByDigest(ctx, ref.Repo)
	return w, err
}

// stopAt looks at a version, which may be retired; nil for one that never was in the
// repository.
func (w *walk) stopAt(ctx context.Context, d chunker.Digest) (*stop, error) {
	if d.IsZero() {
		return nil, nil
	}
	var h record.Head
	v, err := w.book.Load(ctx, record.HeadKey(w.repo, d), &h)
	if err != nil || v == registers.Absent || !h.Readable() && h.State != record.Dead {
		return nil, err
	}
	w.steps++
	at := &stop{digest: d, head: &h}
	if h.Parent != "" {
		if at.parent, err = chunker.ParseDigest(h.Parent); err != nil {
			return nil, fmt.Errorf("parent of %s: %w", versionName(w.repo, d), err)
		}
	}
	if h.Readable() {
		at.body, err = w.bodyThere(ctx, w.repo, d)
	}
	return at, err
}

// bodyThere returns the body of a version; nil for one that is gone or damaged, which
// whoever reads the version is told of.
func (s *Service) bodyThere(ctx context.Context, repo name.Repo, d chunker.Digest) (*body, error) {
	b, err := s.currentBody(ctx, repo, d, "")
	if isGone(err) || errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
		return nil, nil
	}
	return b, err
}

// isGone reports a body that cannot be read, now or ever.
func isGone(err error) bool { return errors.Is(err, errDamaged) || errors.Is(err, blobs.ErrNotFound) }

// page walks as far as a page goes.
func (w *walk) page(ctx context.Context, limit int) (openapi.Log, error) {
	log := openapi.Log{Entries: []openapi.LogEntry{}}
	for w.at != nil && len(log.Entries) < limit && w.steps < maxSteps {
		now, retired := w.at, 0
		if err := w.next(ctx); err != nil {
			return log, err
		}
		for w.at != nil && !w.at.head.Readable() && w.steps < maxSteps {
			retired++
			log.Next = w.at.digest.String()
			if err := w.next(ctx); err != nil {
				return log, err
			}
		}
		if now.head.Readable() {
			log.Next = now.digest.String()
			before, err := w.before(ctx, now)
			if err != nil {
				return log, err
			}
			log.Entries = append(log.Entries, w.entry(now, before, retired))
		}
	}
	if w.at == nil {
		log.Next = ""
	}
	return log, nil
}

// next goes to the parent.
func (w *walk) next(ctx context.Context) (err error) {
	w.at, err = w.stopAt(ctx, w.at.parent)
	return err
}

// before returns the body that a version is compared with: that of the version where
// the walk is, or of a parent in another repository.
func (w *walk) before(ctx context.Context, now *stop) (*body, error) {
	if w.at != nil {
		return w.at.body, nil
	}
	return w.bodyBefore(ctx, w.principal, w.repo, now.parent)
}

// bodyBefore returns the body of a parent, in its child's repository or another of
// the namespace that p may read; nil where there is none.
func (s *Service) bodyBefore(ctx context.Context, p access.Principal, repo name.Repo, parent chunker.Digest) (found *body, err error) {
	if parent.IsZero() {
		return nil, nil
	}
	if found, err = s.bodyThere(ctx, repo, parent); found != nil || err != nil {
		return found, err
	}
	err = s.eachRepo(ctx, repo.Namespace, "", func(other name.Repo) (bool, error) {
		if other == repo || s.Policy.Allow(p, other, access.Read) != nil {
			return true, nil
		}
		found, err = s.bodyThere(ctx, other, parent)
		return found == nil, err
	})
	return found, err
}

func (w *walk) entry(now *stop, before *body, retired int) openapi.LogEntry {
	h, b := now.head, now.body
	e := openapi.LogEntry{
		Digest: now.digest, Parent: h.Parent, Retired: retired, At: h.At, By: h.By,
		Tags: append([]string{}, w.tags[now.digest.String()]...), Total: h.Size, Chunks: h.Chunks,
	}
	if b == nil {
		return e
	}
	f := figuresOf(b, before)
	e.Step, e.Loss, e.Run = f.step, f.loss, f.run
	e.Added, e.New, e.Delta = f.added, f.new, f.delta
	return e
}

// brief returns an annotation unless it is too long to be what it should.
func brief(value string) string {
	if len(value) > openapi.MaxMetric {
		return ""
	}
	return value
}

// has reports whether the version has a chunk; nothing has none.
func (b *body) has(d chunker.Digest) bool {
	if b == nil {
		return false
	}
	_, ok := b.find(d)
	return ok
}
