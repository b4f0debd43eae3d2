package scrub

import (
	"context"
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/name"
)

// mostParts is in how many parts the namespaces of a registry are taken at most.
const mostParts = 1 << 10

// Recode chooses anew how the chunks of a repository are stored, or of all if repo is
// empty: a chunk that was pushed whole becomes a delta of the related one in the version
// before its own, and one whose bases nothing else needs any more becomes whole where
// that takes less. What another chunk rests on, or versions of several namespaces name,
// stays as it is. It changes where chunks lie, by protocol R, and deletes nothing: a
// collection frees what was gained.
//
// progress, if not nil, is called by one goroutine at a time. One Recode runs at a time.
func (s *Scrubber) Recode(ctx context.Context, repo string, progress func(openapi.CompactProgress)) (openapi.CompactReport, error) {
	if progress == nil {
		progress = func(openapi.CompactProgress) {}
	}
	return s.recodeWith(ctx, &recoding{Scrubber: s, tell: progress, workers: s.Parallel}, repo)
}

func (s *Scrubber) recodeWith(ctx context.Context, r *recoding, repo string) (openapi.CompactReport, error) {
	if s.ReadOnly {
		return r.report, nil
	}
	began := s.Now()
	err := r.all(ctx, repo)
	r.report.BytesAfter = r.report.BytesBefore - r.report.BytesGained
	r.report.Seconds = s.Now().Sub(began).Seconds()
	if err != nil {
		return r.report, fmt.Errorf("compact: %w", err)
	}
	if r.report.Chunks > 0 {
		s.Logger.InfoContext(ctx, "stored chunks otherwise", "versions", r.report.Versions, "chunks", r.report.Chunks, "bytes", r.report.BytesGained)
	}
	return r.report, nil
}

// recoding is one call of Recode.
type recoding struct {
	*Scrubber
	repo    name.Repo // zero for all
	workers int       // chunks that are encoded at a time
	tell    func(openapi.CompactProgress)
	report  openapi.CompactReport
	seen    bool // a version of those that are meant

	uses  *uses
	taken map[placeHash]versions.Source // places of which a version has another encoding by now
}

func (r *recoding) all(ctx context.Context, repo string) (err error) {
	if repo != "" {
		if r.repo, err = name.ParseRepo(repo); err != nil {
			return openapi.Errorf(openapi.CodeBadName, "%v", err)
		}
	}
	if err := r.recodes.Acquire(ctx, 1); err != nil {
		return err
	}
	defer r.recodes.Release(1)
	for of := uint64(1); of <= mostParts; of *= 2 {
		r.report.BytesBefore = r.report.BytesGained // of those that were done in fewer parts
		err := r.parts(ctx, of)
		if errors.Is(err, errTooMany) {
			continue
		}
		if err == nil && !r.seen && repo != "" {
			err = openapi.Errorf(openapi.CodeNotFound, "%s: no such model, or no version of it can be read", repo)
		}
		return err
	}
	return openapi.Errorf(openapi.CodeTooLarge, "a namespace has more chunks than may be remembered at a time: its versions stay as they are")
}

func (r *recoding) parts(ctx context.Context, of uint64) error {
	for i := range of {
		mine := part{i, of}
		if r.repo != (name.Repo{}) && !mine.has(spaceHash(r.repo)) {
			continue
		}
		r.tell(openapi.CompactProgress{Phase: "survey", Done: int64(i), Total: int64(of), Gained: r.report.BytesGained})
		r.taken = map[placeHash]versions.Source{}
		if err := r.survey(ctx, mine); err != nil {
			return err
		}
		r.report.BytesBefore += r.uses.bytes()
		all, err := r.members(ctx, mine)
		if err != nil {
			return err
		}
		for n := range all {
			r.tell(openapi.CompactProgress{Phase: "versions", Done: int64(n), Total: int64(len(all)), Gained: r.report.BytesGained})
			if !r.wants(all[n].repo) {
				continue
			}
			r.seen = true
			if err := r.member(ctx, all, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// member takes one version. What others do to it meanwhile, or what is damaged, is left
// to the next Recode.
func (r *recoding) member(ctx context.Context, all []member, n int) error {
	for range tries {
		err := r.version(ctx, all, n)
		switch {
		case errors.Is(err, versions.ErrCondemned):
			continue
		case isDamage(err) != nil, errors.Is(err, &openapi.Error{Code: openapi.CodeConflict}):
			r.Logger.WarnContext(ctx, "a version is stored as it was", "version", refOf(all[n].repo, all[n].digest), "error", err)
			return nil
		}
		return err
	}
	return nil
}

// version takes one version, as long as there is something of it to be stored otherwise.
func (r *recoding) version(ctx context.Context, all []member, n int) error {
	tried, changed := map[placeHash]bool{}, 0
	defer func() {
		if r.report.Chunks += int64(changed); changed > 0 {
			r.report.Versions++
		}
	}()
	for {
		c, err := r.choose(ctx, all, n, tried)
		if err != nil || c == nil {
			return err
		}
		version, state := c.state()
		if len(c.jobs) == 0 || r.settled[version] == state {
			return nil
		}
		moved, more, err := c.all(ctx)
		if changed += moved; err != nil {
			return err
		}
		if moved == 0 && !more {
			r.settle(version, state)
		}
		if !more {
			return nil
		}
	}
}

// mostSettled bounds what is remembered of versions that are stored as they should be.
const mostSettled = 1 << 18

// settle remembers that nothing of a version is to be stored otherwise.
func (r *recoding) settle(version, state placeHash) {
	if len(r.settled) >= mostSettled {
		clear(r.settled)
	}
	r.settled[version] = state
}
