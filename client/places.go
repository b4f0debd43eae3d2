package client

import "github.com/ingot-ml/ingot/registry/manifest"

// place is where a chunk lies in a file of a manifest.
type place struct {
	file   uint32
	offset int64
}

// nowhere is no place of any chunk.
var nowhere = place{offset: -1}

// places lists the places of every chunk: those of chunk c are list[start[c]] to
// list[start[c+1]]. A list for each would take three times the memory.
type places struct {
	start []uint32
	list  []place
}

// planPlaces lists the places in the files that are wanted.
func planPlaces(m *manifest.Manifest, wanted func(file int) bool) places {
	p := places{start: make([]uint32, len(m.Chunks)+1)}
	for i := range m.Files {
		if wanted(i) {
			for _, c := range m.Files[i].Chunks {
				p.start[c+1]++
			}
		}
	}
	for c := range m.Chunks {
		p.start[c+1] += p.start[c]
	}
	p.list = make([]place, p.start[len(m.Chunks)])
	next := append([]uint32(nil), p.start...)
	for i := range m.Files {
		if !wanted(i) {
			continue
		}
		for offset, c := range m.Extents(&m.Files[i]) {
			p.list[next[c]] = place{uint32(i), int64(offset)}
			next[c]++
		}
	}
	return p
}

// of returns the places of chunk c.
func (p *places) of(c uint32) []place { return p.list[p.start[c]:p.start[c+1]] }
