package versions

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/name"
)

// Tag returns where a tag points.
func (s *Service) Tag(ctx context.Context, p access.Principal, repo name.Repo, tag string) (openapi.Tag, error) {
	what := tagName(repo, tag)
	if err := name.CheckTag(tag); err != nil {
		return openapi.Tag{}, openapi.Errorf(openapi.CodeBadName, "%v", err)
	}
	if err := s.readable(p, repo, what); err != nil {
		return openapi.Tag{}, err
	}
	var rec record.Tag
	if _, err := s.book.Load(ctx, record.TagKey(repo, tag), &rec); err != nil {
		return openapi.Tag{}, fmt.Errorf("read tag %s: %w", what, err)
	}
	if rec.Digest == "" {
		return openapi.Tag{}, notFound("%s: not found", what)
	}
	return viewTag(&rec, tag)
}

func viewTag(r *record.Tag, tag string) (openapi.Tag, error) {
	d, err := chunker.ParseDigest(r.Digest)
	if err != nil {
		return openapi.Tag{}, fmt.Errorf("read tag %s: %w", tag, err)
	}
	return openapi.Tag{Name: tag, Digest: d, Updated: r.At, By: r.By, Branch: r.Branch}, nil
}

// Resolve returns the version that a reference names now.
func (s *Service) Resolve(ctx context.Context, p access.Principal, ref name.Ref) (chunker.Digest, error) {
	if ref.Digest.IsZero() {
		t, err := s.Tag(ctx, p, ref.Repo, ref.Tag)
		return t.Digest, err
	}
	if err := s.readable(p, ref.Repo, versionName(ref.Repo, ref.Digest)); err != nil {
		return chunker.Digest{}, err
	}
	_, _, err := s.readHead(ctx, ref.Repo, ref.Digest)
	return ref.Digest, err
}

// SetTag makes or moves a tag, if it is where the request expects it.
func (s *Service) SetTag(ctx context.Context, p access.Principal, repo name.Repo, tag string, to openapi.SetTag) (openapi.Tag, error) {
	if err := name.CheckTag(tag); err != nil {
		return openapi.Tag{}, openapi.Errorf(openapi.CodeBadName, "%v", err)
	}
	if err := s.allowed(p, repo, access.Push, versionName(repo, to.Digest)); err != nil {
		return openapi.Tag{}, err
	}
	if _, _, err := s.readHead(ctx, repo, to.Digest); err != nil {
		return openapi.Tag{}, err
	}
	return s.setTag(ctx, p, repo, tag, to)
}

// setTag is P6: the tag is written, and then the version is read again. Who
// retires a version does it the other way round, so that one of the two sees the
// other.
func (s *Service) setTag(ctx context.Context, p access.Principal, repo name.Repo, tag string, to openapi.SetTag) (openapi.Tag, error) {
	d := to.Digest
	for range rounds {
		var rec record.Tag
		v, err := s.book.Load(ctx, record.TagKey(repo, tag), &rec)
		if err != nil {
			return openapi.Tag{}, fmt.Errorf("set tag %s:%s: %w", repo, tag, err)
		}
		if err := checkExpect(repo, tag, rec.Digest, to.Expect, d.String()); err != nil {
			return openapi.Tag{}, err
		}
		if branch := rec.Branch || to.Branch; rec.Digest != d.String() || rec.Branch != branch {
			if err := s.maySet(ctx, p, repo, tag, rec.Digest != ""); err != nil {
				return openapi.Tag{}, err
			}
			rec.Prev, rec.Digest, rec.By, rec.At, rec.Branch = rec.Digest, d.String(), p.Subject, s.Now().UTC(), branch
			if v, err = s.swapTag(ctx, repo, tag, v, &rec); isConflict(err) {
				continue
			} else if err != nil {
				return openapi.Tag{}, fmt.Errorf("set tag %s:%s: %w", repo, tag, err)
			} else if v == registers.Absent {
				return viewTag(&rec, tag) // it was there, and somebody has moved it since
			}
		}
		kept, err := s.keep(ctx, repo, d)
		if err == nil && !kept {
			err = s.untag(ctx, repo, tag, &rec, v)
		}
		if err != nil {
			return openapi.Tag{}, err
		}
		return viewTag(&rec, tag)
	}
	return openapi.Tag{}, conflict("tag %s:%s: others move it: try again", repo, tag)
}

