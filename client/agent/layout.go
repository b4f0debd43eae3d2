package agent

import (
	"fmt"
	"os"

	"github.com/ingot-ml/ingot/openapi"
)

// segment is memory of the agent.
type segment struct {
	openapi.LeaseSegment
	file *os.File
}

// part is bytes that lie together in a segment.
type part struct {
	segment
	offset, length int64
}

// arrival is a tensor of a stream, and where it lies.
type arrival struct {
	file   string
	tensor openapi.LeaseTensor
	parts  []part
	bytes  []byte // once somebody has looked
}

// spot is a tensor of a layout: indexes of its file and of itself therein.
type spot struct{ file, tensor int }

// layout is where everything is.
type layout struct {
	files []openapi.LeaseFile
	parts [][]part          // of each file
	paths map[string]int    // of files
	names map[string][]spot // of tensors
	order []spot            // all tensors
}

// readLayout checks that a layout lies within the segments.
func (l *Lease) readLayout(from *openapi.LeaseLayout) (*layout, error) {
	made := &layout{files: from.Files, paths: map[string]int{}, names: map[string][]spot{}}
	for i := range from.Files {
		f := &from.Files[i]
		parts, err := l.place(f.Runs, f.Size)
		if err != nil {
			return nil, fmt.Errorf("file %.80q: %w", f.Path, err)
		}
		made.parts = append(made.parts, parts)
		made.paths[f.Path] = i
		for j, t := range f.Tensors {
			if t.Bytes < 0 || t.Offset < 0 || t.Offset > f.Size-t.Bytes {
				return nil, fmt.Errorf("file %.80q: tensor %.80q leaves it: %w", f.Path, t.Name, ErrProtocol)
			}
			made.names[t.Name] = append(made.names[t.Name], spot{i, j})
			made.order = append(made.order, spot{i, j})
		}
	}
	return made, nil
}

// place finds the parts of runs, which are size bytes together.
func (l *Lease) place(runs []openapi.LeaseRun, size int64) ([]part, error) {
	parts := make([]part, 0, len(runs))
	for _, r := range runs {
		s, ok := l.segments[r.Segment]
		if !ok {
			return nil, fmt.Errorf("segment %d did not come: %w", r.Segment, ErrProtocol)
		}
		if r.Offset < 0 || r.Length < 1 || r.Length > s.Size || r.Offset > s.Size-r.Length || r.Length > size {
			return nil, fmt.Errorf("%d bytes at %d of segment %d, which has %d: %w", r.Length, r.Offset, r.Segment, s.Size, ErrProtocol)
		}
		size -= r.Length
		parts = append(parts, part{s, r.Offset, r.Length})
	}
	if size != 0 {
		return nil, fmt.Errorf("runs lack %d bytes: %w", size, ErrProtocol)
	}
	return parts, nil
}

// cut returns where length bytes from offset of a file lie.
func cut(file []part, offset, length int64) (parts []part) {
	for _, p := range file {
		if offset >= p.length {
			offset -= p.length
			continue
		}
		if length == 0 {
			break
		}
		n := min(p.length-offset, length)
		parts = append(parts, part{p.segment, p.offset + offset, n})
		offset, length = 0, length-n
	}
	return parts
}

// file returns the index of a file of the layout. The caller holds mu.
func (l *Lease) file(path string) (int, error) {
	if l.layout == nil {
		return 0, fmt.Errorf("file %.80q of %s: its place is not known before the stream's end", path, l.ref)
	}
	i, ok := l.layout.paths[path]
	if !ok {
		return 0, openapi.Errorf(openapi.CodeNotFound, "%s has no file %.200q", l.ref, path)
	}
	return i, nil
}

// find returns the tensor with that name, in the file with that path unless it is
// empty. The caller holds mu.
func (l *Lease) find(path, name string) (spot, error) {
	if l.layout == nil {
		return spot{}, fmt.Errorf("tensor %.80q of %s: its place is not known before the stream's end", name, l.ref)
	}
	var found []spot
	for _, s := range l.layout.names[name] {
		if path == "" || l.layout.files[s.file].Path == path {
			found = append(found, s)
		}
	}
	switch {
	case len(found) == 0 && path == "":
		return spot{}, openapi.Errorf(openapi.CodeNotFound, "%s has no tensor %.200q", l.ref, name)
	case len(found) == 0:
		return spot{}, openapi.Errorf(openapi.CodeNotFound, "%s has no tensor %.200q in %.200q", l.ref, name, path)
	case len(found) > 1:
		return spot{}, openapi.Errorf(openapi.CodeConflict, "%s has tensor %.200q in %d files, such as %.200q: say which",
			l.ref, name, len(found), l.layout.files[found[0].file].Path)
	}
	return found[0], nil
}
