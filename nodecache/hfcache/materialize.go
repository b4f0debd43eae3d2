package hfcache

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/stream"
)

// Source is where the bytes of files come from; a catalog.Source is one.
type Source interface {
	Open(ctx context.Context, r *catalog.Revision, f *catalog.File) (stream.Content, error)
}

// Progress hears of the work, in bytes. Its methods are called by several goroutines.
type Progress interface {
	Total(bytes int64)
	Add(bytes int64)
}

// DefaultParallel is how many files are written at a time.
const DefaultParallel = 4

// Options say how a revision is made files.
type Options struct {
	Refs     []string // branches and tags that name the revision afterwards
	Parallel int      // files at a time; 0 is DefaultParallel
	Progress Progress // may be nil
}

// Receipt says what Materialize did. Its JSON is a contract.
type Receipt struct {
	Repo         name.Repo `json:"repo"`
	Commit       string    `json:"commit"`
	Path         string    `json:"path"` // the folder of the files
	Files        int       `json:"files"`
	Bytes        int64     `json:"bytes"`         // of all files
	BytesWritten int64     `json:"bytes_written"` // that were not there
	BytesReused  int64     `json:"bytes_reused"`  // that were
}

// Materialize makes the files of a revision, and then has the refs name it. The errors
// are ErrBusy, ErrWrong, and those of src, of ctx and of the file system.
func (t *Tree) Materialize(ctx context.Context, src Source, rev *catalog.Revision, o Options) (Receipt, error) {
	m := &making{tree: t, src: src, rev: rev, progress: o.Progress, blobs: make([]string, len(rev.Files))}
	if err := m.do(ctx, o); err != nil {
		return Receipt{}, fmt.Errorf("materialize %s at %.12s in %s: %w", rev.Repo, rev.Commit, t.dir, err)
	}
	return Receipt{
		Repo: rev.Repo, Commit: rev.Commit, Path: t.Path(rev.Repo, rev.Commit), Files: len(rev.Files),
		Bytes: m.reused.Load() + m.written.Load(), BytesWritten: m.written.Load(), BytesReused: m.reused.Load(),
	}, nil
}

// making is one Materialize.
type making struct {
	tree     *Tree
	src      Source
	rev      *catalog.Revision
	progress Progress
	others   []name.Repo // whose folders may have the same files
	blobs    []string    // by file: the name of its blob

	written, reused atomic.Int64
}

func (m *making) do(ctx context.Context, o Options) error {
	if err := check(m.rev); err != nil {
		return err
	}
	for i := range m.rev.Files {
		m.total(m.rev.Files[i].Size)
	}
	if err := m.tree.root.MkdirAll(blobPath(m.rev.Repo, ""), 0o755); err != nil {
		return err
	}
	var err error
	if m.others, err = m.tree.repos(); err != nil {
		return err
	}
	if err := m.write(ctx, cmp.Or(max(0, o.Parallel), DefaultParallel)); err != nil {
		return err
	}
	// The listing comes first: with it, clients know a snapshot that is not whole.
	if err := m.list(); err != nil {
		return err
	}
	if err := m.link(); err != nil {
		return err
	}
	for _, ref := range o.Refs {
		if err := m.tree.SetRef(m.rev.Repo, ref, m.rev.Commit); err != nil {
			return err
		}
	}
	return nil
}

