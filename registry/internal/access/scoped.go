package access

import (
	"sync"

	"github.com/ingot-ml/ingot/registry/name"
)

// Scoped is the Policy that allows principals what their scopes say. It is safe for
// concurrent use.
type Scoped struct {
	mu    sync.RWMutex      // protects known
	known map[string]Scopes // by their text
}

// maxKnown bounds how many texts of scopes are remembered, of 2 KiB at the most.
const maxKnown = 1 << 12

// NewScoped returns a Scoped.
func NewScoped() *Scoped { return &Scoped{known: map[string]Scopes{}} }

// Allow implements Policy.
func (s *Scoped) Allow(p Principal, repo name.Repo, a Action) error {
	for _, scope := range s.scopes(p.Scopes) {
		if scope.Role.allows(a) && scope.Pattern.Matches(repo) {
			return nil
		}
	}
	return ErrDenied
}

// Holds implements Rights.
func (s *Scoped) Holds(p Principal, scope Scope) bool { return s.scopes(p.Scopes).include(scope) }

// scopes reads a text that was read before in most cases. One that is none allows
// nothing.
func (s *Scoped) scopes(text string) Scopes {
	if text == "" {
		return nil
	}
	s.mu.RLock()
	scopes, ok := s.known[text]
	s.mu.RUnlock()
	if ok {
		return scopes
	}
	scopes, err := ParseScopes(text)
	if err != nil {
		scopes = nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= maxKnown {
		clear(s.known)
	}
	s.known[text] = scopes
	return scopes
}
