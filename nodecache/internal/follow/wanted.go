package follow

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// maxMatch bounds the patterns of one subscription in bytes: they are in the line of
// a request.
const maxMatch = 32 << 10

// wanted is what is followed. It is not changed.
type wanted struct {
	refs  map[name.Ref]bool
	match []string // patterns of repositories all of whose tags are followed, sorted
}

func parseWanted(refs []name.Ref, match []string) (wanted, error) {
	w := wanted{refs: map[name.Ref]bool{}, match: slices.Compact(slices.Sorted(slices.Values(match)))}
	for _, ref := range refs {
		if ref.Digest.IsZero() {
			w.refs[ref] = true
		}
	}
	for _, m := range w.match {
		if m == "*" {
			continue
		}
		one := m
		if namespace, whole := strings.CutSuffix(m, "/*"); whole {
			one = namespace + "/x"
		}
		if _, err := name.ParseRepo(one); err != nil {
			return wanted{}, fmt.Errorf("match %.200q: want namespace/name, namespace/* or *", m)
		}
	}
	return w, nil
}

func (w *wanted) nothing() bool { return len(w.refs) == 0 && len(w.match) == 0 }

// covers reports whether all tags of a repository are followed.
func (w *wanted) covers(repo name.Repo) bool {
	return len(w.match) > 0 && (w.has("*") || w.has(repo.Namespace+"/*") || w.has(repo.String()))
}

func (w *wanted) has(pattern string) bool {
	_, found := slices.BinarySearch(w.match, pattern)
	return found
}

func (w *wanted) follows(ref name.Ref) bool { return w.refs[ref] || w.covers(ref.Repo) }

// subscription returns patterns for everything that is wanted. Where one for each
// repository would be too many they take in more, up to all there is.
func (w *wanted) subscription() []string {
	for _, spell := range []func(name.Repo) string{
		name.Repo.String,
		func(r name.Repo) string { return r.Namespace + "/*" },
	} {
		patterns := map[string]bool{}
		for _, m := range w.match {
			patterns[m] = true
		}
		for ref := range w.refs {
			if !w.covers(ref.Repo) {
				patterns[spell(ref.Repo)] = true
			}
		}
		bytes := 0
		for p := range patterns {
			bytes += len("&match=") + len(p)
		}
		if len(patterns) <= openapi.MaxMatch && bytes <= maxMatch {
			return slices.Sorted(maps.Keys(patterns))
		}
	}
	return []string{"*"}
}

// cutPattern returns the namespace of a pattern of many repositories, which is empty
// for all.
func cutPattern(pattern string) (namespace string, whole bool) {
	if pattern == "*" {
		return "", true
	}
	return strings.CutSuffix(pattern, "/*")
}