// write has a blob for each file. Files that are known to be equal are one.
func (m *making) write(ctx context.Context, parallel int) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	first := map[string]int{} // by sha256 or etag
	for i := range m.rev.Files {
		f := &m.rev.Files[i]
		if _, twice := first[key(f)]; twice {
			m.found(f.Size)
			continue
		}
		first[key(f)] = i
		g.Go(func() (err error) {
			if err = ctx.Err(); err == nil {
				m.blobs[i], err = m.blob(ctx, f)
			}
			if err != nil {
				return fmt.Errorf("%s: %w", f.Path, err)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	for i := range m.rev.Files {
		m.blobs[i] = m.blobs[first[key(&m.rev.Files[i])]]
	}
	return nil
}

// key is what files have in common that are equal.
func key(f *catalog.File) string { return cmp.Or(f.SHA256, f.ETag) }

// listing is the document of a tree, as clients write it.
type listing struct {
	Version int               `json:"format_version"`
	Files   map[string]listed `json:"files"`
}

// listed is a file in it. Every file has what the Hub has for large ones, so that
// nobody asks for a hash of git.
type listed struct {
	Size   int64  `json:"size"`
	BlobID string `json:"blob_id"`
	SHA256 string `json:"lfs_sha256"`
	Length int64  `json:"lfs_size"`
}

const listingVersion = 1

// list writes the listing of the revision.
func (m *making) list() error {
	l := listing{Version: listingVersion, Files: make(map[string]listed, len(m.rev.Files))}
	for i, f := range m.rev.Files {
		l.Files[f.Path] = listed{f.Size, m.blobs[i], m.blobs[i], f.Size}
	}
	doc, err := json.MarshalIndent(l, "", " ")
	if err != nil {
		return err
	}
	return m.tree.replace(listingPath(m.rev.Repo, m.rev.Commit), doc)
}

// link makes the snapshot: all of it at once, or what it lacks.
func (m *making) link() error {
	root, at := m.tree.root, snapshotPath(m.rev.Repo, m.rev.Commit)
	if _, err := root.Lstat(at); err == nil {
		return m.links(at)
	}
	temp := tempName(path.Join(repoPath(m.rev.Repo), m.rev.Commit))
	if err := root.RemoveAll(temp); err != nil {
		return err
	}
	err := root.MkdirAll(path.Dir(at), 0o755)
	if err == nil {
		err = root.MkdirAll(temp, 0o755)
	}
	if err == nil {
		err = m.links(temp)
	}
	if err == nil {
		err = root.Rename(temp, at)
	}
	if err == nil {
		return nil
	}
	_ = root.RemoveAll(temp) // else the next one removes it
	if errors.Is(err, fs.ErrExist) {
		return m.links(at) // somebody else was faster
	}
	return err
}

// links makes the links of a snapshot in a folder.
func (m *making) links(folder string) error {
	for i, f := range m.rev.Files {
		p := path.Join(folder, f.Path)
		if err := m.tree.root.MkdirAll(path.Dir(p), 0o755); err != nil {
			return err
		}
		if err := m.tree.linkTo(p, target(f.Path, m.blobs[i])); err != nil {
			return err
		}
	}
	return nil
}

// target is where the link of a file points. A snapshot lies two folders below the
// repository's, also before it has its name.
func target(file, blob string) string {
	return strings.Repeat("../", strings.Count(file, "/")) + "../../blobs/" + blob
}

// linkTo makes a link, in place of what is there.
func (t *Tree) linkTo(p, to string) error {
	if now, err := t.root.Readlink(p); err == nil && now == to {
		return nil
	}
	err := t.root.Symlink(to, p)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	temp := tempName(p)
	_ = t.root.Remove(temp) // of a process of that number that was killed
	if err := t.root.Symlink(to, temp); err != nil {
		return err
	}
	return t.root.Rename(temp, p)
}

func (m *making) total(bytes int64) {
	if m.progress != nil {
		m.progress.Total(bytes)
	}
}

func (m *making) found(bytes int64) { m.count(&m.reused, bytes) }

func (m *making) count(to *atomic.Int64, bytes int64) {
	to.Add(bytes)
	if m.progress != nil {
		m.progress.Add(bytes)
	}
}

// repos lists the repositories of the folder.
func (t *Tree) repos() (list []name.Repo, err error) {
	entries, err := fs.ReadDir(t.root.FS(), ".")
	for _, e := range entries {
		if repo, ok := parseRepo(e.Name()); ok {
			list = append(list, repo)
		}
	}
	return slices.Clip(list), err
}
