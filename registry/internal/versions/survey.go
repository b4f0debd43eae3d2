package versions

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/name"
)

// survey is what the heads and tags of all repositories say. It is never changed.
type survey struct {
	at    time.Time
	took  time.Duration // to list the registers; what they say is read once
	repos []surveyed    // by namespace, then name; also those that have nothing any more
}

// surveyed is one repository. Whether somebody may know of it is not decided here.
type surveyed struct {
	repo   name.Repo
	info   openapi.ModelSummary
	newest time.Time // of info.Latest
	bodies []string  // of the versions that can be read
	state  uint64    // the same as long as the registers of its heads are
}

func compareRepos(a, b name.Repo) int {
	if c := strings.Compare(a.Namespace, b.Namespace); c != 0 {
		return c
	}
	return strings.Compare(a.Name, b.Name)
}

// surveys keeps the last survey.
type surveys struct {
	mu   sync.Mutex // protects last
	last *survey
}

// quick is how long work may take that is done again for everybody who asks.
const quick = 100 * time.Millisecond

// old tells what is to be made again: something that was made quickly always, and all
// else when it is ten times as old as it took. So whoever asks in a loop has the
// registry work for a tenth of the time.
func old(age, took time.Duration) bool { return took < quick || age > 10*took }

// surveyRecent returns a survey that may be a little old where making one takes long.
func (s *Service) surveyRecent(ctx context.Context) (*survey, error) {
	s.surveys.mu.Lock()
	last := s.surveys.last
	s.surveys.mu.Unlock()
	if last != nil && !old(s.Now().Sub(last.at), last.took) {
		return last, nil
	}
	return s.survey(ctx, "")
}

// survey looks at all heads and tags, or those of a namespace. A register that has not
// changed since somebody looked at it last is not read again.
func (s *Service) survey(ctx context.Context, namespace string) (*survey, error) {
	v := &survey{at: s.Now()}
	all := map[name.Repo]*surveyed{}
	of := func(repo name.Repo) *surveyed {
		if all[repo] == nil {
			all[repo] = &surveyed{repo: repo, info: openapi.ModelSummary{Name: repo.String()}}
		}
		return all[repo]
	}
	below := ""
	if namespace != "" {
		below = namespace + "/"
	}
	if err := s.surveyHeads(ctx, record.HeadPrefix+below, &v.took, of); err != nil {
		return nil, fmt.Errorf("look at all versions: %w", err)
	}
	if err := s.surveyTags(ctx, record.TagPrefix+below, &v.took, of); err != nil {
		return nil, fmt.Errorf("look at all tags: %w", err)
	}
	for _, r := range all {
		v.repos = append(v.repos, *r)
	}
	slices.SortFunc(v.repos, func(a, b surveyed) int { return compareRepos(a.repo, b.repo) })
	if namespace == "" {
		s.surveys.mu.Lock()
		s.surveys.last = v
		s.surveys.mu.Unlock()
	}
	return v, nil
}

func (s *Service) surveyHeads(ctx context.Context, prefix string, took *time.Duration, of func(name.Repo) *surveyed) error {
	return s.eachPage(ctx, prefix, took, func(page []registers.Entry) error {
		heads, err := s.headsAt(ctx, page)
		if err != nil {
			return err
		}
		for i, e := range page {
			repo, d, err := record.ParseHeadKey(e.Key)
			if err != nil {
				return err
			}
			r := of(repo)
			r.change(e)
			if heads[i].readable {
				r.head(d, &heads[i])
			}
		}
		return nil
	})
}

func (s *Service) surveyTags(ctx context.Context, prefix string, took *time.Duration, of func(name.Repo) *surveyed) error {
	return s.eachPage(ctx, prefix, took, func(page []registers.Entry) error {
		tags, err := s.tagsAt(ctx, page)
		if err != nil {
			return err
		}
		for i, e := range page {
			repo, tag, err := record.ParseKey(e.Key)
			if err != nil {
				return err
			}
			if tags[i].Digest != "" {
				of(repo).tag(tag, &tags[i])
			}
		}
		return nil
	})
}

// eachPage is record.Book.Each for who reads what a list tells of together. It adds to
// took how long the lists take.
func (s *Service) eachPage(ctx context.Context, prefix string, took *time.Duration, f func([]registers.Entry) error) error {
	for after := ""; ; {
		begun := time.Now()
		page, err := s.Registers.List(ctx, prefix, after, registers.MaxList)
		*took += time.Since(begun)
		if err != nil {
			return err
		}
		if err := f(page); err != nil {
			return err
		}
		if len(page) < registers.MaxList {
			return nil
		}
		after = page[len(page)-1].Key
	}
}

var stateSeed = maphash.MakeSeed()

// change notes the register of a head. The order in which they come is always the same.
func (r *surveyed) change(e registers.Entry) {
	r.state = maphash.Comparable(stateSeed, struct {
		before uint64
		entry  registers.Entry
	}{r.state, e})
}

func (r *surveyed) head(d chunker.Digest, h *seenHead) {
	r.bodies = append(r.bodies, h.body)
	r.info.Versions++
	r.info.Total += h.Size
	if r.info.Latest != "" && !h.at.After(r.newest) {
		return
	}
	at := h.at
	r.newest = at
	r.info.Latest, r.info.Updated, r.info.By = d.String(), &at, h.by
	r.info.OfLatest, r.info.Stored = h.Size, h.Stored
}

// tag counts a tag. All heads have been counted before.
func (r *surveyed) tag(tag string, rec *record.Tag) {
	r.info.Tags++
	if rec.Digest == r.info.Latest && len(r.info.LatestTags) < openapi.MaxLatestTags {
		r.info.LatestTags = append(r.info.LatestTags, tag)
	}
}
