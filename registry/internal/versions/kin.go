package versions

import (
	"cmp"
	"context"
	"math"
	"slices"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// maxKin is how many versions are looked at for one that shares something.
const maxKin = 16

// kinOf returns the versions that explain most of what b is: its parent first, then
// those that have most of what none before has.
//
// It looks only where p may read anyway, and does not ask the index of chunks: which of
// its hints are crowded out by others would tell who else has the same chunks.
func (s *Service) kinOf(ctx context.Context, p access.Principal, repo name.Repo, d chunker.Digest, b *body) ([]related, error) {
	candidates, err := s.candidatesFor(ctx, p, repo, d, b)
	if err != nil {
		return nil, err
	}
	var all []related
	for _, c := range candidates {
		other, err := s.bodyThere(ctx, c.repo, c.digest)
		if err != nil {
			return nil, err
		}
		if other != nil && other != b {
			c.has = b.within(other)
			all = append(all, c)
		}
	}
	if chosen := choose(b, all); len(chosen) > 0 {
		return chosen, nil
	}
	return s.calledAlike(ctx, b, all)
}

// calledAlike returns the first version with tensors that are called as those of b are,
// where none has any of its bytes.
func (s *Service) calledAlike(ctx context.Context, b *body, all []related) ([]related, error) {
	for _, c := range all {
		other, err := s.bodyThere(ctx, c.repo, c.digest)
		if err != nil {
			return nil, err
		}
		if other != nil && manifest.NewKin(other.manifest).Likeness(b.manifest) > 0 {
			return []related{c}, nil
		}
	}
	return nil, nil
}

// choose takes the parent, and then again and again the one that has most of what is
// left.
func choose(b *body, all []related) []related {
	chunks := b.manifest.Chunks
	var chosen []related
	taken := make([]bool, len(chunks))
	take := func(i int) {
		chosen = append(chosen, all[i])
		for _, c := range all[i].has {
			taken[c] = true
		}
	}
	if i := slices.IndexFunc(all, func(r related) bool { return r.why == openapi.WhyParent }); i >= 0 {
		take(i)
	}
	for len(chosen) < openapi.MaxMapSources {
		best, most := -1, int64(0)
		for i := range all {
			var n int64
			for _, c := range all[i].has {
				if !taken[c] {
					n += int64(chunks[c].Size)
				}
			}
			if n > most {
				best, most = i, n
			}
		}
		if best < 0 {
			break
		}
		take(best)
	}
	return chosen
}

// candidatesFor lists versions to look at: the parent, the one that was pushed before,
// those of the repository that have tags, and the newest of other repositories, those of
// the same namespace first and of about the same size.
func (s *Service) candidatesFor(ctx context.Context, p access.Principal, repo name.Repo, d chunker.Digest, b *body) ([]related, error) {
	line, err := s.lineage(ctx, repo)
	if err != nil {
		return nil, err
	}
	list := &candidates{parent: b.manifest.Parent, seen: map[chunker.Digest]bool{d: true}}
	if !b.manifest.Parent.IsZero() {
		at, err := s.placeOfParent(ctx, p, repo, line, b.manifest.Parent)
		if err != nil {
			return nil, err
		}
		if at != (name.Repo{}) {
			list.add(at, b.manifest.Parent, openapi.WhyParent)
		}
	}
	if older := line.behind(d); len(older) > 0 {
		list.add(repo, older[0], openapi.WhyBefore)
	}
	tags, err := s.tagsByDigest(ctx, repo)
	if err != nil {
		return nil, err
	}
	for _, other := range line.order {
		if len(tags[other.String()]) > 0 && len(list.all) < maxKin/2 {
			list.add(repo, other, openapi.WhyKin)
		}
	}
	v, err := s.surveyRecent(ctx)
	if err != nil {
		return nil, err
	}
	for _, r := range alike(s.readableOf(v, p, ""), repo, float64(b.manifest.Size())) {
		latest, err := chunker.ParseDigest(r.info.Latest)
		if err == nil && len(list.all) < maxKin {
			list.add(r.repo, latest, openapi.WhyKin)
		}
	}
	return list.all, nil
}

// candidates are versions to look at, each once.
type candidates struct {
	parent chunker.Digest
	seen   map[chunker.Digest]bool
	all    []related
}

func (c *candidates) add(repo name.Repo, d chunker.Digest, why string) {
	if !c.seen[d] {
		c.seen[d] = true
		if d == c.parent {
			why = openapi.WhyParent
		}
		c.all = append(c.all, related{repo: repo, digest: d, why: why})
	}
}

// alike sorts repositories by how near they are to one whose version has so many bytes.
func alike(repos []surveyed, own name.Repo, size float64) []surveyed {
	repos = slices.DeleteFunc(repos, func(r surveyed) bool { return r.repo == own || r.info.Latest == "" })
	far := func(r surveyed) float64 { return math.Abs(math.Log((float64(r.info.OfLatest) + 1) / (size + 1))) }
	foreign := func(r surveyed) int {
		if r.repo.Namespace == own.Namespace {
			return 0
		}
		return 1
	}
	slices.SortStableFunc(repos, func(a, b surveyed) int {
		return cmp.Or(cmp.Compare(foreign(a), foreign(b)), cmp.Compare(far(a), far(b)))
	})
	return repos
}

// placeOfParent returns a repository in which p may read a parent: that of its child, or
// another of the namespace; the zero Repo where there is none.
func (s *Service) placeOfParent(ctx context.Context, p access.Principal, repo name.Repo, line *lineage, parent chunker.Digest) (at name.Repo, err error) {
	if h := line.heads[parent]; h != nil && h.readable {
		return repo, nil
	}
	err = s.eachRepo(ctx, repo.Namespace, "", func(other name.Repo) (bool, error) {
		if other == repo || other.Reserved() || s.Policy.Allow(p, other, access.Read) != nil {
			return true, nil
		}
		b, err := s.bodyThere(ctx, other, parent)
		if b != nil {
			at = other
		}
		return b == nil, err
	})
	return at, err
}
