package quota

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

// Quota returns the limits of a namespace and what it holds, to who may read all of it.
func (s *Service) Quota(ctx context.Context, p access.Principal, namespace string) (openapi.Quota, error) {
	if err := s.reads(p, namespace); err != nil {
		return openapi.Quota{}, err
	}
	l, err := s.load(ctx, namespace)
	if err != nil {
		return openapi.Quota{}, fmt.Errorf("read quota of %s: %w", namespace, err)
	}
	q := view(namespace, &l.rec)
	if q.Usage, err = s.used(ctx, namespace); err != nil {
		return openapi.Quota{}, fmt.Errorf("weigh %s: %w", namespace, err)
	}
	return q, nil
}

// used tells what a namespace holds, weighed again if it may be.
func (s *Service) used(ctx context.Context, namespace string) (*openapi.Usage, error) {
	a, err := s.account(ctx, namespace)
	if err != nil {
		return nil, err
	}
	if age, due := a.age(s.Now()); age >= stale && due {
		asked := s.Now()
		if err := s.weigh(ctx, a, func(a *account) bool { return a.weighed.Before(asked) }); err != nil {
			return nil, err
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	held := a.sum()
	return &openapi.Usage{
		Bytes: held.Bytes, Stored: held.Stored, Uploads: held.Uploads, Pushing: held.pushing, Weighed: a.weighed.UTC(),
	}, nil
}

// Quotas returns a page of the quotas that were set, those of namespaces that p may
// read all of.
func (s *Service) Quotas(ctx context.Context, p access.Principal, after string, limit int) (openapi.QuotaList, error) {
	list := openapi.QuotaList{Quotas: []openapi.Quota{}}
	if after != "" {
		if err := check(after); err != nil {
			return list, err
		}
		after = record.QuotaKey(after)
	}
	limit = min(max(limit, 1), openapi.MaxPage)
	err := s.book.Each(ctx, record.QuotaPrefix, after, func(e registers.Entry) (bool, error) {
		namespace := e.Key[len(record.QuotaPrefix):]
		if s.reads(p, namespace) != nil {
			return true, nil
		}
		l, err := s.load(ctx, namespace)
		if err != nil || l.rec.Bytes == nil && l.rec.Stored == nil {
			return err == nil, err
		}
		if len(list.Quotas) == limit {
			list.Next = list.Quotas[limit-1].Namespace
			return false, nil
		}
		list.Quotas = append(list.Quotas, view(namespace, &l.rec))
		return true, nil
	})
	if err != nil {
		return list, fmt.Errorf("list quotas: %w", err)
	}
	return list, nil
}

// SetQuota sets the limits of a namespace, which need not hold anything yet, in the place
// of those it had. Whoever runs the registry may.
func (s *Service) SetQuota(ctx context.Context, p access.Principal, namespace string, to openapi.QuotaLimits) (openapi.Quota, error) {
	if err := s.decides(p, namespace); err != nil {
		return openapi.Quota{}, err
	}
	rec, err := s.write(ctx, namespace, func(rec *record.Quota) error {
		rec.Bytes, rec.Stored, rec.By, rec.At = to.Bytes, to.Stored, p.Subject, s.Now().UTC()
		return nil
	})
	if err != nil {
		return openapi.Quota{}, err
	}
	return view(namespace, rec), nil
}

// ClearQuota takes the limits of a namespace away.
func (s *Service) ClearQuota(ctx context.Context, p access.Principal, namespace string) error {
	if err := s.decides(p, namespace); err != nil {
		return err
	}
	_, err := s.write(ctx, namespace, func(rec *record.Quota) error {
		if rec.Bytes == nil && rec.Stored == nil {
			return openapi.Errorf(openapi.CodeNotFound, "quota of %s: not found: it may hold as much as the store", namespace)
		}
		rec.Bytes, rec.Stored, rec.By, rec.At = nil, nil, p.Subject, s.Now().UTC()
		return nil
	})
	return err
}

// write changes the limits as change says.
func (s *Service) write(ctx context.Context, namespace string, change func(*record.Quota) error) (*record.Quota, error) {
	for range rounds {
		l, err := s.load(ctx, namespace)
		if err != nil {
			return nil, fmt.Errorf("set quota of %s: %w", namespace, err)
		}
		if err := change(&l.rec); err != nil {
			return nil, err
		}
		l.version, err = s.book.Swap(ctx, record.QuotaKey(namespace), l.version, &l.rec)
		if err == nil {
			s.learn(namespace, l)
			return &l.rec, nil
		}
		if !errors.Is(err, registers.ErrConflict) {
			return nil, fmt.Errorf("set quota of %s: %w", namespace, err)
		}
	}
	return nil, openapi.Errorf(openapi.CodeConflict, "quota of %s: others change it: try again", namespace)
}

// whole stands for all repositories of a namespace.
func whole(namespace string) name.Repo { return name.Repo{Namespace: namespace} }

// reads refuses who may not read all of a namespace.
func (s *Service) reads(p access.Principal, namespace string) error {
	if err := check(namespace); err != nil {
		return err
	}
	if s.Policy.Allow(p, whole(namespace), access.Read) != nil {
		return openapi.Errorf(openapi.CodeNotFound, "namespace %s: not found", namespace)
	}
	return nil
}

// decides refuses who does not run the registry.
func (s *Service) decides(p access.Principal, namespace string) error {
	if s.Policy.Allow(p, name.Repo{}, access.Admin) == nil {
		return check(namespace)
	}
	if err := s.reads(p, namespace); err != nil {
		return err
	}
	return openapi.Errorf(openapi.CodeForbidden, "only who runs the registry may say how much %s may hold", namespace)
}

func check(namespace string) error {
	if _, err := name.ParseRepo(namespace + "/x"); err != nil {
		return openapi.Errorf(openapi.CodeBadName, "namespace %.80q: %v", namespace, err)
	}
	return nil
}

func view(namespace string, rec *record.Quota) openapi.Quota {
	q := openapi.Quota{Namespace: namespace, QuotaLimits: openapi.QuotaLimits{Bytes: rec.Bytes, Stored: rec.Stored}}
	if rec.Bytes != nil || rec.Stored != nil {
		q.By, q.Updated = rec.By, &rec.At
	}
	return q
}
