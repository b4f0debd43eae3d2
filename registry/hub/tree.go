package hub

import (
	"crypto/sha1" // as a name in listings only: git's form, no proof of anything
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"sort"
	"strconv"
	"strings"

	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
)

// entry is a file or folder in a listing.
type entry struct {
	Type    string `json:"type"`
	OID     string `json:"oid"`
	Size    int64  `json:"size"`
	Path    string `json:"path"`
	LFS     *lfsID `json:"lfs,omitempty"`
	XetHash string `json:"xetHash,omitempty"`
}

// lfsID is the pointer that stands for a file in git. Every file whose sha256 is known
// has one: then nobody asks for the hash that git would give it.
type lfsID struct {
	OID         string `json:"oid"`
	Size        int64  `json:"size"`
	PointerSize int    `json:"pointerSize"`
}

// maxPage is how many entries a page has at most. Some clients read only the first,
// and no model has as many files.
const maxPage = 50_000

// tree lists a folder of a revision.
func (c *call) tree(repo name.Repo, revision string, folder []string) error {
	rev, err := c.revision(repo, revision)
	if err != nil {
		return err
	}
	c.w.Header().Set("X-Repo-Commit", rev.Commit)
	q := c.r.URL.Query()
	list, err := c.below(rev, strings.Join(folder, "/"), isSet(q, "recursive"))
	if err != nil {
		return err
	}
	return c.page(list, q)
}

// below returns what lies in a folder, sorted by path; with deep everything below it.
func (c *call) below(rev *catalog.Revision, folder string, deep bool) ([]entry, error) {
	prefix := ""
	if folder = strings.Trim(folder, "/"); folder != "" {
		prefix = folder + "/"
	}
	list, folders := []entry{}, map[string]bool{}
	for i := range rev.Files {
		f := &rev.Files[i]
		if !strings.HasPrefix(f.Path, prefix) {
			continue
		}
		inside := strings.Split(f.Path[len(prefix):], "/")
		for n := 1; n < len(inside) && (deep || n == 1); n++ {
			folders[prefix+strings.Join(inside[:n], "/")] = true
		}
		if deep || len(inside) == 1 {
			list = append(list, c.fileEntry(f))
		}
	}
	if len(list)+len(folders) == 0 && prefix != "" {
		return nil, fmt.Errorf("%s at %.12s has no folder %.200q: %w", rev.Repo, rev.Commit, folder, catalog.ErrNoFile)
	}
	for p := range folders {
		list = append(list, folderEntry(rev, p))
	}
	sort.Slice(list, func(i, j int) bool { return list[i].Path < list[j].Path })
	return list, nil
}

func (c *call) fileEntry(f *catalog.File) entry {
	e := entry{Type: "file", OID: f.ETag[:min(len(f.ETag), catalog.CommitLen)], Size: f.Size, Path: f.Path}
	if f.SHA256 != "" {
		e.LFS = &lfsID{OID: f.SHA256, Size: f.Size, PointerSize: 127 + len(strconv.FormatInt(f.Size, 10))}
		e.XetHash = c.xetHash(f)
	}
	return e
}

func folderEntry(rev *catalog.Revision, path string) entry {
	sum := sha1.Sum([]byte(rev.Commit + "/" + path))
	return entry{Type: "directory", OID: hex.EncodeToString(sum[:]), Path: path}
}

// page answers with one page of a list; the header Link leads to the next.
func (c *call) page(list []entry, q url.Values) error {
	limit := maxPage
	if n, err := strconv.Atoi(q.Get("limit")); err == nil && n > 0 {
		limit = min(n, maxPage)
	}
	if after := q.Get("cursor"); after != "" {
		list = list[sort.Search(len(list), func(i int) bool { return list[i].Path > after }):]
	}
	if len(list) > limit {
		q.Set("cursor", list[limit-1].Path)
		list = list[:limit]
		next := base(c.r) + c.r.URL.EscapedPath() + "?" + q.Encode()
		c.w.Header().Set("Link", "<"+next+`>; rel="next"`)
	}
	return c.answer(http.StatusOK, list)
}

// maxQuestion bounds the body of a question for paths in bytes.
const maxQuestion = 4 << 20

// pathsInfo answers which of the paths in the body there are. It is a form, or JSON.
func (c *call) pathsInfo(repo name.Repo, revision string) error {
	if c.r.Method != http.MethodPost {
		return errMethod
	}
	paths, err := c.askedPaths()
	if err != nil {
		return err
	}
	rev, err := c.revision(repo, revision)
	if err != nil {
		return err
	}
	c.w.Header().Set("X-Repo-Commit", rev.Commit)
	known := map[string]entry{}
	all, err := c.below(rev, "", true)
	if err != nil {
		return err
	}
	for _, e := range all {
		known[e.Path] = e
	}
	found := []entry{}
	for _, p := range paths {
		if e, ok := known[strings.Trim(p, "/")]; ok {
			found = append(found, e)
		}
	}
	return c.answer(http.StatusOK, found)
}

func (c *call) askedPaths() ([]string, error) {
	body, err := io.ReadAll(http.MaxBytesReader(c.w, c.r.Body, maxQuestion))
	if err != nil {
		return nil, badRequest("paths: %v", err)
	}
	if media, _, _ := mime.ParseMediaType(c.r.Header.Get("Content-Type")); media == "application/json" {
		var q struct{ Paths []string }
		if err := json.Unmarshal(body, &q); err != nil {
			return nil, badRequest("paths: %v", err)
		}
		return q.Paths, nil
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, badRequest("paths: %v", err)
	}
	return form["paths"], nil
}
