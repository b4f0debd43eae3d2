// Package access owns who asks and what they may do. Every existence answer,
// read and write of the registry passes a Principal and a repository through a
// Policy before anything about the repository is looked up.
//
// Laws:
//   - A denial reads like absence, so that asking never tells whether a
//     repository that the principal may not read exists.
//   - A Principal says by itself all that it may do. Whoever carries it along, as a
//     signed grant does, carries it whole.
//   - What a text of scopes means does not depend on the order or number of its
//     scopes.
package access

import (
	"context"
	"errors"

	"github.com/ingot-ml/ingot/registry/name"
)

// ErrDenied reports that a principal may not do what it asked for.
var ErrDenied = errors.New("access denied")

// Principal is who asks. It is comparable.
type Principal struct {
	// Subject is the principal's name in push records and logs. Two who are not the
	// same never have the same one.
	Subject string `json:"s"`
	// Scopes is what it may do, as Scopes.String spells it; Open does not look at it.
	Scopes string `json:"sc,omitempty"`
	// Token is the id of the token that it came by; empty for none.
	Token string `json:"t,omitempty"`
}

// anonymous is the subject of callers who did not say who they are.
const anonymous = "anonymous"

// Anonymous is everybody, as long as the registry has no access control.
var Anonymous = Principal{Subject: anonymous}

// Guest returns who asks without saying who they are, and may do that.
func Guest(may Scopes) Principal { return Principal{Subject: anonymous, Scopes: may.String()} }

// Named reports whether p has said who it is.
func (p Principal) Named() bool { return p.Subject != anonymous }

// Action is what a principal wants to do with a repository.
type Action string

// The actions. Each of them stands alone.
const (
	Read   Action = "read"
	Push   Action = "push" // also to set tags, and to delete those that nothing protects
	Delete Action = "delete"
	// Admin is to decide over a repository, such as to move its protected tags; of no
	// repository it is the upkeep of the registry as a whole.
	Admin Action = "admin"
)

// Policy decides. Implementations are safe for concurrent use and fast: the
// registry asks once for every chunk.
type Policy interface {
	// Allow returns nil when p may do a to repo, and ErrDenied when not. For the Admin
	// of the registry as a whole, repo is the zero Repo.
	Allow(p Principal, repo name.Repo, a Action) error
}

// Rights is a Policy that knows of scopes.
type Rights interface {
	Policy
	// Holds reports whether p may do everything that s allows.
	Holds(p Principal, s Scope) bool
}

// Open is the Policy that allows everybody everything.
type Open struct{}

// Allow implements Policy.
func (Open) Allow(Principal, name.Repo, Action) error { return nil }

// Holds implements Rights.
func (Open) Holds(Principal, Scope) bool { return true }

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
	notice(ctx, p)
	return context.WithValue(ctx, principalKey{}, p)
}

// FromContext returns who asks in a context: Anonymous if nobody said so.
func FromContext(ctx context.Context) Principal {
	if p, ok := ctx.Value(principalKey{}).(Principal); ok {
		return p
	}
	return Anonymous
}
