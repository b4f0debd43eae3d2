package page

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/ingot-ml/ingot/registry/name"
)

const (
	uiPath  = "/ui"
	ownPath = uiPath + "/-" // no namespace is called so
)

// rootOf returns where the registry's root is, seen from a path of the page. It counts
// only slashes, so that it holds below any path of a proxy that takes its own away.
func rootOf(path string) string {
	if up := strings.Count(path, "/") - 1; up > 0 {
		return strings.Repeat("../", up)
	}
	return "./"
}

var digestName = regexp.MustCompile(`^[0-9a-f]{64}$`)

// maxAgainst is how many versions the page compares one with.
const maxAgainst = 4

// dataOf returns what the page at u asks for first, relative to the registry's root, so
// that a browser begins with that before it has read a script. Whatever is misspelt is
// left out; the page tells of it.
func dataOf(u *url.URL) []string {
	who := "v1/whoami"
	parts := strings.Split(strings.Trim(strings.TrimPrefix(u.Path, uiPath), "/"), "/")
	switch {
	case parts[0] == "-" && len(parts) == 2:
		return append(ownData(parts[1], u.Query()), who)
	case len(parts) == 1:
		return []string{"v1/summary?limit=1000", who}
	}
	repo, err := name.ParseRepo(parts[0] + "/" + parts[1])
	if err != nil {
		return []string{who}
	}
	return append(modelData(repo, parts[2:], u.Query()), who)
}

// ownData is for the views that are of no namespace.
func ownData(view string, q url.Values) []string {
	switch view {
	case "storage":
		return []string{"v1/summary?limit=1000", "v1/stats"}
	case "nodes":
		return []string{"v1/nodes"}
	case "diff":
		return diffOf(q)
	}
	return nil
}

func diffOf(q url.Values) []string {
	a, b := q.Get("a"), q.Get("b")
	if !isRef(a) || !isRef(b) {
		return nil
	}
	return []string{"v1/diff?a=" + url.QueryEscape(a) + "&b=" + url.QueryEscape(b)}
}

func isRef(s string) bool {
	_, err := name.ParseRef(s)
	return err == nil
}

// modelData is for a model, and for one of its versions that rest names by its digest.
func modelData(repo name.Repo, rest []string, q url.Values) []string {
	base := "v1/repos/" + repo.String()
	data := []string{base + "/summary?limit=100"}
	if len(rest) == 0 || !digestName.MatchString(rest[0]) {
		return data
	}
	against := url.Values{}
	for _, ref := range q["against"] {
		if isRef(ref) && len(against["against"]) < maxAgainst {
			against.Add("against", ref)
		}
	}
	layers := base + "/versions/" + rest[0] + "/map"
	if len(against) > 0 {
		layers += "?" + against.Encode()
	}
	return append([]string{layers}, data...)
}

// taken are the first parts of paths that stand for interfaces for programs, which want
// to hear that there is no such path.
var taken = []string{"api", "v1", "v2"}

// Leads returns where the page shows what a path names that the Hub has for people:
// a model, or one of its revisions. The address is relative to the path.
func Leads(u *url.URL) (location string, ok bool) {
	path := u.EscapedPath()
	parts := strings.Split(strings.TrimSuffix(strings.TrimPrefix(path, "/"), "/"), "/")
	if len(parts) < 2 || len(parts) == 3 {
		return "", false
	}
	repo, err := name.ParseRepo(parts[0] + "/" + parts[1])
	if err != nil || repo.Reserved() || slices.Contains(taken, parts[0]) {
		return "", false
	}
	to := rootOf(path) + strings.TrimPrefix(uiPath, "/") + "/" + repo.String()
	if len(parts) == 2 {
		return to, true
	}
	if parts[2] != "tree" && parts[2] != "blob" {
		return "", false
	}
	rev := parts[3]
	if name.CheckTag(rev) != nil && !digestName.MatchString(rev) {
		return to, true
	}
	return to + "/" + rev, true
}
