package upstream

import (
	"context"
	"net/http"
	"strings"

	"github.com/ingot-ml/ingot/registry/internal/hubclient"
)

// asked is how something is asked for.
type asked struct {
	head  bool // only for the facts of it
	again bool // what is remembered of the other hub does not count
	stay  bool // other hubs must not be asked: the question has been here before
}

type askedKey struct{}

func askedIn(ctx context.Context) asked {
	a, _ := ctx.Value(askedKey{}).(asked)
	return a
}

// Handler tells the Source behind a handler how its requests ask.
func (s *Source) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx, ok := hubclient.WithPassed(r.Context(), r, s.Name)
		a := asked{head: r.Method == http.MethodHead, stay: !ok}
		for _, directive := range r.Header.Values("Cache-Control") {
			a.again = a.again || strings.Contains(strings.ToLower(directive), "no-cache")
		}
		next.ServeHTTP(w, r.WithContext(context.WithValue(ctx, askedKey{}, a)))
	})
}
