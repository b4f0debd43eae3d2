package versions

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/name"
)

const (
	pushIDLen = 10 // random bytes of a push id
	// parallel is how many requests at a time a client is told to make: enough to
	// hide the verification of one chunk behind the transfer of others.
	parallel = 8
)

// StartPush begins a push to repo: step P0. The state of collection is read
// before any answer about what exists.
func (s *Service) StartPush(ctx context.Context, p access.Principal, repo name.Repo) (openapi.Push, error) {
	if err := s.allowed(p, repo, access.Push, "repository "+repo.String()); err != nil {
		return openapi.Push{}, err
	}
	s.freshen(ctx, repo)
	var gc record.Collection
	if _, err := s.book.Load(ctx, record.CollectionKey, &gc); err != nil {
		return openapi.Push{}, fmt.Errorf("start push: %w", err)
	}
	id, err := s.book.Token(pushIDLen)
	if err != nil {
		return openapi.Push{}, fmt.Errorf("start push: %w", err)
	}
	rec := record.Push{
		Namespace: repo.Namespace, Model: repo.Name, Subject: p.Subject,
		Since: gc.Epoch, List: gc.Active(), E0: gc.Epoch,
		Expires: s.Now().Add(s.PushTTL).UTC(), State: openapi.PushOpen,
	}
	if _, err := s.book.Swap(ctx, record.PushKey(id), registers.Absent, &rec); err != nil {
		return openapi.Push{}, fmt.Errorf("start push: %w", err)
	}
	return viewPush(&rec, id), nil
}

func viewPush(r *record.Push, id string) openapi.Push {
	return openapi.Push{ID: id, Repo: r.Repo().String(), State: r.State, Expires: r.Expires, Parallel: parallel}
}

// Push tells how a push stands.
func (s *Service) Push(ctx context.Context, p access.Principal, id string) (openapi.Push, error) {
	rec, _, err := s.loadPush(ctx, p, id)
	if err != nil {
		return openapi.Push{}, err
	}
	return viewPush(rec, id), nil
}

// loadPush reads the record of a push that p has started. One that has expired
// reads as aborted.
func (s *Service) loadPush(ctx context.Context, p access.Principal, id string) (*record.Push, registers.Version, error) {
	if len(id) != 2*pushIDLen || strings.Trim(id, "0123456789abcdef") != "" {
		return nil, "", openapi.Errorf(openapi.CodeBadName, "push %.40q: want %d hex digits", id, 2*pushIDLen)
	}
	var rec record.Push
	v, err := s.book.Load(ctx, record.PushKey(id), &rec)
	if err != nil {
		return nil, "", fmt.Errorf("read push %s: %w", id, err)
	}
	if v == registers.Absent || rec.Subject != p.Subject || s.Policy.Allow(p, rec.Repo(), access.Push) != nil {
		return nil, "", notFound("push %s: not found", id)
	}
	if rec.State == openapi.PushOpen && !s.Now().Before(rec.Expires) {
		rec.State = openapi.PushAborted
	}
	return &rec, v, nil
}

// openPush returns a push that takes chunks, and what is remembered of it.
func (s *Service) openPush(ctx context.Context, p access.Principal, id string) (*record.Push, *upload, error) {
	rec, _, err := s.loadPush(ctx, p, id)
	if err != nil {
		return nil, nil, err
	}
	u, err := s.uploadOf(ctx, id, rec)
	return rec, u, err
}

// takingTime is for how long a push that took a chunk takes others without being
// read again: a register of a store far away costs as much time as a chunk. Who
// uploads meanwhile what another replica has closed, or has given another attempt,
// uploads in vain, and is told so by the commit.
const takingTime = time.Second

// takingPush is openPush for one of many chunks.
func (s *Service) takingPush(ctx context.Context, p access.Principal, id string) (*record.Push, *upload, error) {
	if rec, u := s.uploads.taking(id, s.Now()); rec != nil && rec.Subject == p.Subject && s.Policy.Allow(p, rec.Repo(), access.Push) == nil {
		return rec, u, nil
	}
	rec, u, err := s.openPush(ctx, p, id)
	if err == nil {
		u.take(rec, s.Now())
	}
	return rec, u, err
}

// uploadOf returns what is remembered of a push, if that takes chunks.
func (s *Service) uploadOf(ctx context.Context, id string, rec *record.Push) (*upload, error) {
	if rec.State != openapi.PushOpen {
		return nil, openapi.Errorf(openapi.CodePushClosed, "push %s is %s: start another", id, rec.State)
	}
	u := s.uploads.get(id, rec.Since)
	if rec.List != "" {
		if err := s.condemn(ctx, u, rec.List); err != nil {
			return nil, err
		}
	}
	if _, asked := u.avoids(); !asked {
		bad, err := s.badNow(ctx)
		if err != nil {
			return nil, err
		}
		u.avoid(bad)
	}
	return u, s.catchUp(ctx, u, rec.E0)
}
