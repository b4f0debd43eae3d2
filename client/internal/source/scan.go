package source

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/ingot-ml/ingot/registry/manifest"
)

// The reasons not to push.
var (
	// ErrInput reports a file or folder that cannot be pushed, and names it.
	ErrInput = errors.New("cannot be pushed")
	// ErrLeaves reports, beside ErrInput, a link that would be read if links that
	// leave the folder were followed.
	ErrLeaves = errors.New("symbolic link that leaves the folder")
)

// Scan lists the regular files below the folder at path, sorted by their paths,
// or the one file at path under its base name. It follows links that stay in the
// folder, and with follow those that leave it; other links, and what is neither a
// file nor a folder, are ErrInput, as is a folder without files.
func Scan(path string, follow bool) ([]*File, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, inputf("%w", err)
	}
	s := scan{follow: follow}
	if !info.IsDir() {
		abs, err := filepath.Abs(path)
		if err != nil {
			return nil, inputf("%w", err)
		}
		if err := s.add(path, filepath.Base(abs), info); err != nil {
			return nil, err
		}
		return s.files, nil
	}
	if s.root, err = filepath.EvalSymlinks(path); err != nil {
		return nil, inputf("%w", err)
	}
	if err := s.folder(path, "", []fs.FileInfo{info}); err != nil {
		return nil, err
	}
	if len(s.files) == 0 {
		return nil, inputf("%s: no files in it", path)
	}
	slices.SortFunc(s.files, func(a, b *File) int { return strings.Compare(a.Path, b.Path) })
	if err := manifest.CheckCollisions(s.paths()); err != nil {
		return nil, inputf("%s: %w", path, err)
	}
	return s.files, nil
}

// paths returns what the files are called.
func (s *scan) paths() []string {
	paths := make([]string, len(s.files))
	for i, f := range s.files {
		paths[i] = f.Path
	}
	return paths
}

func inputf(format string, args ...any) error {
	return fmt.Errorf(format+": %w", append(args, ErrInput)...)
}

// scan is the state of one Scan.
type scan struct {
	root   string // without links
	follow bool
	files  []*File
}

// folder adds what lies below the folder at path, which is called prefix in the
// manifest and lies inside the folders above.
func (s *scan) folder(path, prefix string, above []fs.FileInfo) error {
	entries, err := os.ReadDir(path)
	if err != nil {
		return inputf("%w", err)
	}
	for _, e := range entries {
		if e.IsDir() && strings.EqualFold(e.Name(), manifest.Reserved) {
			continue
		}
		if err := s.entry(filepath.Join(path, e.Name()), prefix+e.Name(), e, above); err != nil {
			return err
		}
	}
	return nil
}

// entry adds one entry of a folder, whatever it is.
func (s *scan) entry(path, name string, e fs.DirEntry, above []fs.FileInfo) error {
	info, err := e.Info()
	if err == nil && e.Type()&fs.ModeSymlink != 0 {
		info, err = s.resolve(path)
	}
	if err != nil {
		return inputf("%w", err)
	}
	if !info.IsDir() {
		return s.add(path, name, info)
	}
	for _, a := range above {
		if os.SameFile(a, info) {
			return inputf("%s: symbolic link to a folder that contains it", path)
		}
	}
	return s.folder(path, name+"/", append(slices.Clip(above), info))
}

// resolve returns what the link at path points at in the end.
func (s *scan) resolve(path string) (fs.FileInfo, error) {
	target, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil, fmt.Errorf("%s: broken symbolic link: %w", path, err)
	}
	if rel, err := filepath.Rel(s.root, target); !s.follow && (err != nil || !filepath.IsLocal(rel)) {
		return nil, fmt.Errorf("%s: %w", path, ErrLeaves)
	}
	return os.Stat(path)
}

// add adds the file at path, which is called name in the manifest.
func (s *scan) add(path, name string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return inputf("%s: neither a file nor a folder", path)
	}
	if err := manifest.CheckPath(name); err != nil {
		return inputf("%s: %w", path, err)
	}
	if len(s.files) == manifest.MaxFiles {
		return inputf("%s: more than %d files", path, manifest.MaxFiles)
	}
	s.files = append(s.files, &File{Path: name, Size: info.Size(), place: path, info: info})
	return nil
}
