package versions

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/name"
)

// patience is how long a summary waits for the weights of what it sums up.
const patience = 2 * time.Second

// SummaryFilter says which models a summary is of: those of a namespace, with a text in
// their names; all where both are empty. After is the model behind which the page begins.
type SummaryFilter struct {
	Namespace string
	Search    string
	After     string
	Limit     int
}

// Summary returns a page of the models that p may read, with the sums of all of them.
// It reads no body unless something has changed since they were weighed last, and then
// does not wait long for that.
func (s *Service) Summary(ctx context.Context, p access.Principal, f SummaryFilter) (openapi.Summary, error) {
	sum := openapi.Summary{Models: []openapi.ModelSummary{}}
	if err := checkRepoPage(f.Namespace, f.After); err != nil {
		return sum, err
	}
	v, err := s.surveyRecent(ctx)
	if err != nil {
		return sum, fmt.Errorf("sum up: %w", err)
	}
	mine := s.readableOf(v, p, f.Namespace)
	sumUp(&sum, mine, f)
	sum.Weighed, err = s.weighSoon(ctx, weightKey{p, f.Namespace}, mine)
	if err != nil {
		return sum, fmt.Errorf("weigh the registry: %w", err)
	}
	return sum, nil
}

// readableOf returns what p may read of what there is.
func (s *Service) readableOf(v *survey, p access.Principal, namespace string) []surveyed {
	var mine []surveyed
	for _, r := range v.repos {
		switch {
		case namespace != "" && r.repo.Namespace != namespace:
		case r.repo.Reserved(), r.info.Versions+r.info.Tags == 0, s.Policy.Allow(p, r.repo, access.Read) != nil:
		default:
			mine = append(mine, r)
		}
	}
	return mine
}

// sumUp counts the models that are looked for, and lists a page of them.
func sumUp(sum *openapi.Summary, repos []surveyed, f SummaryFilter) {
	limit := pageSize(f.Limit)
	search := strings.ToLower(f.Search)
	var after name.Repo
	if f.After != "" {
		after.Namespace, after.Name, _ = strings.Cut(f.After, "/")
	}
	namespace := ""
	for _, r := range repos {
		if !strings.Contains(strings.ToLower(r.info.Name), search) {
			continue
		}
		t := &sum.Totals
		if r.repo.Namespace != namespace {
			namespace = r.repo.Namespace
			t.Namespaces++
		}
		t.Models++
		t.Versions += r.info.Versions
		t.Tags += r.info.Tags
		t.Total += r.info.Total
		switch {
		case f.After != "" && compareRepos(r.repo, after) <= 0:
		case len(sum.Models) < limit:
			sum.Models = append(sum.Models, r.info)
		default:
			sum.Next = sum.Models[limit-1].Name
		}
	}
}
