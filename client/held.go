package client

import (
	"sync"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// holding is a Held, and how the chunks of the wanted version are related to it.
type holding struct {
	Held
	kin func() []int32 // for each chunk that of the held version, or -1
}

// holdings prepares what is held for a fetch of m. Who fetches nothing pairs nothing.
func holdings(held []Held, m *manifest.Manifest) []holding {
	list := make([]holding, len(held))
	for i := range held {
		h := held[i]
		list[i] = holding{h, sync.OnceValue(func() []int32 { return manifest.NewKin(h.Manifest).Of(m) })}
	}
	return list
}

// related returns the held chunk that is related to chunk c of m, and whether there is
// one. A chunk that is held itself is not asked for by name, so it is no base.
func (h *holding) related(m *manifest.Manifest, c uint32) (index uint32, ref chunker.Ref, ok bool) {
	kin := h.kin()[c]
	if kin < 0 {
		return 0, ref, false
	}
	ref = h.Manifest.Chunks[kin]
	return uint32(kin), ref, ref.Digest != m.Chunks[c].Digest && h.Has(ref.Digest)
}

// from returns which holding chunk c is best asked for as a delta of, 1 for the first; 0
// for none.
func (f *fetch) from(c uint32) int {
	for i := range f.held {
		if _, _, ok := f.held[i].related(f.m, c); ok {
			return i + 1
		}
	}
	return 0
}

// have returns what is held of chunks, as the API wants it: a version, and an index of
// its list for each of the chunks.
func (h *holding) have(chunks []uint32) (version, indexes string) {
	kin := h.kin()
	list := make([]uint32, len(chunks))
	for i, c := range chunks {
		list[i] = uint32(kin[c])
	}
	return h.Repo.String() + "@" + h.Version.String(), ranges(list)
}
