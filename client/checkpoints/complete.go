package checkpoints

import (
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"math"
	"os"
	"path"
	"path/filepath"
	"strings"
)

// What is read to tell whether more is to come.
const (
	maxIndex  = 64 << 20  // bytes of an index of shards
	maxHeader = 100 << 20 // bytes of a header of safetensors
)

// complete tells whether nothing is known to be missing from a folder. A file that
// cannot be read now may be later.
func complete(folder string, files []file) bool {
	there := make(map[string]bool, len(files))
	for _, f := range files {
		there[f.path] = true
	}
	found := false
	for _, f := range files {
		switch {
		case isUnfinished(f.path):
			return false
		case strings.HasSuffix(f.path, ".index.json") && !allShards(folder, f, there):
			return false
		case strings.HasSuffix(f.path, ".safetensors") && !wholeSafetensors(filepath.Join(folder, filepath.FromSlash(f.path)), f.info.Size()):
			return false
		case strings.HasSuffix(f.path, ".distcp") && !there[path.Join(path.Dir(f.path), ".metadata")]:
			return false // which comes last
		case holdsWeights(f.path) && f.info.Size() == 0:
			return false
		}
		found = found || holdsWeights(f.path)
	}
	return found
}

// allShards tells whether every file is there that an index of shards names.
func allShards(folder string, f file, there map[string]bool) bool {
	if f.info.Size() > maxIndex {
		return false
	}
	b, err := os.ReadFile(filepath.Join(folder, filepath.FromSlash(f.path)))
	if err != nil {
		return false
	}
	var index struct {
		Map map[string]string `json:"weight_map"`
	}
	if err := json.Unmarshal(b, &index); err != nil {
		return false
	}
	for _, shard := range index.Map {
		if !there[path.Join(path.Dir(f.path), shard)] {
			return false
		}
	}
	return true
}

// wholeSafetensors tells whether a file is as long as its header says.
func wholeSafetensors(name string, size int64) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // it is only read
	end, err := safetensorsEnd(f, size)
	return err == nil && end == size
}

var errHeader = errors.New("no header of safetensors")

// safetensorsEnd returns where the last tensor of a file ends.
func safetensorsEnd(r io.Reader, size int64) (int64, error) {
	var prefix [8]byte
	if _, err := io.ReadFull(r, prefix[:]); err != nil {
		return 0, err
	}
	n := binary.LittleEndian.Uint64(prefix[:])
	if n > maxHeader || int64(n) > size-int64(len(prefix)) {
		return 0, errHeader
	}
	header := make([]byte, n)
	if _, err := io.ReadFull(r, header); err != nil {
		return 0, err
	}
	var tensors map[string]json.RawMessage
	if err := json.Unmarshal(header, &tensors); err != nil {
		return 0, errHeader
	}
	end := uint64(0)
	for name, raw := range tensors {
		if name == "__metadata__" {
			continue
		}
		var t struct {
			Offsets [2]uint64 `json:"data_offsets"`
		}
		if err := json.Unmarshal(raw, &t); err != nil {
			return 0, errHeader
		}
		end = max(end, t.Offsets[1])
	}
	if end > math.MaxInt64-maxHeader-uint64(len(prefix)) {
		return 0, errHeader
	}
	return int64(len(prefix)) + int64(n) + int64(end), nil
}
