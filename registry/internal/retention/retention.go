package retention

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// Versions is what is looked at and retired; *versions.Service is one.
type Versions interface {
	Standings(ctx context.Context, repo name.Repo) ([]versions.Standing, error)
	Annotations(ctx context.Context, repo name.Repo, d chunker.Digest) (list []manifest.Annotation, ok bool, err error)
	LastRead(repo name.Repo, d chunker.Digest) time.Time
	Pushing(ctx context.Context, id string) (bool, error)
	Retire(ctx context.Context, repo name.Repo, d chunker.Digest) error
}

// Config is what a Service works with; everything must be set but Rand.
type Config struct {
	Versions  Versions
	Registers registers.Engine
	Policy    access.Policy
	Now       func() time.Time
	Rand      io.Reader // must be safe for concurrent use
	Logger    *slog.Logger
}

// Service keeps the rules and applies them. It is safe for concurrent use.
type Service struct {
	Config
	book  record.Book
	known *known

	mu     sync.Mutex         // protects moved
	moved  map[name.Repo]bool // where tags have moved
	wakeup chan struct{}
}

// New returns a Service.
func New(c Config) *Service {
	if c.Rand == nil {
		c.Rand = rand.Reader
	}
	return &Service{
		Config: c, book: record.Book{Registers: c.Registers, Rand: c.Rand}, known: newKnown(),
		moved: map[name.Repo]bool{}, wakeup: make(chan struct{}, 1),
	}
}

// Apply retires what the rule of a repository does not keep, for somebody who may
// delete there; with dryRun it only tells, to whoever may read.
func (s *Service) Apply(ctx context.Context, p access.Principal, repo name.Repo, dryRun bool) (openapi.RetentionReport, error) {
	need := access.Delete
	if dryRun {
		need = access.Read
	}
	if err := s.allowed(p, repo, need); err != nil {
		return openapi.RetentionReport{}, err
	}
	rec, _, err := s.load(ctx, repo)
	if err != nil {
		return openapi.RetentionReport{}, err
	}
	if rec.Rule == nil {
		return openapi.RetentionReport{}, noRule(repo)
	}
	return s.apply(ctx, repo, rec.Rule, dryRun)
}

func (s *Service) apply(ctx context.Context, repo name.Repo, rule *record.Rule, dryRun bool) (openapi.RetentionReport, error) {
	report := openapi.RetentionReport{DryRun: dryRun, Kept: map[string]int{}, Digests: []chunker.Digest{}}
	list, err := s.list(ctx, repo, rule)
	if err != nil {
		return report, fmt.Errorf("apply retention of %s: %w", repo, err)
	}
	judge(list, rule, s.Now())
	report.Versions = len(list)
	for _, v := range list {
		if v.why != "" {
			report.Kept[v.why]++
			continue
		}
		done, err := s.retire(ctx, repo, rule, v, dryRun)
		switch {
		case err != nil:
			return report, fmt.Errorf("apply retention of %s: %w", repo, err)
		case !done:
			report.Refused++
			continue
		}
		report.Retired++
		if len(report.Digests) < openapi.MaxRetired {
			report.Digests = append(report.Digests, v.Digest)
		}
	}
	if report.Retired > 0 && !dryRun {
		s.Logger.InfoContext(ctx, "versions are retired by the rule of their repository", "repo", repo.String(), "versions", report.Retired)
	}
	return report, nil
}

// retire retires one version, unless it was begun to be read since it was judged, or is
// still being pushed: then a tag may be about to be set on it. done is false when
// somebody wants it at this moment.
func (s *Service) retire(ctx context.Context, repo name.Repo, rule *record.Rule, v *version, dryRun bool) (done bool, err error) {
	if read := s.Versions.LastRead(repo, v.Digest); read.After(s.Now().Add(-graceOf(rule))) {
		return false, nil
	}
	if pushing, err := s.Versions.Pushing(ctx, v.Push); pushing || err != nil {
		return false, err
	}
	if dryRun {
		return true, nil
	}
	err = s.Versions.Retire(ctx, repo, v.Digest)
	if _, refused := errors.AsType[*openapi.Error](err); refused {
		return false, nil
	}
	return err == nil, err
}

// list returns the versions of a repository as they came.
func (s *Service) list(ctx context.Context, repo name.Repo, rule *record.Rule) ([]*version, error) {
	standings, err := s.Versions.Standings(ctx, repo)
	if err != nil {
		return nil, err
	}
	slices.SortStableFunc(standings, func(a, b versions.Standing) int { return a.At.Compare(b.At) }) // by digest before
	list := make([]*version, len(standings))
	for i, st := range standings {
		list[i] = &version{Standing: st}
		if rule.Every > 0 || rule.Best != nil {
			if list[i].facts, err = s.factsOf(ctx, repo, st.Digest, rule); err != nil {
				return nil, err
			}
		}
	}
	return list, nil
}

// factsOf reads what a version says of itself.
func (s *Service) factsOf(ctx context.Context, repo name.Repo, d chunker.Digest, rule *record.Rule) (facts, error) {
	metric := ""
	if rule.Best != nil {
		metric = rule.Best.Metric
	}
	if f, ok := s.known.get(d, metric); ok {
		return f, nil
	}
	annotations, ok, err := s.Versions.Annotations(ctx, repo, d)
	if errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
		return facts{}, nil // retired since: who retires it again is told so
	}
	if err != nil || !ok {
		return facts{unknown: true}, err
	}
	var f facts
	for _, a := range annotations {
		switch a.Key {
		case openapi.AnnotationStep:
			f.step, f.stepped = parseStep(a.Value)
		case openapi.AnnotationRun:
			f.run = a.Value
		}
		if a.Key == metric {
			f.value, f.valued = parseValue(a.Value)
		}
	}
	s.known.put(d, metric, f)
	return f, nil
}
