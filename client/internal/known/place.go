package known

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// leastFile and mostFiles bound what of a place is remembered: a short file has nothing
// that is worth a difference.
const (
	leastFile = 64 << 10
	mostFiles = 4096
)

// Place is a folder, or one file, that was moved.
type Place struct {
	Registry string `json:"registry"`
	Repo     string `json:"repo"`
	Version  string `json:"version"` // its digest; empty for a part of one that was not known yet
	Path     string `json:"path"`    // absolute
	Files    []File `json:"files"`
}

// File is a file of a version, as it was found.
type File struct {
	Path     string `json:"path"`  // in the manifest
	Place    string `json:"place"` // absolute
	Size     int64  `json:"size"`
	Modified int64  `json:"modified"` // nanoseconds
	Inode    uint64 `json:"inode"`    // 0 where there is none
}

// Add adds the file at place, which info was found of and which is called path in the
// manifest, if it is worth it.
func (p *Place) Add(path, place string, info fs.FileInfo) {
	if info.Size() < leastFile || len(p.Files) == mostFiles {
		return
	}
	abs, err := filepath.Abs(place)
	if err != nil {
		return
	}
	p.Files = append(p.Files, File{path, abs, info.Size(), info.ModTime().UnixNano(), inode(info)})
}

// errStale reports a file that is not what it was.
var errStale = errors.New("it has changed")

// ReadAt fills b from offset of the file, if it is what it was.
func (f *File) ReadAt(b []byte, offset int64) error {
	// A pipe that was put in the file's place would block for ever.
	file, err := os.OpenFile(f.Place, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }() // it is only read
	info, err := file.Stat()
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() || info.Size() != f.Size || info.ModTime().UnixNano() != f.Modified || inode(info) != f.Inode {
		return errStale
	}
	_, err = file.ReadAt(b, offset)
	return err
}

// inode tells a file from another that was put in its place.
func inode(info fs.FileInfo) uint64 {
	if s, ok := info.Sys().(*syscall.Stat_t); ok {
		return uint64(s.Ino)
	}
	return 0
}
