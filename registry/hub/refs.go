package hub

import (
	"fmt"
	"net/http"
	"strconv"

	"github.com/ingot-ml/ingot/registry/name"
)

// ref is a branch or a tag.
type ref struct {
	Name         string `json:"name"`
	Ref          string `json:"ref"`
	TargetCommit string `json:"targetCommit"`
}

// refs lists branches and tags. The other kinds are always there, and empty.
func (c *call) refs(repo name.Repo) error {
	all, err := c.source.Refs(c.r.Context(), repo)
	if err != nil {
		return err
	}
	branches, tags := []ref{}, []ref{}
	for _, r := range all {
		if r.Branch {
			branches = append(branches, ref{r.Name, "refs/heads/" + r.Name, r.Commit})
		} else {
			tags = append(tags, ref{r.Name, "refs/tags/" + r.Name, r.Commit})
		}
	}
	return c.answer(http.StatusOK, map[string][]ref{"branches": branches, "tags": tags, "converts": {}, "pullRequests": {}})
}

// authCheck tells whether the caller may read a model: by the error if not.
func (c *call) authCheck(repo name.Repo) error {
	if _, err := c.source.Refs(c.r.Context(), repo); err != nil {
		return err
	}
	return c.answer(http.StatusOK, struct{}{})
}

// maxCommits is how many commits a page has.
const maxCommits = 1000

// commits lists the history of a revision, the newest first, in pages.
func (c *call) commits(repo name.Repo, revision string) error {
	q := c.r.URL.Query()
	limit, page := maxCommits, 0
	if n, err := strconv.Atoi(q.Get("limit")); err == nil && n > 0 {
		limit = min(n, maxCommits)
	}
	if n, err := strconv.Atoi(q.Get("p")); err == nil && n > 0 {
		page = min(n, maxCommits)
	}
	all, err := c.source.History(c.r.Context(), repo, meant(revision), (page+1)*limit+1)
	if err != nil {
		return err
	}
	if len(all) > (page+1)*limit {
		q.Set("p", strconv.Itoa(page+1))
		c.w.Header().Set("Link", fmt.Sprintf(`<%s%s?%s>; rel="next"`, base(c.r), c.r.URL.EscapedPath(), q.Encode()))
	}
	list := []map[string]any{}
	for _, m := range all[min(page*limit, len(all)):min((page+1)*limit, len(all))] {
		list = append(list, map[string]any{
			"id": m.Commit, "title": m.Title, "message": m.Message, "date": m.At.UTC().Format(timeForm),
			"authors": []map[string]string{{"user": m.By}},
		})
	}
	return c.answer(http.StatusOK, list)
}

// whoami tells who asks.
func (c *call) whoami() error {
	return c.reads(func() error {
		who := c.identify(c.r)
		if !who.Known {
			return unknown
		}
		role := "read"
		if c.config.Writer != nil && !who.Reads {
			role = "write"
		}
		return c.answer(http.StatusOK, map[string]any{
			"type": "user", "id": who.Name, "name": who.Name, "fullname": who.Name,
			"email": nil, "emailVerified": false, "canPay": false, "isPro": false, "periodEnd": nil,
			"avatarUrl": "", "orgs": []any{},
			"auth": map[string]any{"type": "access_token", "accessToken": map[string]any{"displayName": "ingot", "role": role}},
		})
	})
}
