package hubclient

import (
	"context"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// Bounds of what a hub lists.
const (
	maxPages   = 1000
	maxFiles   = manifest.MaxFiles
	maxRefs    = 100_000
	maxCommits = 100_000
	maxModels  = 100_000
)

var (
	commitName = regexp.MustCompile(`^[0-9a-f]{40}$`)
	sha256Name = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// IsCommit tells the name of a commit.
func IsCommit(s string) bool { return commitName.MatchString(s) }

// Head is what a revision names.
type Head struct {
	Commit  string
	Created time.Time
}

// info is what is used of the facts about a model.
type info struct {
	ID           string    `json:"id"`
	SHA          string    `json:"sha"`
	LastModified time.Time `json:"lastModified"`
}

// Head returns the commit that a revision names now.
func (c *Client) Head(ctx context.Context, repo name.Repo, revision string) (Head, error) {
	var i info
	if _, err := c.document(ctx, c.at(nil, "api", "models", repo.Namespace, repo.Name, "revision", revision), &i); err != nil {
		return Head{}, err
	}
	if !IsCommit(i.SHA) {
		return Head{}, c.wrong("%s at %.80q is commit %.80q", repo, revision, i.SHA)
	}
	if IsCommit(revision) && i.SHA != revision {
		return Head{}, c.wrong("%s: commit %s is said to be %s", repo, revision, i.SHA)
	}
	return Head{i.SHA, i.LastModified.UTC()}, nil
}

// File is a file of a commit.
type File struct {
	Path string
	Size int64
	// SHA256 of its bytes, for large files; else git's hash of them.
	SHA256, GitSHA1 string
}

// entry is a file or folder in a listing.
type entry struct {
	Type string `json:"type"`
	OID  string `json:"oid"`
	Size int64  `json:"size"`
	Path string `json:"path"`
	LFS  *struct {
		OID  string `json:"oid"`
		Size int64  `json:"size"`
	} `json:"lfs"`
}

// Files lists the files of a commit by path, and the paths that no version here can
// have, which are left out.
func (c *Client) Files(ctx context.Context, repo name.Repo, commit string) (files []File, odd []string, err error) {
	at := c.at(url.Values{"recursive": {"true"}, "expand": {"false"}}, "api", "models", repo.Namespace, repo.Name, "tree", commit)
	for range maxPages {
		var page []entry
		header, err := c.document(ctx, at, &page)
		if err != nil {
			return nil, nil, err
		}
		for _, e := range page {
			if e.Type != "file" {
				continue
			}
			if manifest.CheckPath(e.Path) != nil {
				odd = append(odd, e.Path)
				continue
			}
			f, err := c.file(e)
			if err != nil {
				return nil, nil, err
			}
			files = append(files, f)
		}
		if len(files)+len(odd) > maxFiles {
			return nil, nil, c.wrong("%s at %s has more than %d files", repo, commit, maxFiles)
		}
		next, err := c.next(at, header)
		if err != nil {
			return nil, nil, err
		}
		if next == nil {
			return files, odd, c.settle(files)
		}
		at = next
	}
	return nil, nil, c.wrong("%s at %s is listed in more than %d pages", repo, commit, maxPages)
}

// file checks what is said of a file.
func (c *Client) file(e entry) (File, error) {
	f := File{Path: e.Path, Size: e.Size}
	switch {
	case e.LFS != nil && (!sha256Name.MatchString(e.LFS.OID) || e.LFS.Size != e.Size):
		return f, c.wrong("file %.120q has size %d, and sha256 %.80q of size %d", e.Path, e.Size, e.LFS.OID, e.LFS.Size)
	case e.Size < 0 || e.Size > manifest.MaxPlain:
		return f, c.wrong("file %.120q has size %d", e.Path, e.Size)
	case e.LFS != nil:
		f.SHA256 = e.LFS.OID
	case !commitName.MatchString(e.OID):
		return f, c.wrong("file %.120q has hash %.80q", e.Path, e.OID)
	default:
		f.GitSHA1 = e.OID
	}
	return f, nil
}

// settle sorts files and refuses a path that is there twice.
func (c *Client) settle(files []File) error {
	slices.SortFunc(files, func(a, b File) int { return strings.Compare(a.Path, b.Path) })
	for i := 1; i < len(files); i++ {
		if files[i].Path == files[i-1].Path {
			return c.wrong("file %.120q is listed twice", files[i].Path)
		}
	}
	return nil
}

// next returns the address of the page behind one, nil for none.
func (c *Client) next(from *url.URL, header http.Header) (*url.URL, error) {
	for _, link := range header.Values("Link") {
		target, rest, ok := strings.Cut(strings.TrimPrefix(link, "<"), ">")
		if !ok || !strings.Contains(rest, `rel="next"`) {
			continue
		}
		to, err := from.Parse(target)
		if err != nil || to.String() == from.String() {
			return nil, c.wrong("the next page of %.200q is %.200q", from.Path, target)
		}
		return to, c.check(from, to)
	}
	return nil, nil
}

// refs is a hub's list of them.
type refs struct {
	Branches, Tags []struct {
		Name         string `json:"name"`
		TargetCommit string `json:"targetCommit"`
	}
}

// Refs lists branches and tags. Those of other kinds, and names that no tag here can
// have, are left out.
func (c *Client) Refs(ctx context.Context, repo name.Repo) ([]catalog.Ref, error) {
	var all refs
	if _, err := c.document(ctx, c.at(nil, "api", "models", repo.Namespace, repo.Name, "refs"), &all); err != nil {
		return nil, err
	}
	if len(all.Branches)+len(all.Tags) > maxRefs {
		return nil, c.wrong("%s has more than %d refs", repo, maxRefs)
	}
	list := []catalog.Ref{}
	for i, r := range append(all.Branches, all.Tags...) {
		if !IsCommit(r.TargetCommit) {
			return nil, c.wrong("%s: ref %.80q is at %.80q", repo, r.Name, r.TargetCommit)
		}
		if name.CheckTag(r.Name) == nil {
			list = append(list, catalog.Ref{Name: r.Name, Branch: i < len(all.Branches), Commit: r.TargetCommit})
		}
	}
	return list, nil
}

// History lists commits from a revision back.
func (c *Client) History(ctx context.Context, repo name.Repo, revision string, limit int) ([]catalog.Commit, error) {
	var all []struct {
		ID      string    `json:"id"`
		Title   string    `json:"title"`
		Message string    `json:"message"`
		Date    time.Time `json:"date"`
		Authors []struct {
			User string `json:"user"`
		} `json:"authors"`
	}
	query := url.Values{"limit": {strconv.Itoa(limit)}}
	if _, err := c.document(ctx, c.at(query, "api", "models", repo.Namespace, repo.Name, "commits", revision), &all); err != nil {
		return nil, err
	}
	list := make([]catalog.Commit, 0, min(len(all), limit))
	for _, m := range all[:min(len(all), limit, maxCommits)] {
		if !IsCommit(m.ID) {
			return nil, c.wrong("%s has a commit %.80q", repo, m.ID)
		}
		by := ""
		if len(m.Authors) > 0 {
			by = m.Authors[0].User
		}
		list = append(list, catalog.Commit{Commit: m.ID, Title: m.Title, Message: m.Message, By: by, At: m.Date.UTC()})
	}
	return list, nil
}

// Models lists the models of a namespace. Those whose names cannot be had here are
// left out.
func (c *Client) Models(ctx context.Context, q catalog.Query) ([]catalog.Model, error) {
	query := url.Values{"author": {q.Namespace}, "limit": {strconv.Itoa(q.Limit)}}
	if q.Search != "" {
		query.Set("search", q.Search)
	}
	var all []info
	if _, err := c.document(ctx, c.at(query, "api", "models"), &all); err != nil {
		return nil, err
	}
	list := []catalog.Model{}
	for _, m := range all[:min(len(all), maxModels)] {
		repo, err := name.ParseRepo(m.ID)
		if err != nil || repo.Namespace != q.Namespace {
			continue
		}
		if !IsCommit(m.SHA) {
			m.SHA = ""
		}
		list = append(list, catalog.Model{Repo: repo, Commit: m.SHA, Updated: m.LastModified.UTC()})
	}
	return list, nil
}
