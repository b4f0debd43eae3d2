package manifest

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	"github.com/ingot-ml/ingot/chunker"
)

// Builder collects files that are finished in any order and builds the one
// Manifest that describes them. It is safe for concurrent use.
type Builder struct {
	mu    sync.Mutex // protects files
	files []source
}

// source is a file and the chunks it is made of, in order.
type source struct {
	file File
	refs []chunker.Ref
}

// NewBuilder returns a Builder without files.
func NewBuilder() *Builder { return &Builder{} }

// Add adds a file made of the chunks refs, in order. The tensors may come in
// any order, and f.Chunks is ignored. Neither f's slices nor refs may be changed
// until Build has returned; Build judges them.
func (b *Builder) Add(f File, refs []chunker.Ref) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.files = append(b.files, source{f, refs})
}

// Build returns the Manifest of the files added so far. The same files, parent
// and annotations give the same document, whatever the order. A zero parent is
// none. It returns ErrInvalid for what cannot be in a manifest. The Manifest
// shares no memory with what was added.
func (b *Builder) Build(parent chunker.Digest, annotations map[string]string) (*Manifest, error) {
	b.mu.Lock()
	files := slices.Clone(b.files)
	b.mu.Unlock()
	slices.SortStableFunc(files, func(a, b source) int { return strings.Compare(a.file.Path, b.file.Path) })

	m := &Manifest{Parent: parent}
	for _, key := range slices.Sorted(maps.Keys(annotations)) {
		m.Annotations = append(m.Annotations, Annotation{key, annotations[key]})
	}
	if err := m.addFiles(files); err != nil {
		return nil, fmt.Errorf("build manifest: %w: %w", err, ErrInvalid)
	}
	if err := m.check(); err != nil {
		return nil, fmt.Errorf("build manifest: %w: %w", err, ErrInvalid)
	}
	return m, nil
}

// addFiles appends files, which are sorted, and puts their chunks in the table
// in order of first use.
func (m *Manifest) addFiles(files []source) error {
	total := 0
	for i := range files {
		total += len(files[i].refs)
	}
	seen := newIndex(total)
	m.Chunks = slices.Grow(m.Chunks, total)
	for i := range files {
		f := files[i].file
		f.Tensors = canonicalTensors(f.Tensors)
		f.Chunks = slices.Grow([]uint32(nil), len(files[i].refs))
		for j, ref := range files[i].refs {
			place, err := m.place(ref, seen)
			if err != nil {
				return fmt.Errorf("file %.120q: chunk %d: %w", f.Path, j, err)
			}
			f.Chunks = append(f.Chunks, place)
		}
		m.Files = append(m.Files, f)
	}
	return nil
}

// place returns where ref stands in the table, adding it if it is new.
func (m *Manifest) place(ref chunker.Ref, seen *index) (uint32, error) {
	last := len(m.Chunks)
	m.Chunks = append(m.Chunks, ref)
	place := seen.add(m.Chunks, last)
	if place == last {
		return uint32(place), nil
	}
	m.Chunks = m.Chunks[:last]
	if known := m.Chunks[place].Size; known != ref.Size {
		return 0, fmt.Errorf("%s has %d bytes here and %d before", ref.Digest.Short(), ref.Size, known)
	}
	return uint32(place), nil
}

// canonicalTensors returns a sorted deep copy; nil when there are none.
func canonicalTensors(list []Tensor) []Tensor {
	if len(list) == 0 {
		return nil
	}
	list = slices.Clone(list)
	slices.SortFunc(list, func(a, b Tensor) int { return compareTensors(&a, &b) })
	for i := range list {
		list[i].Shape = append([]uint64(nil), list[i].Shape...)
	}
	return list
}