// swapTag writes where a tag points, and tells that it has changed. The version is
// registers.Absent when somebody has moved the tag since.
func (s *Service) swapTag(ctx context.Context, repo name.Repo, tag string, v registers.Version, rec *record.Tag) (registers.Version, error) {
	v, err := s.book.Swap(ctx, record.TagKey(repo, tag), v, rec)
	if isConflict(err) && errors.Is(err, registers.ErrUnknown) {
		v, err = registers.Absent, s.overtaken(ctx, repo, tag, rec, err)
	}
	if err == nil && s.TagChanged != nil {
		s.TagChanged(repo, openapi.TagEvent{Repo: repo.String(), Tag: tag, Digest: rec.Digest, Updated: rec.At})
	}
	return v, err
}

// overtaken finds out whether rec was written before somebody else wrote over it,
// which Swap could not tell: what comes next says what was there before. Writing it
// again then would undo what others have done since. It returns nil if it was
// written, and the conflict if not.
func (s *Service) overtaken(ctx context.Context, repo name.Repo, tag string, rec *record.Tag, conflict error) error {
	var now record.Tag
	if _, err := s.book.Load(ctx, record.TagKey(repo, tag), &now); err != nil {
		return err
	}
	switch {
	case now.Seq == rec.Seq+1 && now.Prev == rec.Digest:
		return nil
	case now.Seq <= rec.Seq+1:
		return conflict
	}
	return openapi.Errorf(openapi.CodeUnavailable, "tag %s: others move it, and what became of this write is not known: look and try again", tagName(repo, tag))
}

// checkExpect compares where a tag is with where it should be. A tag that is
// already where it is to go is fine: the answer of a first try may have been lost.
func checkExpect(repo name.Repo, tag, got, expect, to string) error {
	switch {
	case expect == "" || got == expect || got != "" && got == to:
		return nil
	case expect == openapi.ExpectNone && got == "":
		return nil
	case got == "":
		return openapi.Errorf(openapi.CodeTagMoved, "tag %s:%s does not exist, %.12s was expected", repo, tag, expect)
	case expect == openapi.ExpectNone:
		return openapi.Errorf(openapi.CodeTagMoved, "tag %s:%s exists and is at %.12s", repo, tag, got)
	}
	return openapi.Errorf(openapi.CodeTagMoved, "tag %s:%s is at %.12s, %.12s was expected", repo, tag, got, expect)
}

// keep makes sure that a version which a tag points at stays: one that is about
// to be retired is taken back. It returns false for one that is gone.
func (s *Service) keep(ctx context.Context, repo name.Repo, d chunker.Digest) (bool, error) {
	for range rounds {
		var h record.Head
		v, err := s.book.Load(ctx, record.HeadKey(repo, d), &h)
		if err != nil {
			return false, fmt.Errorf("look after %s: %w", versionName(repo, d), err)
		}
		if h.State != record.Condemned {
			return h.State == record.Committed, nil
		}
		h.State = record.Committed
		if _, err = s.book.Swap(ctx, record.HeadKey(repo, d), v, &h); !isConflict(err) {
			return err == nil, err
		}
	}
	return false, conflict("%s: others change it: try again", versionName(repo, d))
}

// untag takes a tag back from a version that is gone, and returns an error that
// says so. The tag goes to where it was, if that version is still there: since no
// tag was on it for a moment, it may have been retired too.
func (s *Service) untag(ctx context.Context, repo name.Repo, tag string, rec *record.Tag, v registers.Version) error {
	gone := conflict("tag %s: the version was retired at the same time", tagName(repo, tag))
	for _, digest := range []string{rec.Prev, ""} {
		rec.Prev, rec.Digest = rec.Digest, digest
		var err error
		if v, err = s.swapTag(ctx, repo, tag, v, rec); isConflict(err) || err == nil && v == registers.Absent {
			return gone // somebody has moved it since
		} else if err != nil {
			return fmt.Errorf("take tag %s back: %w", tagName(repo, tag), err)
		}
		if digest == "" {
			break
		}
		back, err := viewTag(rec, tag)
		if err != nil {
			return err
		}
		if kept, err := s.keep(ctx, repo, back.Digest); kept || err != nil {
			return cmp.Or(err, gone)
		}
	}
	return gone
}

