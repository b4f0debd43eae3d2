package access

import (
	"slices"
	"strings"
)

// Reacher is a Policy that knows where to look for what a principal may read.
type Reacher interface {
	// Reach returns the namespaces in which there may be something that p may read, in
	// the order of the keys of registers; all is true where it may be in any.
	Reach(p Principal) (namespaces []string, all bool)
}

// Reach returns what the policy says, if it knows; else it may be anywhere. Who looks
// through repositories for p looks only there: how long it takes would else tell p what
// others have.
func Reach(policy Policy, p Principal) (namespaces []string, all bool) {
	if r, ok := policy.(Reacher); ok {
		return r.Reach(p)
	}
	return nil, true
}

// Reach implements Reacher.
func (s *Scoped) Reach(p Principal) (namespaces []string, all bool) {
	for _, scope := range s.scopes(p.Scopes) {
		if scope.Pattern == All {
			return nil, true
		}
		namespace, _, _ := strings.Cut(string(scope.Pattern), "/")
		namespaces = append(namespaces, namespace)
	}
	slices.SortFunc(namespaces, func(a, b string) int { return strings.Compare(a+"/", b+"/") })
	return slices.Compact(namespaces), false
}

// Reach implements Reacher.
func (m byModel) Reach(p Principal) (namespaces []string, all bool) { return Reach(m.models, p) }
