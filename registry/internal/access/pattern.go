package access

import (
	"strings"

	"github.com/ingot-ml/ingot/registry/name"
)

// Pattern names repositories: "*" all of them, "ns/*" those of a namespace,
// "ns/prefix*" those of it whose names begin so, "ns/name" one.
type Pattern string

// All is the pattern of every repository.
const All Pattern = "*"

// ParsePattern reads a pattern.
func ParsePattern(text string) (Pattern, error) {
	p := Pattern(text)
	if p == All {
		return p, nil
	}
	namespace, rest, ok := strings.Cut(text, "/")
	begin, open := strings.CutSuffix(rest, "*")
	if open {
		begin += "x" // what no name ends with, its beginning may
	}
	if _, err := name.ParseRepo(namespace + "/" + begin); !ok || err != nil || len(text) > maxPattern {
		return "", badf("pattern %.80q: want *, namespace/*, namespace/prefix* or namespace/name", text)
	}
	return p, nil
}

// maxPattern is the length of the longest pattern in bytes.
const maxPattern = 2*name.MaxPart + 2

// Matches reports whether repo is one of p's. No pattern but All names the zero Repo.
func (p Pattern) Matches(repo name.Repo) bool {
	if p == All {
		return true
	}
	namespace, rest, _ := strings.Cut(string(p), "/")
	if namespace != repo.Namespace {
		return false
	}
	if begin, open := strings.CutSuffix(rest, "*"); open {
		return strings.HasPrefix(repo.Name, begin)
	}
	return rest == repo.Name
}

// Contains reports whether p names every repository that q names.
func (p Pattern) Contains(q Pattern) bool {
	begin, open := strings.CutSuffix(string(p), "*")
	if !open {
		return p == q
	}
	return strings.HasPrefix(string(q), begin)
}

// Overlaps reports whether there may be a repository that both name.
func (p Pattern) Overlaps(q Pattern) bool { return p.Contains(q) || q.Contains(p) }
