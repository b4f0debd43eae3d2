package events

import (
	"strings"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/name"
)

// patterns says which repositories a listener asked for.
type patterns struct {
	all        bool
	namespaces map[string]bool
	repos      map[name.Repo]bool
}

// parsePatterns reads "*", "namespace/*" and "namespace/name".
func parsePatterns(list []string) (patterns, error) {
	p := patterns{namespaces: map[string]bool{}, repos: map[name.Repo]bool{}}
	if len(list) == 0 || len(list) > openapi.MaxMatch {
		return p, openapi.Errorf(openapi.CodeBadRequest, "match is given %d times: want 1 to %d", len(list), openapi.MaxMatch)
	}
	for _, s := range list {
		if s == "*" {
			p.all = true
			continue
		}
		namespace, whole := strings.CutSuffix(s, "/*")
		if whole {
			s = namespace + "/x"
		}
		repo, err := name.ParseRepo(s)
		switch {
		case err != nil:
			return p, openapi.Errorf(openapi.CodeBadRequest, `match %.200q: want namespace/name, namespace/* or *`, s)
		case whole:
			p.namespaces[namespace] = true
		default:
			p.repos[repo] = true
		}
	}
	return p, nil
}

func (p *patterns) match(repo name.Repo) bool {
	return p.all || p.namespaces[repo.Namespace] || p.repos[repo]
}

// prefixes adds what the keys of the tags begin with that match.
func (p *patterns) prefixes(to map[string]bool) {
	if p.all {
		to[record.TagPrefix] = true
		return
	}
	for namespace := range p.namespaces {
		to[record.TagPrefix+namespace+"/"] = true
	}
	for repo := range p.repos {
		to[record.TagKey(repo, "")] = true
	}
}
