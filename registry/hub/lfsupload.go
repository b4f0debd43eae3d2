package hub

import (
	"cmp"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
)

// isUpload tells the addresses at which uploads are taken, whose token says who asks.
func isUpload(path string) bool { return strings.HasSuffix(path, ".git/info/lfs/objects/upload") }

// upload takes a file or a part of one at an address that batch has told, or puts the
// parts together. The address says all: whose upload it is, and of what.
func (c *call) upload(repo name.Repo) error {
	ctx, u, err := c.config.Writer.Permitted(c.r.Context(), c.r.URL.Query().Get("token"))
	if err != nil {
		return err
	}
	if u.Repo != repo {
		return badRequest("this address is for another repository")
	}
	c.r = c.r.WithContext(ctx)
	switch c.r.Method {
	case http.MethodPut:
		return c.put(u)
	case http.MethodPost:
		return c.join(u)
	}
	return errMethod
}

// put takes bytes. A length that is wrong is refused before any is read.
func (c *call) put(u Upload) error {
	if c.r.ContentLength != u.Length {
		return &problem{http.StatusBadRequest, "", fmt.Sprintf("%d bytes are announced, the address is for %d", c.r.ContentLength, u.Length)}
	}
	etag, err := c.config.Writer.Put(c.r.Context(), u, c.body(u.Length))
	if err != nil {
		return err
	}
	c.w.Header().Set("ETag", `"`+etag+`"`)
	return c.answer(http.StatusOK, map[string]string{})
}

// part is a part of a file, by the tag that its upload was answered with.
type part struct {
	PartNumber int    `json:"partNumber"`
	ETag       string `json:"etag"`
}

// maxCompletion bounds the list of the parts of a file in bytes.
const maxCompletion = 2 << 20

// join makes a file of its parts.
func (c *call) join(u Upload) error {
	var q struct {
		OID   string `json:"oid"`
		Parts []part `json:"parts"`
	}
	if err := json.NewDecoder(http.MaxBytesReader(c.w, c.r.Body, maxCompletion)).Decode(&q); err != nil {
		return badRequest("body: %v", err)
	}
	if u.Part != 0 || q.OID != "" && q.OID != u.SHA256 {
		return badRequest("this address is for another file")
	}
	slices.SortFunc(q.Parts, func(a, b part) int { return cmp.Compare(a.PartNumber, b.PartNumber) })
	etags := make([]string, len(q.Parts))
	for i, p := range q.Parts {
		if p.PartNumber != i+1 {
			return badRequest("part %d is missing or there twice", i+1)
		}
		if etags[i] = strings.Trim(p.ETag, `"`); !isSHA256(etags[i]) {
			return badRequest("part %d: its etag is none that this hub gave", p.PartNumber)
		}
	}
	if err := c.config.Writer.Join(c.r.Context(), u, etags); err != nil {
		return err
	}
	return c.done()
}

// lfsFiles lists the large files of the default branch, the way clients ask for what
// takes room.
func (c *call) lfsFiles(repo name.Repo, rest []string) error {
	if len(rest) > 0 {
		return &problem{http.StatusNotImplemented, "", "files of versions are not deleted one by one: delete the versions, and what nobody needs is collected"}
	}
	return c.reads(func() error {
		rev, err := c.source.Revision(c.r.Context(), repo, name.DefaultTag)
		if err != nil {
			return err
		}
		list := []map[string]any{}
		for i := range rev.Files {
			if f := &rev.Files[i]; f.SHA256 != "" && f.Size > inlineFile {
				list = append(list, lfsFile(rev, f))
			}
		}
		return c.answer(http.StatusOK, list)
	})
}

func lfsFile(rev *catalog.Revision, f *catalog.File) map[string]any {
	return map[string]any{
		"fileOid": f.SHA256, "oid": f.SHA256, "filename": f.Path, "size": f.Size,
		"pushedAt": rev.Created.UTC().Format(timeForm), "ref": "refs/heads/" + name.DefaultTag,
	}
}
