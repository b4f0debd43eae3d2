package quota

import (
	"context"
	"fmt"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// Take implements versions.Quota.
func (s *Service) Take(ctx context.Context, p versions.QuotaPush, plain, stored int64) error {
	return s.admit(ctx, p, func(at *pushed) {
		at.plain += plain
		at.stored += stored
	}, func(at *pushed) {
		at.plain -= plain
		at.stored -= stored
	})
}

// Fits implements versions.Quota.
func (s *Service) Fits(ctx context.Context, p versions.QuotaPush, size int64) error {
	return s.admit(ctx, p, func(at *pushed) { at.size = size }, func(at *pushed) { at.size = 0 })
}

// admit counts what add adds, if there is room for it. Else it is taken back, and what
// the namespace holds is weighed once more before that is believed.
func (s *Service) admit(ctx context.Context, p versions.QuotaPush, add, back func(*pushed)) error {
	rec, limited, err := s.limited(ctx, p.Namespace)
	if err != nil || !limited {
		return err
	}
	a, err := s.account(ctx, p.Namespace)
	if err != nil {
		return fmt.Errorf("quota of %s: %w", p.Namespace, err)
	}
	full := s.try(a, p, &rec, add, back)
	if full == nil {
		s.refresh(ctx, a)
		return nil
	}
	if age, due := a.age(s.Now()); age < stale || !due {
		return full
	}
	asked := s.Now()
	err = s.weigh(ctx, a, func(a *account) bool { return a.weighed.Before(asked) })
	if err != nil {
		return fmt.Errorf("quota of %s: %w", p.Namespace, err)
	}
	if full = s.try(a, p, &rec, add, back); full != nil {
		return full
	}
	return nil
}

// try counts what add adds, or takes it back and returns why.
func (s *Service) try(a *account, p versions.QuotaPush, rec *record.Quota, add, back func(*pushed)) error {
	a.mu.Lock()
	defer a.mu.Unlock()
	at := a.of(p, s.Now())
	add(at)
	err := over(a.sum(), at, p.Namespace, rec)
	if err != nil {
		back(at)
	}
	return err
}

// over says what there is no room for. A push has no fewer bytes than the chunks that it
// has brought; files that wait for a commit are counted by themselves, for they will be
// of versions too.
func over(s sum, at *pushed, namespace string, rec *record.Quota) error {
	held, what := s.Bytes, "in its versions"
	if at.uploads {
		held, what = s.Uploads, "in uploads that wait for a commit"
	}
	held += max(0, at.plain-at.size)
	if most := rec.Bytes; most != nil && held > *most {
		return exceeded("quota of %s: %d bytes, and %d would be %s: delete versions, or ask who runs the registry for more", namespace, *most, held, what)
	}
	if most := rec.Stored; most != nil && s.Stored > *most {
		return exceeded("quota of %s: %d stored bytes, and %d would be there: delete versions, or ask who runs the registry for more", namespace, *most, s.Stored)
	}
	return nil
}

func exceeded(format string, args ...any) error {
	return openapi.Errorf(openapi.CodeQuotaExceeded, format, args...)
}

// Give implements versions.Quota.
func (s *Service) Give(p versions.QuotaPush, plain, stored int64) {
	s.change(p, func(at *pushed) {
		at.plain -= plain
		at.stored -= stored
	})
}

// Failed implements versions.Quota.
func (s *Service) Failed(p versions.QuotaPush) { s.change(p, func(at *pushed) { at.size = 0 }) }

// Committed implements versions.Quota.
func (s *Service) Committed(p versions.QuotaPush) {
	s.change(p, func(at *pushed) { at.done, at.plain = s.Now(), 0 })
}

// change changes what is known of a push, if anything is.
func (s *Service) change(p versions.QuotaPush, by func(*pushed)) {
	s.mu.Lock()
	a := s.usage[p.Namespace]
	s.mu.Unlock()
	if a == nil {
		return
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if at := a.pushes[p.ID]; at != nil {
		by(at)
	}
}
