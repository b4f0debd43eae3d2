package access

import (
	"context"
	"sync/atomic"
)

type watchKey struct{}

// Watch returns a context in which it is noticed as whom somebody asks, and what tells
// who that was: there may be a grant in the request that only those find who answer it.
func Watch(ctx context.Context) (context.Context, func() (Principal, bool)) {
	var last atomic.Pointer[Principal]
	return context.WithValue(ctx, watchKey{}, &last), func() (Principal, bool) {
		if p := last.Load(); p != nil {
			return *p, true
		}
		return Principal{}, false
	}
}

// notice tells who watches.
func notice(ctx context.Context, p Principal) {
	if last, ok := ctx.Value(watchKey{}).(*atomic.Pointer[Principal]); ok {
		last.Store(&p)
	}
}
