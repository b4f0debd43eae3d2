package hub

import (
	"encoding/json"
	"net/http"
	"strconv"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
)

// timeForm is how the Hub writes times.
const timeForm = "2006-01-02T15:04:05.000Z"

// modelInfo is what is told of a model. Clients need id and sha; others read the rest.
type modelInfo struct {
	InternalID   string    `json:"_id"`
	ID           string    `json:"id"`
	ModelID      string    `json:"modelId"`
	Author       string    `json:"author"`
	SHA          string    `json:"sha,omitempty"`
	CreatedAt    string    `json:"createdAt"`
	LastModified string    `json:"lastModified"`
	Private      bool      `json:"private"`
	Gated        bool      `json:"gated"`
	Disabled     bool      `json:"disabled"`
	Downloads    int       `json:"downloads"`
	Likes        int       `json:"likes"`
	Tags         []string  `json:"tags"`
	Siblings     []sibling `json:"siblings,omitempty"`
	Ingot        *own      `json:"ingot,omitempty"`
}

// own is what only ingot's clients look for.
type own struct {
	Digest chunker.Digest `json:"digest"` // of the version
}

// sibling is a file of the model; the rest is for those who ask for blobs.
type sibling struct {
	RFilename string `json:"rfilename"`
	BlobID    string `json:"blobId,omitempty"`
	Size      *int64 `json:"size,omitempty"`
	LFS       *blob  `json:"lfs,omitempty"`
}

type blob struct {
	SHA256      string `json:"sha256"`
	Size        int64  `json:"size"`
	PointerSize int    `json:"pointerSize"`
}

// info tells of a model at a revision; empty is the default branch, of which a model
// may have none.
func (c *call) info(repo name.Repo, revision string) error {
	rev, err := c.revision(repo, revision)
	if err != nil {
		return err
	}
	i := about(repo, rev.Created)
	i.SHA = rev.Commit
	i.Siblings = siblings(c, rev)
	if !rev.Digest.IsZero() {
		i.Ingot = &own{rev.Digest}
	}
	c.w.Header().Set("X-Repo-Commit", rev.Commit)
	if fields := c.r.URL.Query()["expand"]; len(fields) > 0 {
		return c.expand(i, fields)
	}
	return c.answer(http.StatusOK, i)
}

func about(repo name.Repo, at time.Time) modelInfo {
	t := at.UTC().Format(timeForm)
	return modelInfo{
		InternalID: repo.String(), ID: repo.String(), ModelID: repo.String(), Author: repo.Namespace,
		CreatedAt: t, LastModified: t, Tags: []string{},
	}
}

func siblings(c *call, rev *catalog.Revision) []sibling {
	list := make([]sibling, len(rev.Files))
	blobs := isSet(c.r.URL.Query(), "blobs")
	for i := range rev.Files {
		f := &rev.Files[i]
		list[i].RFilename = f.Path
		if !blobs {
			continue
		}
		e := c.fileEntry(f)
		list[i].BlobID, list[i].Size = e.OID, &f.Size
		if e.LFS != nil {
			list[i].LFS = &blob{e.LFS.OID, e.LFS.Size, e.LFS.PointerSize}
		}
	}
	return list
}

// expand answers with the fields that were asked for; what is not known is left out,
// as on the Hub.
func (c *call) expand(i modelInfo, fields []string) error {
	raw, err := json.Marshal(i)
	if err != nil {
		return err
	}
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(raw, &all); err != nil {
		return err
	}
	some := map[string]json.RawMessage{"_id": all["_id"], "id": all["id"]}
	for _, f := range fields {
		if v, ok := all[f]; ok {
			some[f] = v
		}
	}
	return c.answer(http.StatusOK, some)
}

// list lists models: by author and a word, as clients search.
func (c *call) list() error {
	q := c.r.URL.Query()
	limit, _ := strconv.Atoi(q.Get("limit")) // what is no number is no limit
	models, err := c.source.Models(c.r.Context(), catalog.Query{Namespace: q.Get("author"), Search: q.Get("search"), Limit: limit})
	if err != nil {
		return err
	}
	list := make([]modelInfo, len(models))
	for i, m := range models {
		list[i] = about(m.Repo, m.Updated)
		list[i].SHA = m.Commit
	}
	return c.answer(http.StatusOK, list)
}
