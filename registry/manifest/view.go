package manifest

// View is a Manifest for people and for programs that do not read the document.
// It leaves out the chunks, and nothing is ever parsed from it. Sizes, offsets
// and lengths are in plain bytes and below 2^53; a dimension may be any 64-bit
// number.
type View struct {
	Digest      string            `json:"digest"`           // the version's name
	Parent      string            `json:"parent,omitempty"` // absent when there is none
	ContentRoot string            `json:"content_root"`
	Annotations map[string]string `json:"annotations"`
	Size        uint64            `json:"size"`        // of all files
	Chunks      int               `json:"chunks"`      // distinct
	ChunkBytes  uint64            `json:"chunk_bytes"` // of the distinct chunks
	Files       []FileView        `json:"files"`
}

// FileView is a file in a View.
type FileView struct {
	Path    string       `json:"path"`
	Size    uint64       `json:"size"`
	Format  string       `json:"format"`
	Chunks  int          `json:"chunks"` // in the file, repeats counted
	Tensors []TensorView `json:"tensors"`
}

// TensorView is a tensor in a FileView.
type TensorView struct {
	Name   string   `json:"name"`
	DType  string   `json:"dtype"`
	Shape  []uint64 `json:"shape"`
	Offset uint64   `json:"offset"` // from the start of the file
	Length uint64   `json:"length"`
}

// View returns the JSON view of m. It hashes the document twice; m must be
// valid, or it returns ErrInvalid. The View may share memory with m.
func (m *Manifest) View() (View, error) {
	doc, err := m.Encode()
	if err != nil {
		return View{}, err
	}
	root, err := m.ContentRoot()
	if err != nil {
		return View{}, err
	}
	v := View{
		Digest:      Name(doc).String(),
		ContentRoot: root.String(),
		Annotations: make(map[string]string, len(m.Annotations)),
		Size:        m.Size(),
		Chunks:      len(m.Chunks),
		ChunkBytes:  m.ChunkBytes(),
		Files:       make([]FileView, len(m.Files)),
	}
	if !m.Parent.IsZero() {
		v.Parent = m.Parent.String()
	}
	for _, a := range m.Annotations {
		v.Annotations[a.Key] = a.Value
	}
	for i := range m.Files {
		v.Files[i] = m.Files[i].view()
	}
	return v, nil
}

func (f *File) view() FileView {
	v := FileView{
		Path:    f.Path,
		Size:    f.Size,
		Format:  f.Format,
		Chunks:  len(f.Chunks),
		Tensors: make([]TensorView, len(f.Tensors)),
	}
	for i, t := range f.Tensors {
		if t.Shape == nil {
			t.Shape = []uint64{} // a scalar's shape is [], not null
		}
		v.Tensors[i] = TensorView(t)
	}
	return v
}
