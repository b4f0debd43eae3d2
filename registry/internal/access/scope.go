package access

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// ErrScope reports a text that is no scope. It is permanent.
var ErrScope = errors.New("not a valid scope")

// bad is the one line that says what is wrong. It matches ErrScope without repeating
// its text.
type bad string

func (e bad) Error() string        { return string(e) }
func (e bad) Is(target error) bool { return target == ErrScope }

func badf(format string, args ...any) error { return bad(fmt.Sprintf(format, args...)) }

// Role is what somebody is to the repositories of a pattern. Each includes the ones
// before.
type Role string

// The roles.
const (
	RolePull  Role = "pull"
	RolePush  Role = "push"
	RoleAdmin Role = "admin"
)

var roles = []Role{RolePull, RolePush, RoleAdmin}

// rank orders roles; that of no role is -1.
func (r Role) rank() int { return slices.Index(roles, r) }

// allows reports whether r may do a.
func (r Role) allows(a Action) bool {
	switch a {
	case Read:
		return r.rank() >= 0
	case Push:
		return r.rank() >= RolePush.rank()
	default:
		return r == RoleAdmin
	}
}

// Scope is a role for the repositories of a pattern, "acme/*:push".
type Scope struct {
	Pattern Pattern
	Role    Role
}

// ParseScope reads PATTERN:ROLE.
func ParseScope(text string) (Scope, error) {
	pattern, role, ok := strings.Cut(text, ":")
	s := Scope{Role: Role(role)}
	if !ok || s.Role.rank() < 0 {
		return Scope{}, badf("scope %.120q: want PATTERN:ROLE, the role pull, push or admin, such as acme/*:push", text)
	}
	var err error
	if s.Pattern, err = ParsePattern(pattern); err != nil {
		return Scope{}, badf("scope %.120q: %v", text, err)
	}
	return s, nil
}

// String returns the text that ParseScope reads.
func (s Scope) String() string { return string(s.Pattern) + ":" + string(s.Role) }

// includes reports whether s allows everything that t allows.
func (s Scope) includes(t Scope) bool {
	return s.Role.rank() >= t.Role.rank() && s.Pattern.Contains(t.Pattern)
}

// How much Scopes hold: their text has to fit where a signed grant does.
const (
	MaxScopes     = 32
	maxScopesText = 2 << 10 // bytes
)

// Scopes is what somebody may do: sorted, and none within another.
type Scopes []Scope

// ParseScopes reads scopes, each text of one or of several with spaces between. None
// are scopes too, which allow nothing.
func ParseScopes(texts ...string) (Scopes, error) {
	var all Scopes
	for _, text := range texts {
		if len(text) > maxScopesText {
			return nil, badf("scopes of %d bytes, want at most %d", len(text), maxScopesText)
		}
		for _, word := range strings.Fields(text) {
			s, err := ParseScope(word)
			if err != nil {
				return nil, err
			}
			all = append(all, s)
			if len(all) > MaxScopes {
				return nil, badf("more than %d scopes: use patterns such as acme/*:pull", MaxScopes)
			}
		}
	}
	all = all.canonical()
	if n := len(all.String()); n > maxScopesText {
		return nil, badf("scopes of %d bytes, want at most %d", n, maxScopesText)
	}
	return all, nil
}

// canonical sorts scopes and leaves out what others of them include.
func (s Scopes) canonical() Scopes {
	slices.SortFunc(s, func(a, b Scope) int { return strings.Compare(a.String(), b.String()) })
	s = slices.Compact(s)
	kept := make(Scopes, 0, len(s))
	for i, one := range s {
		others := slices.Concat(s[:i], s[i+1:])
		if !others.include(one) {
			kept = append(kept, one)
		}
	}
	return kept
}

// String returns the text that ParseScopes reads.
func (s Scopes) String() string {
	words := make([]string, len(s))
	for i, one := range s {
		words[i] = one.String()
	}
	return strings.Join(words, " ")
}

// Within reports whether other allows everything that s allows. Several of other
// together do not make up for one that is missing.
func (s Scopes) Within(other Scopes) bool {
	return !slices.ContainsFunc(s, func(one Scope) bool { return !other.include(one) })
}

// Of returns the scopes whose role includes r, with no more than r.
func (s Scopes) Of(r Role) Scopes {
	var of Scopes
	for _, one := range s {
		if one.Role.rank() >= r.rank() {
			of = append(of, Scope{one.Pattern, r})
		}
	}
	return of.canonical()
}

// Overlap reports whether s may allow anything to a repository of p.
func (s Scopes) Overlap(p Pattern) bool {
	return slices.ContainsFunc(s, func(one Scope) bool { return one.Pattern.Overlaps(p) })
}

// include reports whether one of s allows everything that t allows.
func (s Scopes) include(t Scope) bool {
	return slices.ContainsFunc(s, func(one Scope) bool { return one.includes(t) })
}
