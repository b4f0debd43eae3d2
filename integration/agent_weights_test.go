package integration_test

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io/fs"

	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/openapi"
)

// sums is what has to be read of a version: hashes of its files by path, and of
// its tensors by path and name.
type sums struct {
	Files   map[string]uint32 `json:"files"`
	Tensors map[string]uint32 `json:"tensors"`
}

// sum is fast, so that readers may read all the time, and not what the program
// itself checks its chunks with.
func sum(b []byte) uint32 { return crc32.ChecksumIEEE(b) }

// sumsOf reads a folder as the safetensors format says, and nothing of ingot.
func sumsOf(t *testing.T, dir string) sums {
	t.Helper()
	s := sums{Files: map[string]uint32{}, Tensors: map[string]uint32{}}
	for _, path := range filesBelow(t, dir) {
		content, err := os.ReadFile(filepath.Join(dir, path))
		if err != nil {
			t.Fatal(err)
		}
		s.Files[path] = sum(content)
		if strings.HasSuffix(path, ".safetensors") {
			s.addTensors(t, path, content)
		}
	}
	return s
}

// filesBelow lists the files of a folder.
func filesBelow(t *testing.T, dir string) (paths []string) {
	t.Helper()
	err := fs.WalkDir(os.DirFS(dir), ".", func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return paths
}

func (s sums) addTensors(t *testing.T, path string, content []byte) {
	t.Helper()
	begin := 8 + binary.LittleEndian.Uint64(content)
	header := map[string]struct {
		Offsets [2]uint64 `json:"data_offsets"`
	}{}
	if err := json.Unmarshal(content[8:begin], &header); err != nil {
		t.Fatal(err)
	}
	delete(header, "__metadata__")
	for name, tensor := range header {
		from, to := begin+tensor.Offsets[0], begin+tensor.Offsets[1]
		s.Tensors[path+" "+name] = sum(content[from:to])
	}
}

// check reads all of a lease and compares.
func (s sums) check(ctx context.Context, l *agent.Lease) error {
	if err := s.checkTensors(ctx, l); err != nil {
		return err
	}
	files := l.Files()
	if len(files) != len(s.Files) {
		return fmt.Errorf("%s has %d files, want %d", l.Version(), len(files), len(s.Files))
	}
	for _, f := range files {
		h := crc32.NewIEEE()
		if _, err := l.ReadFile(f.Path, h); err != nil {
			return fmt.Errorf("read %s: %w", f.Path, err)
		}
		if want, ok := s.Files[f.Path]; !ok || h.Sum32() != want {
			return fmt.Errorf("%s of %s has wrong bytes", f.Path, l.Version())
		}
	}
	return nil
}

// checkTensors reads the tensors of a lease of any kind, in the order in which
// they come.
func (s sums) checkTensors(ctx context.Context, l *agent.Lease) error {
	seen := 0
	for tensor, err := range l.Tensors(ctx) {
		if err != nil {
			return err
		}
		want, ok := s.Tensors[tensor.File+" "+tensor.Name]
		if !ok || sum(tensor.Bytes) != want {
			return fmt.Errorf("tensor %s in %s of %s has wrong bytes", tensor.Name, tensor.File, l.Version())
		}
		seen++
	}
	if seen != len(s.Tensors) {
		return fmt.Errorf("%d tensors of %s came, want %d", seen, l.Version(), len(s.Tensors))
	}
	return nil
}

// weightsOf makes a model in a new folder.
func weightsOf(t *testing.T, spec synth.Spec, changes ...synth.Change) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	if err := synth.Write(t.Context(), dir, spec, changes...); err != nil {
		t.Fatal(err)
	}
	return dir
}

// streamed reads a lease of that mode through and compares.
func (n *node) streamed(ref, mode string, want sums) error {
	l, err := n.Lease(n.t.Context(), openapi.LeaseRequest{Ref: ref, Mode: mode, Deadline: patience.Seconds()}, agent.LeaseOptions{})
	if err != nil {
		return err
	}
	return errors.Join(want.checkTensors(n.t.Context(), l), l.Close())
}
