package limits

import (
	"context"
	"sync"

	"golang.org/x/sync/semaphore"
)

// Shares bounds how much of something, such as memory, each caller has at a time. It
// is safe for concurrent use. Nil bounds nothing.
type Shares struct {
	most int64

	mu    sync.Mutex // protects users
	users map[string]*share
}

// share is what one caller has. It is remembered as long as somebody holds or waits.
type share struct {
	*semaphore.Weighted
	holders int
}

// NewShares returns shares of most each; nil for 0.
func NewShares(most int64) *Shares {
	if most <= 0 {
		return nil
	}
	return &Shares{most: most, users: map[string]*share{}}
}

// Acquire waits until the caller has no more than its share with n more, or with all of
// it if n is more. The caller calls release once when it has them no longer.
func (s *Shares) Acquire(ctx context.Context, caller string, n int64) (release func(), err error) {
	if s == nil {
		return func() {}, nil
	}
	n = min(n, s.most)
	u := s.enter(caller)
	if err := u.Acquire(ctx, n); err != nil {
		s.leave(caller, u)
		return nil, err
	}
	return func() {
		u.Release(n)
		s.leave(caller, u)
	}, nil
}

func (s *Shares) enter(caller string) *share {
	s.mu.Lock()
	defer s.mu.Unlock()
	u, ok := s.users[caller]
	if !ok {
		u = &share{Weighted: semaphore.NewWeighted(s.most)}
		s.users[caller] = u
	}
	u.holders++
	return u
}

func (s *Shares) leave(caller string, u *share) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if u.holders--; u.holders == 0 {
		delete(s.users, caller)
	}
}
