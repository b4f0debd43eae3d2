package hubclient

import (
	"context"
	"net/http"
	"strings"
)

// maxPassed is through how many servers a request may have come.
const maxPassed = 8

type passedKey struct{}

// WithPassed returns a context for a request that has come through the servers that
// its Via names: they are named to the next hub too. false tells that it has been at
// the server called self before, or has come through too many: no other hub must be
// asked then.
func WithPassed(ctx context.Context, r *http.Request, self string) (context.Context, bool) {
	var passed []string
	first := true
	for _, line := range r.Header.Values("Via") {
		for entry := range strings.SplitSeq(line, ",") {
			if entry = strings.TrimSpace(entry); entry == "" {
				continue
			}
			passed = append(passed, entry)
			_, by, _ := strings.Cut(entry, " ")
			by, _, _ = strings.Cut(strings.TrimSpace(by), " ")
			first = first && by != self
		}
	}
	if len(passed) > maxPassed {
		return ctx, false
	}
	return context.WithValue(ctx, passedKey{}, passed), first
}

// Passed returns the servers that a request has come through.
func Passed(ctx context.Context) []string {
	passed, _ := ctx.Value(passedKey{}).([]string)
	return passed[:len(passed):len(passed)]
}
