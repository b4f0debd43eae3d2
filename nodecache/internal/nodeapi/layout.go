package nodeapi

import (
	"fmt"
	"maps"
	"os"
	"slices"
	"sort"

	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// layout sends where everything is, after the segments that it is in.
func (s *session) layout() error {
	m := s.lease.Manifest()
	made := &openapi.LeaseLayout{
		Ref: s.lease.Ref().String(), Version: s.lease.Version(), Files: make([]openapi.LeaseFile, 0, len(m.Files)),
	}
	for i := range m.Files {
		f := &m.Files[i]
		runs, err := s.runs(f.Chunks, 0, int64(f.Size))
		if err != nil {
			return err
		}
		out := openapi.LeaseFile{
			Path: f.Path, Size: int64(f.Size), Format: f.Format, Runs: runs, Tensors: make([]openapi.LeaseTensor, 0, len(f.Tensors)),
		}
		for j := range f.Tensors {
			out.Tensors = append(out.Tensors, tensor(&f.Tensors[j]))
		}
		made.Files = append(made.Files, out)
		if err := s.segments(runs); err != nil {
			return err
		}
	}
	return s.write(openapi.LeaseFrame{Type: openapi.FrameLayout, Layout: made})
}

func tensor(t *manifest.Tensor) openapi.LeaseTensor {
	shape := t.Shape
	if shape == nil {
		shape = []uint64{}
	}
	return openapi.LeaseTensor{Name: t.Name, DType: t.DType, Shape: shape, Offset: int64(t.Offset), Bytes: int64(t.Length)}
}

// runs returns where length bytes lie, skip bytes behind the start of the first
// chunk. Chunks that lie behind each other are one run, which therefore has whole
// pages inside.
func (s *session) runs(chunks []uint32, skip, length int64) ([]openapi.LeaseRun, error) {
	runs := []openapi.LeaseRun{}
	for _, c := range chunks {
		if length == 0 {
			break
		}
		p, ok := s.lease.Place(c)
		if !ok || p.Length <= skip {
			return nil, fmt.Errorf("lease %s: chunk %d of %s is not in place", s.lease.Ref(), c, s.lease.Version().Short())
		}
		r := openapi.LeaseRun{Segment: p.Segment, Offset: p.Offset + skip, Length: min(p.Length-skip, length)}
		skip, length = 0, length-r.Length
		if n := len(runs) - 1; n >= 0 && runs[n].Segment == r.Segment && runs[n].Offset+runs[n].Length == r.Offset {
			runs[n].Length += r.Length
			continue
		}
		runs = append(runs, r)
	}
	return runs, nil
}

// segments sends the descriptors of those segments of runs that the client does
// not have yet.
func (s *session) segments(runs []openapi.LeaseRun) error {
	fresh := map[uint64]bool{}
	for _, r := range runs {
		if !s.sent[r.Segment] {
			fresh[r.Segment] = true
		}
	}
	for ids := range slices.Chunk(slices.Sorted(maps.Keys(fresh)), openapi.MaxLeaseFiles) {
		f := openapi.LeaseFrame{Type: openapi.FrameSegments, Ref: s.lease.Ref().String(), Version: s.lease.Version().String()}
		var files []*os.File
		for _, id := range ids {
			segment, err := s.lease.Segment(id)
			if err != nil {
				return err
			}
			f.Segments = append(f.Segments, openapi.LeaseSegment{ID: id, Size: segment.Size})
			files = append(files, segment.File)
			s.sent[id] = true
		}
		if err := s.write(f, files...); err != nil {
			return err
		}
	}
	return nil
}

// starts are the offsets of the chunks of a file, to find those of a tensor.
type starts []int64

func newStarts(m *manifest.Manifest, f *manifest.File) starts {
	list := make(starts, 0, len(f.Chunks))
	for offset := range m.Extents(f) {
		list = append(list, int64(offset))
	}
	return list
}

// chunk returns the index of the chunk that the byte at offset is in, and how far
// inside.
func (list starts) chunk(offset int64) (i int, skip int64) {
	i = max(0, sort.Search(len(list), func(i int) bool { return list[i] > offset })-1)
	if len(list) == 0 {
		return 0, 0
	}
	return i, offset - list[i]
}

// place returns where a tensor lies.
func (s *session) place(at node.Arrival, list starts) (openapi.LeaseTensor, error) {
	f := &s.lease.Manifest().Files[at.File]
	t := tensor(&f.Tensors[at.Tensor])
	i, skip := list.chunk(t.Offset)
	runs, err := s.runs(f.Chunks[i:], skip, t.Bytes)
	t.Runs = runs
	return t, err
}
