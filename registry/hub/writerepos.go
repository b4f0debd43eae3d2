package hub

import (
	"net/http"
	"strings"

	"github.com/ingot-ml/ingot/registry/name"
)

// repoQuestion is the body of a request for a repository.
type repoQuestion struct {
	Name         string `json:"name"`
	Organization string `json:"organization"`
	Type         string `json:"type"`
	Private      bool   `json:"private"`
	Visibility   string `json:"visibility"`
}

// asked returns the repository that a request is for. Without an organization it is
// one of the caller's own.
func (c *call) asked() (name.Repo, error) {
	var q repoQuestion
	if err := c.document(&q); err != nil {
		return name.Repo{}, err
	}
	if q.Private || q.Visibility == "private" {
		// Clients print it. To refuse would break programs that always ask for it.
		c.w.Header().Set("X-HF-Warning", "access; "+notHere)
	}
	if q.Type != "" && q.Type != "model" {
		return name.Repo{}, badRequest("this hub keeps models only, no %.20q", q.Type)
	}
	switch {
	case strings.Contains(q.Name, "/"):
	case q.Organization != "":
		q.Name = q.Organization + "/" + q.Name
	default:
		q.Name = c.identify(c.r).Name + "/" + q.Name
	}
	return writableRepo(q.Name)
}

// notHere is what those are told who want to say who may read a repository.
const notHere = "access is none of this hub: it is set up where the registry is run"

// writableRepo reads the name of a repository that somebody wants to write to.
func writableRepo(s string) (name.Repo, error) {
	repo, err := name.ParseRepo(s)
	if err != nil {
		return repo, badRequest("%v", err)
	}
	if _, err := repo.Uploads(); err != nil {
		return repo, badRequest("%v", err)
	}
	return repo, nil
}

// createRepo makes a repository. One that is there is told as a conflict, with the
// address that clients want all the same.
func (c *call) createRepo() error {
	repo, err := c.asked()
	if err != nil {
		return err
	}
	made, err := c.config.Writer.Create(c.r.Context(), repo)
	if err != nil {
		return err
	}
	body := map[string]string{"id": repo.String(), "name": repo.String(), "url": base(c.r) + "/" + repo.String()}
	if made {
		return c.answer(http.StatusOK, body)
	}
	body["error"] = "You already created this model repo: " + repo.String()
	c.w.Header().Set("X-Error-Message", body["error"])
	return c.answer(http.StatusConflict, body)
}

func (c *call) deleteRepo() error {
	repo, err := c.asked()
	if err == nil {
		err = c.known(repo)
	}
	if err == nil {
		err = c.config.Writer.Delete(c.r.Context(), repo)
	}
	if err != nil {
		return err
	}
	return c.done()
}

// moveRepo gives a repository another name. The old one is free then.
func (c *call) moveRepo() error {
	var q struct {
		FromRepo string `json:"fromRepo"`
		ToRepo   string `json:"toRepo"`
		Type     string `json:"type"`
	}
	if err := c.document(&q); err != nil {
		return err
	}
	if q.Type != "" && q.Type != "model" {
		return badRequest("this hub keeps models only, no %.20q", q.Type)
	}
	from, err := writableRepo(q.FromRepo)
	if err != nil {
		return err
	}
	to, err := writableRepo(q.ToRepo)
	if err != nil {
		return err
	}
	if err := c.known(from); err != nil {
		return err
	}
	if err := c.config.Writer.Move(c.r.Context(), from, to); err != nil {
		return err
	}
	return c.done()
}

// settings takes settings that are as they are already. Who may read what is not
// decided here.
func (c *call) settings(repo name.Repo) error {
	var q map[string]any
	if err := c.document(&q); err != nil {
		return err
	}
	if err := c.known(repo); err != nil {
		return err
	}
	for key, v := range q {
		if v != false && v != nil && v != "public" {
			return &problem{http.StatusForbidden, "", "setting " + strings.ToValidUTF8(key, "?") + ": " + notHere}
		}
	}
	return c.answer(http.StatusOK, map[string]any{"private": false, "gated": false})
}

// validateCard takes every model card: what is in it is for people.
func (c *call) validateCard() error {
	var q struct{ Content string }
	if err := c.document(&q); err != nil {
		return err
	}
	return c.answer(http.StatusOK, map[string][]any{"errors": {}, "warnings": {}})
}

// done answers that something is done.
func (c *call) done() error { return c.answer(http.StatusOK, map[string]bool{"success": true}) }
