package hfcache

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"

	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
)

var (
	// ErrBusy reports a file that another process writes at the moment.
	ErrBusy = errors.New("another process writes it: try again when that has ended")
	// ErrName reports a repository that cannot be in such a folder.
	ErrName = errors.New("the cache of Hugging Face clients cannot hold the repository")
	// ErrWrong reports bytes that are not those of the file.
	ErrWrong = errors.New("the bytes that came are not those of the file")
)

// Tree is such a folder. It is safe for concurrent use, also by several processes.
type Tree struct {
	dir  string // absolute
	root *os.Root
}

// Open opens the folder, which it makes if need be. The caller closes the Tree.
func Open(dir string) (*Tree, error) {
	abs, err := filepath.Abs(dir)
	if err == nil {
		err = os.MkdirAll(abs, 0o755)
	}
	if err != nil {
		return nil, fmt.Errorf("open cache folder: %w", err)
	}
	root, err := os.OpenRoot(abs)
	if err != nil {
		return nil, fmt.Errorf("open cache folder: %w", err)
	}
	return &Tree{dir: abs, root: root}, nil
}

// Close closes the Tree. Nobody may use it any more.
func (t *Tree) Close() error { return t.root.Close() }

// Dir is the folder's absolute path.
func (t *Tree) Dir() string { return t.dir }

// Path is where the files of a commit are, or would be.
func (t *Tree) Path(repo name.Repo, commit string) string {
	return filepath.Join(t.dir, filepath.FromSlash(snapshotPath(repo, commit)))
}

// What is in the folder of a repository.
const (
	repoPrefix = "models--"
	partSuffix = ".part" // of a blob that is being written
	newSuffix  = ".new"  // of a small file, and of the folder for a snapshot, that is being written
)

func repoPath(r name.Repo) string { return repoPrefix + r.Namespace + "--" + r.Name }

func blobPath(r name.Repo, blob string) string { return path.Join(repoPath(r), "blobs", blob) }

func refPath(r name.Repo, ref string) string { return path.Join(repoPath(r), "refs", ref) }

func snapshotPath(r name.Repo, commit string) string {
	return path.Join(repoPath(r), "snapshots", commit)
}

func listingPath(r name.Repo, commit string) string {
	return path.Join(repoPath(r), "trees", commit+".json")
}

// parseRepo reads the name of a repository's folder.
func parseRepo(folder string) (name.Repo, bool) {
	rest, ok := strings.CutPrefix(folder, repoPrefix)
	namespace, model, found := strings.Cut(rest, "--")
	if !ok || !found {
		return name.Repo{}, false
	}
	repo, err := name.ParseRepo(namespace + "/" + model)
	return repo, err == nil && checkRepo(repo) == nil
}

// checkRepo refuses names by which two repositories would have one folder. The Hub has
// none like them.
func checkRepo(r name.Repo) error {
	if strings.Contains(r.Namespace, "--") || strings.Contains(r.Name, "--") {
		return fmt.Errorf("%w: %s has -- in its name, which tells a namespace from a name there", ErrName, r)
	}
	return nil
}

// check refuses what cannot be in a tree.
func check(rev *catalog.Revision) error {
	if err := checkRepo(rev.Repo); err != nil {
		return err
	}
	if !isHex(rev.Commit, catalog.CommitLen) {
		return fmt.Errorf("commit %.80q: want %d hex digits", rev.Commit, catalog.CommitLen)
	}
	for i := range rev.Files {
		f := &rev.Files[i]
		if !fs.ValidPath(f.Path) || f.Path == "." || strings.Contains(f.Path, `\`) {
			return fmt.Errorf("file %.200q: want a path below the folder", f.Path)
		}
		if f.Size < 0 || f.SHA256 != "" && !isHex(f.SHA256, 64) {
			return fmt.Errorf("file %.200q: %d bytes of sha256 %.80q: that is no file", f.Path, f.Size, f.SHA256)
		}
		if f.SHA256 == "" && !isHex(f.ETag, 40) && !isHex(f.ETag, 64) {
			return fmt.Errorf("file %.200q: etag %.80q: want 40 or 64 hex digits", f.Path, f.ETag)
		}
	}
	return nil
}

func isHex(s string, n int) bool {
	return len(s) == n && strings.Trim(s, "0123456789abcdef") == ""
}

// SetRef makes a branch or tag name a commit, whose snapshot is there.
func (t *Tree) SetRef(repo name.Repo, ref, commit string) error {
	if !fs.ValidPath(ref) || ref == "." {
		return fmt.Errorf("ref %.200q: want the name of a branch or tag", ref)
	}
	if now, ok := t.Ref(repo, ref); ok && now == commit {
		return nil
	}
	// Clients take the file as it is: no line end.
	if err := t.replace(refPath(repo, ref), []byte(commit)); err != nil {
		return fmt.Errorf("write ref %s of %s: %w", ref, repo, err)
	}
	return nil
}

// Ref returns the commit that a branch or tag names.
func (t *Tree) Ref(repo name.Repo, ref string) (commit string, ok bool) {
	b, err := t.root.ReadFile(refPath(repo, ref))
	return string(b), err == nil && isHex(string(b), catalog.CommitLen)
}

// replace writes a small file at once.
func (t *Tree) replace(p string, b []byte) error {
	if err := t.root.MkdirAll(path.Dir(p), 0o755); err != nil {
		return err
	}
	temp := tempName(p)
	err := t.root.WriteFile(temp, b, 0o644)
	if err == nil {
		err = t.root.Rename(temp, p)
	}
	if err != nil {
		_ = t.root.Remove(temp) // else the next Clean removes it
	}
	return err
}

// temps counts the names that tempName has given, to all trees of the process.
var temps atomic.Int64

// tempName returns a name beside p that nobody else writes to: no other call, and no other
// process. What a process of the same number has left there may be overwritten.
func tempName(p string) string {
	return fmt.Sprintf("%s.%d-%d%s", p, os.Getpid(), temps.Add(1), newSuffix)
}
