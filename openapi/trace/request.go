package trace

import (
	"context"
	"crypto/rand"
	"log/slog"
	"strings"
)

// RequestHeader names a request: whoever asks may name it, and is told its name.
const RequestHeader = "X-Request-Id"

// maxRequest is the length of the longest id that is accepted.
const maxRequest = 64

// requestKey is that of a request's id in a context.
type requestKey struct{}

// WithRequest returns a context of the request with that id.
func WithRequest(ctx context.Context, id string) context.Context {
	return context.WithValue(ctx, requestKey{}, id)
}

// Request returns the id of the request that ctx is of; empty for none.
func Request(ctx context.Context) string {
	id, _ := ctx.Value(requestKey{}).(string)
	return id
}

// NameRequest returns the id that a caller has given, if it can stand in a log and in
// a header as it is, and else a new one.
func NameRequest(given string) string {
	if ValidRequest(given) {
		return given
	}
	return strings.ToLower(rand.Text()[:16])
}

// ValidRequest tells an id of 1 to 64 letters, digits, dots, dashes and underscores.
func ValidRequest(id string) bool {
	if id == "" || len(id) > maxRequest {
		return false
	}
	for i := range len(id) {
		if !strings.ContainsRune(idLetters, rune(id[i])) {
			return false
		}
	}
	return true
}

const idLetters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-"

// Logged returns a handler that adds to each line the request that it is of, and the
// trace, to what h logs.
func Logged(h slog.Handler) slog.Handler { return logged{h} }

type logged struct{ slog.Handler }

// Handle implements slog.Handler.
func (l logged) Handle(ctx context.Context, r slog.Record) error {
	if id := Request(ctx); id != "" {
		r.AddAttrs(slog.String("request", id))
	}
	if id := ID(ctx); id != "" {
		r.AddAttrs(slog.String("trace", id))
	}
	return l.Handler.Handle(ctx, r)
}

// WithAttrs implements slog.Handler.
func (l logged) WithAttrs(attrs []slog.Attr) slog.Handler { return logged{l.Handler.WithAttrs(attrs)} }

// WithGroup implements slog.Handler.
func (l logged) WithGroup(name string) slog.Handler { return logged{l.Handler.WithGroup(name)} }
