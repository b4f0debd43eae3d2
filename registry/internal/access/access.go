// Package access owns who asks and what they may do. Every existence answer,
// read and write of the registry passes a Principal and a repository through a
// Policy before anything about the repository is looked up.
//
// Law: a denial reads like absence, so that asking never tells whether a
// repository that the principal may not read exists.
package access

import (
	"context"
	"errors"

	"github.com/ingot-ml/ingot/registry/name"
)

// ErrDenied reports that a principal may not do what it asked for.
var ErrDenied = errors.New("access denied")

// Principal is who asks.
type Principal struct {
	// Subject is the principal's name in push records and logs.
	Subject string
}

// Anonymous is everybody, as long as the registry has no access control.
var Anonymous = Principal{Subject: "anonymous"}

// Action is what a principal wants to do with a repository.
type Action string

// The actions. Push includes moving tags; each of the others stands alone.
const (
	Read   Action = "read"
	Push   Action = "push"
	Delete Action = "delete"
	// Admin is the upkeep of the registry as a whole, of no repository.
	Admin Action = "admin"
)

// Policy decides. Implementations are safe for concurrent use and fast: the
// registry asks once for every chunk.
type Policy interface {
	// Allow returns nil when p may do a to repo, and ErrDenied when not. For Admin,
	// repo is the zero Repo.
	Allow(p Principal, repo name.Repo, a Action) error
}

// Open is the Policy that allows everybody everything.
type Open struct{}

// Allow implements Policy.
func (Open) Allow(Principal, name.Repo, Action) error { return nil }

// ByModel returns a Policy that allows for a repository of uploads what p allows for
// its model.
func ByModel(p Policy) Policy { return byModel{p} }

type byModel struct{ models Policy }

// Allow implements Policy.
func (m byModel) Allow(p Principal, repo name.Repo, a Action) error {
	return m.models.Allow(p, repo.Model(), a)
}

type principalKey struct{}

// NewContext returns a context in which p asks.
func NewContext(ctx context.Context, p Principal) context.Context {
	return context.WithValue(ctx, principalKey{}, p)
}

// FromContext returns who asks in a context: Anonymous if nobody said so.
func FromContext(ctx context.Context) Principal {
	if p, ok := ctx.Value(principalKey{}).(Principal); ok {
		return p
	}
	return Anonymous
}
