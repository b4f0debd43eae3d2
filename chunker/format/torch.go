package format

import (
	"io"
	"strings"

	"github.com/ingot-ml/ingot/chunker"
)

// storageDType is the word for the bytes of a storage: what they mean is in the
// pickle beside it, which is a program, and is not even read.
const storageDType = "storage"

// torchFolders are where PyTorch keeps storages: data of a checkpoint, and of a
// TorchScript module the other two as well.
var torchFolders = []string{"data/", "constants/", "tensors/"}

// parseTorch reads what torch.save and torch.jit.save write: a zip of one
// folder, whatever its name, with data.pkl and a file for each storage.
func parseTorch(r io.ReaderAt, size int64) (*File, error) {
	entries, err := readZip(r, size)
	if err != nil {
		return nil, err
	}
	if err := enterTorchFolder(entries); err != nil {
		return nil, err
	}
	var tensors []Tensor
	for _, e := range entries {
		if !isStorage(e.name) {
			continue // TorchScript compresses its code, which does no harm
		}
		if e.compressed || len(e.name) > maxName {
			return nil, errBeyond
		}
		tensors = append(tensors, Tensor{
			Name: e.name, DType: storageDType, Elem: chunker.Untyped,
			Shape: []uint64{uint64(e.length)}, Offset: e.offset, Length: e.length,
		})
	}
	if tensors == nil {
		return nil, malformedf("no storage in the checkpoint")
	}
	return &File{Tensors: tensors, scattered: true}, nil
}

// enterTorchFolder takes the folder that all entries lie in off their names.
func enterTorchFolder(entries []zipEntry) error {
	if len(entries) == 0 {
		return malformedf("no entries")
	}
	folder, _, _ := strings.Cut(entries[0].name, "/")
	hasPickle := false
	for i := range entries {
		name, inside := strings.CutPrefix(entries[i].name, folder+"/")
		if !inside {
			return malformedf("entry %.120q: not in folder %.120q", entries[i].name, folder)
		}
		entries[i].name = name
		hasPickle = hasPickle || name == "data.pkl"
	}
	if !hasPickle {
		return malformedf("no data.pkl in folder %.120q", folder)
	}
	return nil
}

// isStorage reports whether the entry of that name is a storage, not a folder.
func isStorage(name string) bool {
	for _, folder := range torchFolders {
		if strings.HasPrefix(name, folder) {
			return !strings.HasSuffix(name, "/")
		}
	}
	return false
}
