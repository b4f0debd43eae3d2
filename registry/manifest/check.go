package manifest

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// check returns nil when m is valid and in canonical order. Errors say what is
// wrong and where; callers add ErrInvalid.
func (m *Manifest) check() error {
	if err := m.checkTotals(); err != nil {
		return err
	}
	if err := m.checkAnnotations(); err != nil {
		return err
	}
	if err := m.checkFiles(); err != nil {
		return err
	}
	if err := m.checkChunks(); err != nil {
		return err
	}
	paths := make([]string, len(m.Files))
	for i := range m.Files {
		paths[i] = m.Files[i].Path
	}
	return checkCollisions(paths)
}

// checkTotals judges what the whole document has of each thing, which bounds
// the work of all other checks.
func (m *Manifest) checkTotals() error {
	var tensors, paths int
	for i := range m.Files {
		tensors += len(m.Files[i].Tensors)
		paths += len(m.Files[i].Path)
	}
	for _, total := range []struct {
		what    string
		n, most int
	}{
		{"files", len(m.Files), MaxFiles},
		{"bytes of paths", paths, MaxPathBytes},
		{"tensors", tensors, MaxTensors},
		{"annotations", len(m.Annotations), MaxAnnotations},
		{"bytes encoded", m.encodedLen(), MaxSize},
	} {
		if total.n > total.most {
			return fmt.Errorf("%d %s, at most %d allowed", total.n, total.what, total.most)
		}
	}
	return nil
}

func (m *Manifest) checkAnnotations() error {
	total := 0
	for i, a := range m.Annotations {
		if err := checkText(a.Key, 1, MaxKey); err != nil {
			return fmt.Errorf("annotation key %.80q: %w", a.Key, err)
		}
		if strings.ContainsFunc(a.Key, unicode.IsControl) {
			return fmt.Errorf("annotation key %.80q: contains a control character", a.Key)
		}
		if err := checkText(a.Value, 0, MaxValue); err != nil {
			return fmt.Errorf("annotation %q: value: %w", a.Key, err)
		}
		if i > 0 && m.Annotations[i-1].Key >= a.Key {
			return fmt.Errorf("annotation %q: out of order or twice", a.Key)
		}
		total += len(a.Key) + len(a.Value)
	}
	if total > MaxAnnotationBytes {
		return fmt.Errorf("annotations of %d bytes, at most %d allowed", total, MaxAnnotationBytes)
	}
	return nil
}

// checkChunks judges the chunk table alone.
func (m *Manifest) checkChunks() error {
	seen := newIndex(len(m.Chunks))
	for i := range m.Chunks {
		c := &m.Chunks[i]
		if c.Digest.IsZero() {
			return fmt.Errorf("chunk %d: digest is all zero", i)
		}
		if c.Size == 0 || c.Size > MaxChunk {
			return fmt.Errorf("chunk %d: %d bytes, want 1 to %d", i, c.Size, MaxChunk)
		}
		if first := seen.add(m.Chunks, i); first != i {
			return fmt.Errorf("chunk %d: same digest as chunk %d", i, first)
		}
	}
	return nil
}

// checkFiles judges the files, and that they use every chunk, each for the
// first time in the order of the table.
func (m *Manifest) checkFiles() error {
	var used int
	var total uint64
	var names []uint32
	for i := range m.Files {
		f := &m.Files[i]
		if i > 0 && m.Files[i-1].Path >= f.Path {
			return fmt.Errorf("file %.120q: out of order or twice", f.Path)
		}
		var err error
		if used, err = m.checkFile(f, used); err != nil {
			return fmt.Errorf("file %.120q: %w", f.Path, err)
		}
		if names, err = checkTensors(f, names); err != nil {
			return fmt.Errorf("file %.120q: %w", f.Path, err)
		}
		// No overflow: total stays below MaxPlain, and a file's size is that of chunks
		// whose indexes take memory.
		if total += f.Size; total > MaxPlain {
			return fmt.Errorf("files of more than %d bytes together", uint64(MaxPlain))
		}
	}
	if used != len(m.Chunks) {
		return fmt.Errorf("chunk %d: not used by any file", used)
	}
	return nil
}

