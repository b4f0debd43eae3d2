package hub

import (
	"errors"
	"net/http"
	"strings"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// ref makes or deletes a branch or a tag. The path names the branch, or for a new tag
// the revision that it is for.
func (c *call) ref(repo name.Repo, at string, branch bool) error {
	switch c.r.Method {
	case http.MethodPost:
		if branch {
			return c.createBranch(repo, plainRef(at))
		}
		return c.createTag(repo, at)
	case http.MethodDelete:
		if err := c.known(repo); err != nil {
			return err
		}
		if err := c.config.Writer.DeleteRef(c.r.Context(), repo, plainRef(at), branch); err != nil {
			return err
		}
		return c.done()
	}
	return errMethod
}

// plainRef is a branch or tag without what git puts in front of it.
func plainRef(s string) string {
	return strings.TrimPrefix(strings.TrimPrefix(s, "refs/heads/"), "refs/tags/")
}

func (c *call) createBranch(repo name.Repo, branch string) error {
	var q struct {
		StartingPoint string `json:"startingPoint"`
		EmptyBranch   bool   `json:"emptyBranch"`
	}
	if err := c.document(&q); err != nil {
		return err
	}
	if q.EmptyBranch {
		return badRequest("branch %.200q: empty branches are not kept: begin with a commit, and delete its files", branch)
	}
	return c.createRef(repo, branch, true, q.StartingPoint)
}

func (c *call) createTag(repo name.Repo, revision string) error {
	var q struct {
		Tag     string `json:"tag"`
		Message string `json:"message"`
	}
	if err := c.document(&q); err != nil {
		return err
	}
	return c.createRef(repo, plainRef(q.Tag), false, revision)
}

// createRef makes a branch or tag. One that is there is a conflict, by which clients
// know it.
func (c *call) createRef(repo name.Repo, ref string, branch bool, at string) error {
	if strings.Contains(ref, "/") {
		return badRequest("reference %.200q: names of branches and tags have no slash here: write another character", ref)
	}
	if err := name.CheckTag(ref); err != nil {
		return badRequest("%v", err)
	}
	d, err := c.digestOf(repo, meant(at))
	if err != nil {
		return err
	}
	err = c.config.Writer.CreateRef(c.r.Context(), repo, ref, branch, d)
	if errors.Is(err, &openapi.Error{Code: openapi.CodeTagMoved}) {
		return &problem{http.StatusConflict, "", "reference " + ref + " already exists"}
	}
	if err != nil {
		return err
	}
	return c.answer(http.StatusCreated, map[string]string{})
}

// squash makes the files of a branch one commit without a past.
func (c *call) squash(repo name.Repo, branch string) error {
	var q struct {
		Message string `json:"message"`
	}
	if err := c.document(&q); err != nil {
		return err
	}
	if err := c.known(repo); err != nil {
		return err
	}
	if err := c.config.Writer.Squash(c.r.Context(), repo, plainRef(branch), q.Message); err != nil {
		return err
	}
	return c.done()
}
