package httpapi

import (
	"encoding/json"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/openapi"
)

func (a *API) listTags(c echo.Context) error {
	repo, err := repoOf(c)
	if err != nil {
		return err
	}
	after, limit, err := pageOf(c)
	if err != nil {
		return err
	}
	r := c.Request()
	page, err := a.service.Tags(r.Context(), a.principal(r), repo, after, limit)
	return answer(c, http.StatusOK, page, err)
}

func (a *API) getTag(c echo.Context) error {
	repo, tag, err := tagOf(c)
	if err != nil {
		return err
	}
	r := c.Request()
	t, err := a.service.Tag(r.Context(), a.principal(r), repo, tag)
	return answer(c, http.StatusOK, t, err)
}

func (a *API) setTag(c echo.Context) error {
	repo, tag, err := tagOf(c)
	if err == nil {
		_, err = writableRepo(c)
	}
	if err != nil {
		return err
	}
	doc, release, err := a.document(c, mediaJSON, openapi.MaxJSON, 2)
	if err != nil {
		return err
	}
	defer release()
	set, err := parseSetTag(doc)
	if err != nil {
		return err
	}
	r := c.Request()
	t, err := a.service.SetTag(r.Context(), a.principal(r), repo, tag, set)
	return answer(c, http.StatusOK, t, err)
}

func parseSetTag(doc []byte) (set openapi.SetTag, err error) {
	if err := json.Unmarshal(doc, &set); err != nil {
		return set, openapi.Errorf(openapi.CodeBadRequest, "body: %v", err)
	}
	if set.Digest.IsZero() {
		return set, openapi.Errorf(openapi.CodeBadRequest, "body: no digest to set the tag to")
	}
	return set, checkExpect(set.Expect)
}

func (a *API) deleteTag(c echo.Context) error {
	repo, tag, err := tagOf(c)
	if err != nil {
		return err
	}
	expect := c.QueryParam("expect")
	if err := checkExpect(expect); err != nil {
		return err
	}
	r := c.Request()
	return done(c, a.service.DeleteTag(r.Context(), a.principal(r), repo, tag, expect))
}
