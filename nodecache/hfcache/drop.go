package hfcache

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
)

func sortFiles(files []SnapshotFile) {
	slices.SortFunc(files, func(a, b SnapshotFile) int { return cmp.Compare(a.Path, b.Path) })
}

// Drop takes a commit out of the folder: the refs that name it, its links, and the
// blobs that no other snapshot of the repository has. Who has a file open keeps it.
func (t *Tree) Drop(repo name.Repo, commit string) error {
	if err := t.drop(repo, commit); err != nil {
		return fmt.Errorf("drop %s at %.12s from %s: %w", repo, commit, t.dir, err)
	}
	return nil
}

func (t *Tree) drop(repo name.Repo, commit string) error {
	if !isHex(commit, catalog.CommitLen) {
		return fmt.Errorf("commit %.80q: want %d hex digits", commit, catalog.CommitLen)
	}
	refs, err := t.refsTo(repo, commit)
	if err != nil {
		return err
	}
	for _, ref := range refs {
		if err := t.root.Remove(refPath(repo, ref)); err != nil {
			return err
		}
	}
	// A link that is gone is asked for anew, a listing tells what lacks: it goes last.
	if err := t.root.RemoveAll(snapshotPath(repo, commit)); err != nil {
		return err
	}
	if err := t.sweep(repo); err != nil {
		return err
	}
	if err := t.root.Remove(listingPath(repo, commit)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// Unref takes a branch or tag out of the folder.
func (t *Tree) Unref(repo name.Repo, ref string) error {
	err := t.root.Remove(refPath(repo, ref))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// sweep removes the blobs of a repository that no snapshot of it has, and what is left
// of those that nobody writes.
func (t *Tree) sweep(repo name.Repo) error {
	used, err := t.used(repo)
	if err != nil {
		return err
	}
	entries, err := fs.ReadDir(t.root.FS(), blobPath(repo, ""))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, e := range entries {
		if strings.HasSuffix(e.Name(), partSuffix) {
			if err := t.dropPart(blobPath(repo, e.Name())); err != nil {
				return err
			}
			continue
		}
		// Others name their blobs otherwise: those are not ours.
		if !isHex(e.Name(), 64) || used[e.Name()] {
			continue
		}
		if err := t.root.Remove(blobPath(repo, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return err
}

// dropPart removes the part of a blob, unless somebody writes it.
func (t *Tree) dropPart(p string) error {
	part, err := t.lock(p)
	if errors.Is(err, ErrBusy) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(t.root.Remove(p), part.Close())
}

// used returns the blobs that links of the repository's snapshots name.
func (t *Tree) used(repo name.Repo) (map[string]bool, error) {
	used := map[string]bool{}
	top := path.Dir(snapshotPath(repo, "x"))
	err := fs.WalkDir(t.root.FS(), top, func(p string, e fs.DirEntry, err error) error {
		if err != nil || e.Type() != fs.ModeSymlink {
			return err
		}
		to, err := t.root.Readlink(p)
		used[path.Base(to)] = true
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return used, nil
	}
	return used, err
}

// Clean removes what interrupted calls have left. Nobody else may use the folder.
func (t *Tree) Clean() error {
	repos, err := t.repos()
	if err != nil {
		return err
	}
	for _, repo := range repos {
		err := fs.WalkDir(t.root.FS(), repoPath(repo), func(p string, e fs.DirEntry, err error) error {
			switch {
			case err != nil:
				return err
			case strings.HasSuffix(p, newSuffix) && e.IsDir():
				return errors.Join(t.root.RemoveAll(p), fs.SkipDir)
			case strings.HasSuffix(p, newSuffix), strings.HasSuffix(p, partSuffix) && path.Base(path.Dir(p)) == "blobs":
				return t.root.Remove(p)
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("clean %s: %w", t.dir, err)
		}
	}
	return nil
}
