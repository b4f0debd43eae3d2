package hub

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
)

// Xet sends and takes large files by the protocol of that name. Errors are those of a
// catalog.Source. It is safe for concurrent use.
type Xet interface {
	// Grant lets who asks in ctx fetch the files of a commit of a repository, or send
	// it files. base is the address under which the caller knows this server.
	Grant(ctx context.Context, base string, repo name.Repo, commit string, write bool) (Access, error)
	// Reads reports whether files can be fetched.
	Reads() bool
}

// Access is where a client sends and fetches files, and for how long.
type Access struct {
	URL     string
	Token   string
	Expires time.Time
}

// Xet is worth its questions only for large files; and clients refuse to fetch those
// of more than 50 GB in another way.
const minXet = 16 << 20

// fileInfo is the type of an answer that says where a file is, for clients of Xet.
const fileInfo = "application/vnd.xet-fileinfo+json"

// xetHash returns the name that a file has for clients of Xet; empty for none.
func (c *call) xetHash(f *catalog.File) string {
	if c.config.Xet == nil || !c.config.Xet.Reads() || f.Size < minXet {
		return ""
	}
	return f.SHA256
}

// announce sets the headers that lead clients of Xet to a file, and answers those who
// only want to know. It reports whether it has answered.
func (c *call) announce(rev *catalog.Revision, f *catalog.File) bool {
	hash := c.xetHash(f)
	if hash == "" {
		return false
	}
	token := fmt.Sprintf("%s/api/models/%s/xet-read-token/%s", base(c.r), rev.Repo, rev.Commit)
	h := c.w.Header()
	h.Set("X-Xet-Hash", hash)
	h.Set("X-Xet-Refresh-Route", token)
	h.Set("Link", fmt.Sprintf(`<%s>; rel="xet-auth"`, token))
	if !strings.Contains(c.r.Header.Get("Accept"), fileInfo) {
		return false
	}
	a, err := c.config.Xet.Grant(c.r.Context(), base(c.r), rev.Repo, rev.Commit, false)
	if err != nil {
		c.fail(c.w, c.r, err)
		return true
	}
	rows := a.URL + "/v1/reconstructions/" + hash
	h.Add("Link", fmt.Sprintf(`<%s>; rel="xet-reconstruction-info"`, rows))
	h.Set("Link", strings.Join(h.Values("Link"), ", "))
	sendAs(c.w, c.r, http.StatusOK, fileInfo, map[string]string{"hash": hash, "refreshUrl": token, "reconstructionUrl": rows})
	return true
}

// xetToken answers /xet-read-token/{revision} and /xet-write-token/{revision} of a
// model: in the body for some clients, in headers for others.
func (c *call) xetToken(repo name.Repo, write bool, revision string) error {
	if c.config.Xet == nil {
		return &problem{http.StatusNotFound, "", "this hub has no Xet: set HF_HUB_DISABLE_XET=1"}
	}
	commit := ""
	if write {
		if c.config.Writer == nil {
			return errReadOnly
		}
		if _, err := c.source.Refs(c.r.Context(), repo); err != nil {
			return err
		}
	} else {
		rev, err := c.revision(repo, revision)
		if err != nil {
			return err
		}
		commit = rev.Commit
	}
	a, err := c.config.Xet.Grant(c.r.Context(), base(c.r), repo, commit, write)
	if err != nil {
		return err
	}
	for k, v := range a.headers() {
		c.w.Header().Set(k, v)
	}
	return c.answer(http.StatusOK, map[string]any{"casUrl": a.URL, "exp": a.Expires.Unix(), "accessToken": a.Token})
}

// headers returns the access as headers.
func (a *Access) headers() map[string]string {
	return map[string]string{
		"X-Xet-Cas-Url":          a.URL,
		"X-Xet-Access-Token":     a.Token,
		"X-Xet-Token-Expiration": strconv.FormatInt(a.Expires.Unix(), 10),
	}
}

// xetAction says where files go by Xet: the same for all of one question.
func (c *call) xetAction(repo name.Repo) (*action, error) {
	a, err := c.config.Xet.Grant(c.r.Context(), base(c.r), repo, "", true)
	return &action{
		Href:   fmt.Sprintf("%s/api/models/%s/xet-write-token/%s", base(c.r), repo, name.DefaultTag),
		Header: a.headers(),
	}, err
}
