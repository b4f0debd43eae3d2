package retention

import (
	"context"
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/name"
)

const (
	// maxMoved bounds the repositories that are remembered to be looked at soon. The
	// others are when all are.
	maxMoved = 1 << 14
	// settle is how long many changes are waited for, to look at them together.
	settle = time.Second
)

// Moved notes that versions of a repository may have lost their place. It does not
// wait.
func (s *Service) Moved(repo name.Repo) {
	s.mu.Lock()
	if len(s.moved) < maxMoved {
		s.moved[repo] = true
	}
	s.mu.Unlock()
	select {
	case s.wakeup <- struct{}{}:
	default: // it is awake
	}
}

// Run applies rules until ctx ends: soon after tags have moved, and all of them now
// and then, about as often as every says.
func (s *Service) Run(ctx context.Context, every time.Duration) {
	timer := time.NewTimer(every/2 + rand.N(every)) // replicas that start together do not work together
	defer timer.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
			err = s.all(ctx)
			timer.Reset(every/2 + rand.N(every))
		case <-s.wakeup:
			err = s.soon(ctx)
		}
		if err != nil && ctx.Err() == nil {
			s.Logger.WarnContext(ctx, "versions stay that the rule of their repository does not keep, until the next look", "error", err)
		}
	}
}

// soon applies the rules of repositories where tags have moved.
func (s *Service) soon(ctx context.Context) (failed error) {
	timer := time.NewTimer(settle)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return nil
	case <-timer.C:
	}
	s.mu.Lock()
	repos := s.moved
	s.moved = map[name.Repo]bool{}
	s.mu.Unlock()
	for repo := range repos {
		if err := s.one(ctx, repo); err != nil {
			failed = err
		}
	}
	return failed
}

// all applies every rule. It goes on after one that fails.
func (s *Service) all(ctx context.Context) (failed error) {
	err := s.book.Each(ctx, record.RetentionPrefix, "", func(e registers.Entry) (bool, error) {
		repo, err := name.ParseRepo(e.Key[len(record.RetentionPrefix):])
		if err != nil {
			return false, fmt.Errorf("register %q: %w", e.Key, err)
		}
		if err := s.one(ctx, repo); err != nil {
			failed = err
		}
		return ctx.Err() == nil, nil
	})
	if err != nil {
		return err
	}
	return failed
}

// one applies the rule of a repository, if there is one.
func (s *Service) one(ctx context.Context, repo name.Repo) error {
	rec, _, err := s.load(ctx, repo)
	if err != nil || rec.Rule == nil {
		return err
	}
	_, err = s.apply(ctx, repo, rec.Rule, false)
	return err
}
