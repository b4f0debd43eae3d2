package httpapi

import (
	"encoding/json"
	"net/http"
	"regexp"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/openapi"
)

func (a *API) getRetention(c echo.Context) error {
	repo, err := repoOf(c)
	if err != nil {
		return err
	}
	r := c.Request()
	rule, err := a.retention.Rule(r.Context(), a.principal(r), repo)
	return answer(c, http.StatusOK, rule, err)
}

func (a *API) setRetention(c echo.Context) error {
	repo, err := writableRepo(c)
	if err != nil {
		return err
	}
	doc, release, err := a.document(c, mediaJSON, openapi.MaxJSON, 2)
	if err != nil {
		return err
	}
	defer release()
	rule, err := parseRule(doc)
	if err != nil {
		return err
	}
	r := c.Request()
	set, err := a.retention.SetRule(r.Context(), a.principal(r), repo, rule)
	return answer(c, http.StatusOK, set, err)
}

func (a *API) clearRetention(c echo.Context) error {
	repo, err := repoOf(c)
	if err != nil {
		return err
	}
	r := c.Request()
	return done(c, a.retention.ClearRule(r.Context(), a.principal(r), repo))
}

func (a *API) applyRetention(c echo.Context) error {
	repo, err := repoOf(c)
	if err != nil {
		return err
	}
	dryRun, err := saysYes(c, "dry_run")
	if err != nil {
		return err
	}
	if a.readOnly && !dryRun {
		return refuseWrite()
	}
	r := c.Request()
	report, err := a.retention.Apply(r.Context(), a.principal(r), repo, dryRun)
	return answer(c, http.StatusOK, report, err)
}

// parseRule reads a rule, of which every part that is given has to be one.
func parseRule(doc []byte) (rule openapi.RetentionRule, err error) {
	if err := parseComplete(doc, &rule); err != nil {
		return rule, err
	}
	var given map[string]json.RawMessage
	if err := json.Unmarshal(doc, &given); err != nil {
		return rule, openapi.Errorf(openapi.CodeBadRequest, "body: %v", err)
	}
	rules := 0
	for _, part := range []struct {
		name string
		n    int64
		most int64
	}{
		{"keep_last", int64(rule.KeepLast), openapi.MaxKeep},
		{"keep_every", rule.KeepEvery, openapi.MaxKeepEvery},
	} {
		if _, there := given[part.name]; !there {
			continue
		}
		rules++
		if part.n < 1 || part.n > part.most {
			return rule, openapi.Errorf(openapi.CodeBadRequest, "%s %d: want 1 to %d", part.name, part.n, part.most)
		}
	}
	if rule.KeepBest != nil {
		rules++
		if err := checkBest(rule.KeepBest); err != nil {
			return rule, err
		}
	}
	if rules == 0 {
		return rule, openapi.Errorf(openapi.CodeBadRequest, "none of keep_last, keep_every and keep_best is given: every version without a tag would go")
	}
	if g := rule.GraceSeconds; g != nil && (*g < 0 || *g > openapi.MaxGrace) {
		return rule, openapi.Errorf(openapi.CodeBadRequest, "grace_seconds %d: want 0 to %d", *g, openapi.MaxGrace)
	}
	return rule, nil
}

// metricForm is how an annotation is called that versions can be compared by.
var metricForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._/-]{0,127}$`)

func checkBest(best *openapi.KeepBest) error {
	if best.Count < 1 || best.Count > openapi.MaxKeep {
		return openapi.Errorf(openapi.CodeBadRequest, "keep_best: count %d: want 1 to %d", best.Count, openapi.MaxKeep)
	}
	if !metricForm.MatchString(best.Metric) {
		return openapi.Errorf(openapi.CodeBadRequest, "keep_best: metric %.80q: want the key of an annotation, such as %s", best.Metric, openapi.AnnotationLoss)
	}
	if best.Order != openapi.OrderMin && best.Order != openapi.OrderMax {
		return openapi.Errorf(openapi.CodeBadRequest, "keep_best: order %.20q: want %q or %q", best.Order, openapi.OrderMin, openapi.OrderMax)
	}
	return nil
}
