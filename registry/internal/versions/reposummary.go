package versions

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// RepoSummary returns the tags of repo, and a page of its versions, the newest first.
// after is the version behind which the page begins; zero for the newest.
//
// It reads the bodies of the page's versions once: what they add to their parents is
// remembered.
func (s *Service) RepoSummary(ctx context.Context, p access.Principal, repo name.Repo, after chunker.Digest, limit int) (openapi.RepoSummary, error) {
	if err := s.existing(ctx, p, repo); err != nil {
		return openapi.RepoSummary{}, err
	}
	line, err := s.lineage(ctx, repo)
	if err != nil {
		return openapi.RepoSummary{}, fmt.Errorf("sum up %s: %w", repo, err)
	}
	if !after.IsZero() && line.heads[after] == nil {
		return openapi.RepoSummary{}, notFound("%s: not found", versionName(repo, after))
	}
	sum := openapi.RepoSummary{Name: repo.String(), Count: len(line.order), Versions: []openapi.VersionSummary{}}
	byDigest, err := s.sumUpTags(ctx, repo, &sum)
	if err != nil {
		return openapi.RepoSummary{}, fmt.Errorf("sum up %s: %w", repo, err)
	}
	for _, d := range line.order {
		sum.Total += line.heads[d].Size
	}
	page := line.behind(after)
	if limit = pageSize(limit); len(page) > limit {
		page = page[:limit]
		sum.Next = page[limit-1].String()
	}
	sum.Versions, err = s.sumUpVersions(ctx, p, repo, line, page)
	if err != nil {
		return openapi.RepoSummary{}, fmt.Errorf("sum up %s: %w", repo, err)
	}
	for i := range sum.Versions {
		v := &sum.Versions[i]
		v.Tags = append([]string{}, byDigest[v.Digest]...)
	}
	return sum, nil
}

// lineage is the versions of a repository.
type lineage struct {
	heads map[chunker.Digest]*seenHead // retired ones too
	order []chunker.Digest             // those that can be read, the newest first
}

func (s *Service) lineage(ctx context.Context, repo name.Repo) (*lineage, error) {
	l := &lineage{heads: map[chunker.Digest]*seenHead{}}
	err := s.eachPage(ctx, record.HeadPrefix+repo.String()+"/", new(time.Duration), func(page []registers.Entry) error {
		heads, err := s.headsAt(ctx, page)
		if err != nil {
			return err
		}
		for i, e := range page {
			_, d, err := record.ParseHeadKey(e.Key)
			if err != nil {
				return err
			}
			l.heads[d] = &heads[i]
			if heads[i].readable {
				l.order = append(l.order, d)
			}
		}
		return nil
	})
	slices.SortFunc(l.order, l.newer)
	return l, err
}

func (l *lineage) newer(a, b chunker.Digest) int {
	return cmp.Or(l.heads[b].at.Compare(l.heads[a].at), compareDigests(a, b))
}

// behind returns the versions that come after one, which may have been retired by now.
func (l *lineage) behind(after chunker.Digest) []chunker.Digest {
	if after.IsZero() {
		return l.order
	}
	i, found := slices.BinarySearchFunc(l.order, after, l.newer)
	if found {
		i++
	}
	return l.order[i:]
}

// maxRetired is how many retired versions are looked past for one that was not.
const maxRetired = 64

// before returns the nearest version that one was made from, of those that are in the
// repository and can be read. When the last that it comes to was never here, that is
// elsewhere.
func (l *lineage) before(d chunker.Digest) (here *seenHead, elsewhere chunker.Digest) {
	for range maxRetired {
		parent, err := chunker.ParseDigest(l.heads[d].Parent)
		if err != nil { // there is none
			return nil, elsewhere
		}
		h := l.heads[parent]
		if h == nil {
			return nil, parent
		}
		if h.readable {
			return h, elsewhere
		}
		d = parent
	}
	return nil, elsewhere
}

// sumUpTags puts the tags that moved last into sum, and returns all by their versions.
func (s *Service) sumUpTags(ctx context.Context, repo name.Repo, sum *openapi.RepoSummary) (map[chunker.Digest][]string, error) {
	sum.Tags = []openapi.Tag{}
	byDigest := map[chunker.Digest][]string{}
	err := s.eachTag(ctx, repo, "", func(tag string, rec *record.Tag) (bool, error) {
		t, err := viewTag(rec, tag)
		sum.Tags = append(sum.Tags, t)
		byDigest[t.Digest] = append(byDigest[t.Digest], tag)
		return true, err
	})
	slices.SortStableFunc(sum.Tags, func(a, b openapi.Tag) int { return b.Updated.Compare(a.Updated) })
	if len(sum.Tags) > openapi.MaxSummaryTags {
		sum.Tags, sum.More = sum.Tags[:openapi.MaxSummaryTags], true
	}
	return byDigest, err
}

// maxElsewhere is how many parents a page looks for in other repositories, each in all of
// the namespace.
const maxElsewhere = 2