// checkFile judges f without its tensors. Of the chunk table, earlier files
// have used the first used; it returns how many there are with f's.
func (m *Manifest) checkFile(f *File, used int) (int, error) {
	if reason := pathFault(f.Path); reason != "" {
		return 0, fmt.Errorf("path: %s", reason)
	}
	if !isWord(f.Format) {
		return 0, fmt.Errorf("format %.40q: want a-z, then a-z 0-9 _ -, at most %d bytes", f.Format, MaxFormat)
	}
	var sum uint64
	for i, c := range f.Chunks {
		if int(c) >= len(m.Chunks) {
			return 0, fmt.Errorf("chunk index %d is %d, the table has %d", i, c, len(m.Chunks))
		}
		if int(c) > used {
			return 0, fmt.Errorf("chunk index %d is %d, but chunk %d was not used yet", i, c, used)
		}
		if int(c) == used {
			used++
		}
		sum += uint64(m.Chunks[c].Size)
	}
	if sum != f.Size {
		return 0, fmt.Errorf("size %d, but its chunks have %d bytes", f.Size, sum)
	}
	return used, nil
}

// checkTensors judges the tensors of f. It sorts their names in scratch and
// returns it for the next file.
func checkTensors(f *File, scratch []uint32) ([]uint32, error) {
	scratch = scratch[:0]
	for i := range f.Tensors {
		t := &f.Tensors[i]
		if err := t.check(f.Size); err != nil {
			return nil, fmt.Errorf("tensor %.120q: %w", t.Name, err)
		}
		if i > 0 && compareTensors(&f.Tensors[i-1], t) >= 0 {
			return nil, fmt.Errorf("tensor %.120q: out of order or twice", t.Name)
		}
		scratch = append(scratch, uint32(i))
	}
	slices.SortFunc(scratch, func(a, b uint32) int {
		return strings.Compare(f.Tensors[a].Name, f.Tensors[b].Name)
	})
	for i := 1; i < len(scratch); i++ {
		if name := f.Tensors[scratch[i]].Name; name == f.Tensors[scratch[i-1]].Name {
			return nil, fmt.Errorf("tensor %.120q: twice", name)
		}
	}
	return scratch, nil
}

// check judges t in a file of size bytes.
func (t *Tensor) check(size uint64) error {
	if err := checkText(t.Name, 0, MaxTensorName); err != nil {
		return fmt.Errorf("name: %w", err)
	}
	if err := checkText(t.DType, 1, MaxTensorType); err != nil {
		return fmt.Errorf("element type: %w", err)
	}
	if len(t.Shape) > MaxRank {
		return fmt.Errorf("%d dimensions, at most %d allowed", len(t.Shape), MaxRank)
	}
	if t.Offset > size || t.Length > size-t.Offset {
		return fmt.Errorf("offset %d and length %d leave the file's %d bytes", t.Offset, t.Length, size)
	}
	return nil
}

// compareTensors orders the tensors of a file by offset, then name.
func compareTensors(a, b *Tensor) int {
	switch {
	case a.Offset < b.Offset:
		return -1
	case a.Offset > b.Offset:
		return 1
	}
	return strings.Compare(a.Name, b.Name)
}

func checkText(s string, least, most int) error {
	if len(s) < least || len(s) > most {
		return fmt.Errorf("%d bytes, want %d to %d", len(s), least, most)
	}
	if !utf8.ValidString(s) {
		return errors.New("not valid UTF-8")
	}
	return nil
}

// isWord reports whether s may name a format.
func isWord(s string) bool {
	if s == "" || len(s) > MaxFormat || s[0] < 'a' || s[0] > 'z' {
		return false
	}
	return strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
}
