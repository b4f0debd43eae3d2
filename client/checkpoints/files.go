package checkpoints

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"strings"
)

// maxFiles bounds the files of a checkpoint.
const maxFiles = 100_000

// file is a file of a checkpoint.
type file struct {
	path string // below the folder, with slashes
	info fs.FileInfo
}

// list returns the files below a folder, in the order of their paths.
func list(folder string) (files []file, err error) {
	err = filepath.WalkDir(folder, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if e.IsDir() {
			return nil
		}
		info, err := e.Info()
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(folder, path)
		if err != nil {
			return err
		}
		if len(files) == maxFiles {
			return errors.New("more files than a checkpoint has")
		}
		files = append(files, file{filepath.ToSlash(rel), info})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look into %s: %w", folder, err)
	}
	return files, nil
}

// stampOf returns what is different when any of the files is.
func stampOf(files []file) string {
	h := sha256.New()
	for _, f := range files {
		fmt.Fprintf(h, "%q %d %d %d\n", f.path, f.info.Size(), f.info.ModTime().UnixNano(), f.info.Mode().Type())
	}
	return hex.EncodeToString(h.Sum(nil))
}

// unfinished is what files are called while they are written.
var unfinished = []string{".tmp", ".temp", ".part", ".partial", ".incomplete", ".writing", ".lock", ".swp", "~"}

// isUnfinished tells a name that somebody gives to what is being written, of a file or
// of a folder above it.
func isUnfinished(path string) bool {
	for part := range strings.SplitSeq(path, "/") {
		for _, suffix := range unfinished {
			if strings.HasSuffix(part, suffix) {
				return true
			}
		}
		if strings.HasPrefix(part, "tmp") || strings.HasPrefix(part, ".tmp") {
			return true
		}
	}
	return false
}

// weights is how the files end that hold tensors.
var weights = []string{".safetensors", ".bin", ".pt", ".pth", ".ckpt", ".gguf", ".npz", ".npy", ".onnx", ".h5", ".distcp"}

func holdsWeights(path string) bool {
	for _, end := range weights {
		if strings.HasSuffix(path, end) {
			return true
		}
	}
	return false
}
