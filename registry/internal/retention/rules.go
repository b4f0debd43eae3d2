package retention

import (
	"context"
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/name"
)

// rounds bounds how often a write starts again because somebody else was faster.
const rounds = 16

// Rule returns the rule of a repository.
func (s *Service) Rule(ctx context.Context, p access.Principal, repo name.Repo) (openapi.Retention, error) {
	if err := s.allowed(p, repo, access.Read); err != nil {
		return openapi.Retention{}, err
	}
	rec, _, err := s.load(ctx, repo)
	if err != nil {
		return openapi.Retention{}, err
	}
	if rec.Rule == nil {
		return openapi.Retention{}, noRule(repo)
	}
	return view(rec), nil
}

// SetRule makes or changes the rule of a repository. Who may delete there may do so.
func (s *Service) SetRule(ctx context.Context, p access.Principal, repo name.Repo, rule openapi.RetentionRule) (openapi.Retention, error) {
	if err := s.allowed(p, repo, access.Delete); err != nil {
		return openapi.Retention{}, err
	}
	rec, err := s.write(ctx, p, repo, func(rec *record.Retention) error {
		rec.Rule = &record.Rule{Last: rule.KeepLast, Every: rule.KeepEvery, Best: (*record.Best)(rule.KeepBest), Grace: rule.GraceSeconds}
		return nil
	})
	if err != nil {
		return openapi.Retention{}, err
	}
	s.Moved(repo)
	return view(rec), nil
}

// ClearRule takes the rule of a repository away: all its versions stay.
func (s *Service) ClearRule(ctx context.Context, p access.Principal, repo name.Repo) error {
	if err := s.allowed(p, repo, access.Delete); err != nil {
		return err
	}
	_, err := s.write(ctx, p, repo, func(rec *record.Retention) error {
		if rec.Rule == nil {
			return noRule(repo)
		}
		rec.Rule = nil
		return nil
	})
	return err
}

// write changes the rule as change says.
func (s *Service) write(ctx context.Context, p access.Principal, repo name.Repo, change func(*record.Retention) error) (*record.Retention, error) {
	for range rounds {
		rec, v, err := s.load(ctx, repo)
		if err != nil {
			return nil, err
		}
		if err := change(rec); err != nil {
			return nil, err
		}
		rec.By, rec.At = p.Subject, s.Now().UTC()
		_, err = s.book.Swap(ctx, record.RetentionKey(repo), v, rec)
		if err == nil {
			return rec, nil
		}
		if !errors.Is(err, registers.ErrConflict) {
			return nil, fmt.Errorf("set retention of %s: %w", repo, err)
		}
	}
	return nil, openapi.Errorf(openapi.CodeConflict, "retention of %s: others change it: try again", repo)
}

func (s *Service) load(ctx context.Context, repo name.Repo) (*record.Retention, registers.Version, error) {
	rec := &record.Retention{}
	v, err := s.book.Load(ctx, record.RetentionKey(repo), rec)
	if err != nil {
		return nil, v, fmt.Errorf("read retention of %s: %w", repo, err)
	}
	return rec, v, nil
}

func view(rec *record.Retention) openapi.Retention {
	r := rec.Rule
	return openapi.Retention{
		RetentionRule: openapi.RetentionRule{KeepLast: r.Last, KeepEvery: r.Every, KeepBest: (*openapi.KeepBest)(r.Best), GraceSeconds: r.Grace},
		Updated:       rec.At, By: rec.By,
	}
}

// allowed refuses who may not do a. Who may not even read is told that there is no
// rule.
func (s *Service) allowed(p access.Principal, repo name.Repo, a access.Action) error {
	if s.Policy.Allow(p, repo, access.Read) != nil {
		return noRule(repo)
	}
	if s.Policy.Allow(p, repo, a) != nil {
		return openapi.Errorf(openapi.CodeForbidden, "%s: %s may not %s here", repo, p.Subject, a)
	}
	return nil
}

func noRule(repo name.Repo) error {
	return openapi.Errorf(openapi.CodeNotFound, "retention of %s: not found: all its versions stay", repo)
}
