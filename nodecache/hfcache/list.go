package hfcache

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
)

// Snapshot is a commit all of whose files are there.
type Snapshot struct {
	Repo   name.Repo
	Commit string
	Files  []SnapshotFile // sorted by path
}

// SnapshotFile is a file of a snapshot.
type SnapshotFile struct {
	Path string
	Blob string // sha256
	Size int64
}

// maxListing bounds a listing in bytes. The longest manifests have a million files.
const maxListing = 256 << 20

// Snapshot returns a commit, if all of its files are there. Their bytes are not read.
func (t *Tree) Snapshot(repo name.Repo, commit string) (Snapshot, bool) {
	s := Snapshot{Repo: repo, Commit: commit}
	l, err := t.listing(repo, commit)
	if err != nil || !isHex(commit, catalog.CommitLen) {
		return s, false
	}
	for p, f := range l.Files {
		if !fs.ValidPath(p) || !isHex(f.SHA256, 64) || !t.holds(s, p, f) {
			return s, false
		}
		s.Files = append(s.Files, SnapshotFile{Path: p, Blob: f.SHA256, Size: f.Size})
	}
	sortFiles(s.Files)
	return s, true
}

// holds reports whether a file of a snapshot is the link to its blob, which has the
// right size.
func (t *Tree) holds(s Snapshot, p string, f listed) bool {
	to, err := t.root.Readlink(path.Join(snapshotPath(s.Repo, s.Commit), p))
	if err != nil || to != target(p, f.SHA256) {
		return false
	}
	info, err := t.root.Lstat(blobPath(s.Repo, f.SHA256))
	return err == nil && info.Mode().IsRegular() && info.Size() == f.Size
}

func (t *Tree) listing(repo name.Repo, commit string) (l listing, err error) {
	f, err := t.root.Open(listingPath(repo, commit))
	if err != nil {
		return l, err
	}
	defer func() { _ = f.Close() }() // it is only read
	b, err := io.ReadAll(io.LimitReader(f, maxListing))
	if err == nil {
		err = json.Unmarshal(b, &l)
	}
	if err == nil && l.Version != listingVersion {
		err = errors.New("the listing is of another form")
	}
	return l, err
}

// Snapshots returns the commits all of whose files are there.
func (t *Tree) Snapshots() (list []Snapshot, err error) {
	repos, err := t.repos()
	if err != nil {
		return nil, err
	}
	for _, repo := range repos {
		commits, err := t.commits(repo)
		if err != nil {
			return nil, err
		}
		for _, commit := range commits {
			if s, whole := t.Snapshot(repo, commit); whole {
				list = append(list, s)
			}
		}
	}
	return list, nil
}

// commits lists the snapshots of a repository, whole or not.
func (t *Tree) commits(repo name.Repo) (list []string, err error) {
	entries, err := fs.ReadDir(t.root.FS(), path.Dir(snapshotPath(repo, "x")))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if isHex(e.Name(), catalog.CommitLen) {
			list = append(list, e.Name())
		}
	}
	return list, err
}

// refsTo lists the branches and tags that name a commit; empty is any.
func (t *Tree) refsTo(repo name.Repo, commit string) (list []string, err error) {
	top := path.Join(repoPath(repo), "refs")
	err = fs.WalkDir(t.root.FS(), top, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		ref := strings.TrimPrefix(p, top+"/")
		if at, ok := t.Ref(repo, ref); ok && (commit == "" || at == commit) {
			list = append(list, ref)
		}
		return nil
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return list, err
}
