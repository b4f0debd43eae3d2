package protections

import (
	"strings"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/name"
)

// pattern is REPOSITORIES:TAGS; of tags it has one, those that begin alike, or all.
type pattern struct {
	repos access.Pattern
	tags  string
}

func parse(text string) (pattern, error) {
	repos, tags, ok := strings.Cut(text, ":")
	begin, open := strings.CutSuffix(tags, "*")
	if open {
		begin += "x" // what a tag may end with, its beginning may lack
	}
	p, err := access.ParsePattern(repos)
	if !ok || err != nil || name.CheckTag(begin) != nil {
		return pattern{}, openapi.Errorf(openapi.CodeBadName, "pattern %.120q: want REPOSITORIES:TAGS, each a name, a beginning and *, or *, such as acme/*:prod or *:v*", text)
	}
	return pattern{p, tags}, nil
}

func (p pattern) matches(repo name.Repo, tag string) bool {
	if !p.repos.Matches(repo) {
		return false
	}
	if begin, open := strings.CutSuffix(p.tags, "*"); open {
		return strings.HasPrefix(tag, begin)
	}
	return tag == p.tags
}
