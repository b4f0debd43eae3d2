package versions

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// Standing is what decides whether a version stays.
type Standing struct {
	Digest chunker.Digest
	At     time.Time // of its commit
	Push   string    // that has committed it
	Tagged bool
	// Used is when a tag left it, or somebody read chunks of it through this process,
	// for the last time; zero for never.
	Used time.Time
}

// Standings returns the versions of a repository that can be read, by digest. It is
// for a caller whom nobody has to allow it. What has not changed since the last time
// is not read again.
func (s *Service) Standings(ctx context.Context, repo name.Repo) ([]Standing, error) {
	prefix := record.HeadPrefix + repo.String() + "/"
	left, tagged, err := s.tagTimes(ctx, repo)
	if err != nil {
		return nil, fmt.Errorf("look at the tags of %s: %w", repo, err)
	}
	var list []Standing
	err = s.book.Each(ctx, prefix, "", func(e registers.Entry) (bool, error) {
		h, err := s.headAt(ctx, e)
		if err != nil || !h.readable {
			return true, err
		}
		d, err := chunker.ParseDigest(e.Key[len(prefix):])
		if err != nil {
			return false, fmt.Errorf("register %q: %w", e.Key, err)
		}
		used := later(left[d.String()], s.LastRead(repo, d))
		list = append(list, Standing{d, h.at, h.push, tagged[d.String()], used})
		return true, nil
	})
	if err != nil {
		return nil, fmt.Errorf("look at the versions of %s: %w", repo, err)
	}
	return list, nil
}

// Pushing tells whether a push may still be about to set a tag on what it has
// committed: it is open.
func (s *Service) Pushing(ctx context.Context, id string) (bool, error) {
	var rec record.Push
	v, err := s.book.Load(ctx, record.PushKey(id), &rec)
	if err != nil {
		return false, fmt.Errorf("look at push %s: %w", id, err)
	}
	return v != registers.Absent && rec.State == openapi.PushOpen && s.Now().Before(rec.Expires), nil
}

// tagTimes tells which versions have a tag, and when a tag was moved away from
// others, or deleted.
func (s *Service) tagTimes(ctx context.Context, repo name.Repo) (left map[string]time.Time, tagged map[string]bool, err error) {
	left, tagged = map[string]time.Time{}, map[string]bool{}
	err = s.book.Each(ctx, record.TagKey(repo, ""), "", func(e registers.Entry) (bool, error) {
		rec, err := s.tagAt(ctx, e)
		if err != nil {
			return false, err
		}
		tagged[rec.Digest] = true
		left[rec.Prev] = later(left[rec.Prev], rec.At)
		return true, nil
	})
	return left, tagged, err
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Annotations returns what a version says of itself; ok is false when that cannot be
// read. It is for a caller whom nobody has to allow it.
func (s *Service) Annotations(ctx context.Context, repo name.Repo, d chunker.Digest) (list []manifest.Annotation, ok bool, err error) {
	b, err := s.currentBody(ctx, repo, d, "")
	if errors.Is(err, errDamaged) || errors.Is(err, blobs.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	return b.manifest.Annotations, true, nil
}

// maxReads bounds the versions of which it is remembered when chunks of them were
// read: some 2 MB.
const maxReads = 1 << 14

// reads remembers when versions were last read.
type reads struct {
	mu sync.Mutex // protects at
	at map[readKey]time.Time
}

type readKey struct {
	repo    name.Repo
	version chunker.Digest
}

func newReads() *reads { return &reads{at: map[readKey]time.Time{}} }

// note remembers that a version is read. Of too many, those are forgotten that are
// older than the average.
func (r *reads) note(repo name.Repo, d chunker.Digest, now time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.at[readKey{repo, d}] = now
	if len(r.at) <= maxReads {
		return
	}
	var sum time.Duration
	for _, at := range r.at {
		sum += now.Sub(at) / maxReads
	}
	for key, at := range r.at {
		if key != (readKey{repo, d}) && now.Sub(at) >= sum {
			delete(r.at, key)
		}
	}
}

// LastRead returns when chunks of a version were last read through this process; zero
// when that is not known.
func (s *Service) LastRead(repo name.Repo, d chunker.Digest) time.Time {
	s.reads.mu.Lock()
	defer s.reads.mu.Unlock()
	return s.reads.at[readKey{repo, d}]
}