// DeleteTag deletes a tag, if it is where the caller expects it. The version
// stays.
func (s *Service) DeleteTag(ctx context.Context, p access.Principal, repo name.Repo, tag, expect string) error {
	if err := name.CheckTag(tag); err != nil {
		return openapi.Errorf(openapi.CodeBadName, "%v", err)
	}
	if err := s.allowed(p, repo, access.Push, tagName(repo, tag)); err != nil {
		return err
	}
	for range rounds {
		var rec record.Tag
		v, err := s.book.Load(ctx, record.TagKey(repo, tag), &rec)
		if err != nil {
			return fmt.Errorf("delete tag %s:%s: %w", repo, tag, err)
		}
		if rec.Digest == "" {
			return notFound("%s:%s: not found", repo, tag)
		}
		if err := checkExpect(repo, tag, rec.Digest, expect, ""); err != nil {
			return err
		}
		if err := s.maySet(ctx, p, repo, tag, true); err != nil {
			return err
		}
		rec.Prev, rec.Digest, rec.By, rec.At, rec.Branch = rec.Digest, "", p.Subject, s.Now().UTC(), false
		if _, err = s.swapTag(ctx, repo, tag, v, &rec); !isConflict(err) {
			return err
		}
	}
	return conflict("tag %s:%s: others move it: try again", repo, tag)
}

// Delete retires a version that no tag points at. Its bytes stay until they are
// collected.
func (s *Service) Delete(ctx context.Context, p access.Principal, repo name.Repo, d chunker.Digest) error {
	if err := s.allowed(p, repo, access.Delete, versionName(repo, d)); err != nil {
		return err
	}
	return s.Retire(ctx, repo, d)
}

// Retire is Delete for a caller whom nobody has to allow it. Errors are
// *openapi.Error when the version is not there, has a tag, or is wanted by others
// at this moment.
func (s *Service) Retire(ctx context.Context, repo name.Repo, d chunker.Digest) error {
	h, v, err := s.readHead(ctx, repo, d)
	if err != nil {
		return err
	}
	if h.State == record.Committed {
		h.State = record.Condemned
		h.Drop()
		if v, err = s.book.Swap(ctx, record.HeadKey(repo, d), v, h); err != nil {
			return s.lostRace(repo, d, err)
		}
	}
	tags, err := s.tagsOf(ctx, repo, d)
	if err != nil {
		return err
	}
	h.State, h.At = record.Dead, s.Now().UTC()
	if len(tags) > 0 {
		h.State = record.Committed
	}
	if _, err := s.book.Swap(ctx, record.HeadKey(repo, d), v, h); err != nil {
		return s.lostRace(repo, d, err)
	}
	if len(tags) > 0 {
		return tagged(repo, d, tags)
	}
	return nil
}

// tagged says why a version cannot be retired.
func tagged(repo name.Repo, d chunker.Digest, tags []string) error {
	const most = 10 // that a message names
	more := ""
	if len(tags) > most {
		more = fmt.Sprintf(" and %d more", len(tags)-most)
		tags = tags[:most]
	}
	return conflict("%s has tags: delete or move %s%s first", versionName(repo, d), strings.Join(tags, ", "), more)
}

func (s *Service) lostRace(repo name.Repo, d chunker.Digest, err error) error {
	if isConflict(err) {
		return conflict("%s@%s: others change it: look and try again", repo, d.Short())
	}
	return fmt.Errorf("retire %s@%s: %w", repo, d.Short(), err)
}

// tagsOf returns the tags of repo that point at d.
func (s *Service) tagsOf(ctx context.Context, repo name.Repo, d chunker.Digest) (tags []string, err error) {
	err = s.eachTag(ctx, repo, "", func(tag string, rec *record.Tag) (bool, error) {
		if rec.Digest == d.String() {
			tags = append(tags, tag)
		}
		return true, nil
	})
	return tags, err
}

// eachTag calls f with the tags of repo that are greater than after and not
// deleted, in order, until it returns false.
func (s *Service) eachTag(ctx context.Context, repo name.Repo, after string, f func(string, *record.Tag) (bool, error)) error {
	prefix := record.TagKey(repo, "")
	if after != "" {
		after = prefix + after
	}
	return s.book.Each(ctx, prefix, after, func(e registers.Entry) (bool, error) {
		rec, err := s.tagAt(ctx, e)
		if err != nil {
			return false, err
		}
		if rec.Digest == "" {
			return true, nil
		}
		return f(e.Key[len(prefix):], rec)
	})
}