// sumUpVersions describes versions. Only one caller at a time reads bodies.
func (s *Service) sumUpVersions(ctx context.Context, p access.Principal, repo name.Repo, line *lineage, page []chunker.Digest) ([]openapi.VersionSummary, error) {
	var release func()
	defer func() {
		if release != nil {
			release()
		}
	}()
	list, searches := make([]openapi.VersionSummary, len(page)), 0
	for i, d := range page {
		h := line.heads[d]
		before, elsewhere := line.before(d)
		step := figuresKey{body: h.body, elsewhere: elsewhere}
		if before != nil {
			step.before = before.body
		}
		f, known := s.figures.get(p, step)
		if !known {
			if release == nil {
				var err error
				if release, err = s.history(ctx); err != nil {
					return nil, err
				}
			}
			if !elsewhere.IsZero() {
				searches++
			}
			var err error
			if f, err = s.compareStep(ctx, p, repo, d, step, searches <= maxElsewhere); err != nil {
				return nil, err
			}
		}
		list[i] = openapi.VersionSummary{
			Digest: d, Parent: h.Parent, At: h.at, By: h.by, Total: h.Size, Chunks: h.Chunks,
			Step: f.step, Loss: f.loss, Run: f.run, Metrics: f.metrics, Added: f.added, New: f.new, Delta: f.delta,
		}
	}
	return list, nil
}

// compareStep compares a version with the one before it. What cannot be read is beside
// nothing, and is not remembered.
func (s *Service) compareStep(ctx context.Context, p access.Principal, repo name.Repo, d chunker.Digest, step figuresKey, search bool) (stepFigures, error) {
	b, err := s.bodyThere(ctx, repo, d)
	if err != nil || b == nil {
		return stepFigures{}, err
	}
	var before *body
	switch {
	case step.before != "":
		before, err = s.bodyNamed(ctx, step.before)
	case search:
		before, err = s.bodyBefore(ctx, p, repo, step.elsewhere)
	}
	if err != nil {
		return stepFigures{}, err
	}
	f := figuresOf(b, before)
	if b.name == step.body && (before != nil || step.before == "" && step.elsewhere.IsZero()) {
		s.figures.put(p, step, f)
	}
	return f, nil
}

// bodyNamed returns a body; nil for one that is gone or damaged.
func (s *Service) bodyNamed(ctx context.Context, name string) (*body, error) {
	b, err := s.loadBody(ctx, name)
	if isGone(err) {
		return nil, nil
	}
	return b, err
}

// stepFigures are what a version says of itself and adds to the one before.
type stepFigures struct {
	step, loss, run string
	metrics         map[string]float64
	added           int64
	new, delta      int
}

func figuresOf(b, before *body) stepFigures {
	f := stepFigures{
		step: brief(b.manifest.Annotation(openapi.AnnotationStep)),
		loss: brief(b.manifest.Annotation(openapi.AnnotationLoss)),
		run:  brief(b.manifest.Annotation(openapi.AnnotationRun)),
	}
	f.metrics = metricsOf(b.manifest)
	known := before.needs()
	for at, n := range b.needs() {
		if _, ok := known[at]; !ok {
			f.added += int64(n.bytes)
		}
	}
	for i, ref := range b.manifest.Chunks {
		if len(b.entries[i].Closure) > 0 {
			f.delta++
		}
		if !before.has(ref.Digest) {
			f.new++
		}
	}
	return f
}

// metricsOf returns the annotations that are numbers. The step is none.
func metricsOf(m *manifest.Manifest) map[string]float64 {
	var metrics map[string]float64
	for _, a := range m.Annotations {
		if len(metrics) == openapi.MaxMetrics {
			break
		}
		if a.Key == openapi.AnnotationStep || len(a.Key) > openapi.MaxMetric || len(a.Value) > openapi.MaxMetricLength {
			continue
		}
		v, err := strconv.ParseFloat(a.Value, 64)
		if err != nil || math.IsInf(v, 0) || math.IsNaN(v) {
			continue
		}
		if metrics == nil {
			metrics = map[string]float64{}
		}
		metrics[a.Key] = v
	}
	return metrics
}

// figuresKey names two bodies that were compared. A body never changes.
type figuresKey struct {
	body, before string
	elsewhere    chunker.Digest // a parent that is in another repository
	principal    access.Principal
}

// maxFigures is how many comparisons are remembered: some 20 MB.
const maxFigures = 1 << 15

// figures remembers comparisons. Those with a parent elsewhere are for one principal:
// others may not know of it.
type figures struct {
	mu    sync.Mutex // protects known
	known map[figuresKey]stepFigures
}

func keyFor(p access.Principal, k figuresKey) figuresKey {
	if !k.elsewhere.IsZero() {
		k.principal = p
	}
	return k
}

func (c *figures) get(p access.Principal, k figuresKey) (stepFigures, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f, ok := c.known[keyFor(p, k)]
	return f, ok
}

func (c *figures) put(p access.Principal, k figuresKey, f stepFigures) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.known == nil || len(c.known) >= maxFigures {
		c.known = map[figuresKey]stepFigures{}
	}
	c.known[keyFor(p, k)] = f
}
