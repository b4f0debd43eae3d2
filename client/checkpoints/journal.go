package checkpoints

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// Journal remembers, in a file of its own, which checkpoints of a folder are done for
// some purpose.
type Journal struct {
	file string // empty for one that forgets
}

// journal is what the file holds.
type journal struct {
	Done map[string]string `json:"done"` // stamp by name
}

// maxJournal bounds the file, in bytes.
const maxJournal = 64 << 20

// OpenJournal reads the journal of a folder and a purpose, from the directory dir. One
// that is damaged counts as empty: then checkpoints are told of once more. Without a
// directory nothing is remembered.
func OpenJournal(dir string, f *Folder, purpose string) (*Journal, error) {
	j := &Journal{}
	if dir == "" {
		return j, nil
	}
	path, err := filepath.Abs(f.path)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256([]byte(path + "\x00" + purpose))
	j.file = filepath.Join(dir, hex.EncodeToString(sum[:16])+".json")
	info, err := os.Stat(j.file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && info.Size() > maxJournal {
		return j, nil
	}
	b, err := os.ReadFile(j.file)
	if err != nil {
		return nil, fmt.Errorf("read what was pushed before: %w", err)
	}
	var kept journal
	if json.Unmarshal(b, &kept) == nil && kept.Done != nil {
		f.done = kept.Done
	}
	return j, nil
}

// Done notes that a checkpoint is done. What is not there any more is forgotten.
func (j *Journal) Done(f *Folder, c Checkpoint) error {
	f.Done(c)
	for name := range f.done {
		if _, err := os.Lstat(filepath.Join(f.path, name)); errors.Is(err, fs.ErrNotExist) {
			delete(f.done, name)
		}
	}
	if j.file == "" {
		return nil
	}
	if err := j.write(journal{f.done}); err != nil {
		return fmt.Errorf("note what was pushed: %w", err)
	}
	return nil
}

// write replaces the file as a whole.
func (j *Journal) write(kept journal) error {
	b, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(j.file), 0o700); err != nil {
		return err
	}
	t, err := os.CreateTemp(filepath.Dir(j.file), strings.TrimSuffix(filepath.Base(j.file), ".json")+"-*.new")
	if err != nil {
		return err
	}
	_, err = t.Write(b)
	if err = errors.Join(err, t.Close()); err == nil {
		err = os.Rename(t.Name(), j.file)
	}
	if err != nil {
		return errors.Join(err, os.Remove(t.Name()))
	}
	return nil
}
