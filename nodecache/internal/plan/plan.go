package plan

import (
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// Source is where a chunk comes from. A cheaper one is a smaller Source.
type Source uint8

// The sources, the cheapest first.
const (
	RAM      Source = iota // of this node
	Disk                   // of this node
	Peer                   // another node
	Delta                  // the registry, as a difference from a chunk that is here
	Registry               // has everything

	sources = iota
)

var sourceNames = [sources]string{"ram", "disk", "peer", "delta", "registry"}

// String returns the name that receipts have for s.
func (s Source) String() string {
	if int(s) < len(sourceNames) {
		return sourceNames[s]
	}
	return fmt.Sprintf("Source(%d)", uint8(s))
}

// Have is a source that does not have every chunk, and how to ask it. Has is
// called once for each distinct chunk at most, one call after another.
type Have struct {
	Source Source
	Has    func(chunker.Digest) bool
}

// Step says where one chunk comes from: Chunk is its index in the manifest.
type Step struct {
	Chunk  uint32
	Source Source
}

// Plan says where all chunks of a version come from.
type Plan struct {
	// Steps has each distinct chunk once, in the order in which they are wanted.
	Steps []Step
	// Groups are the chunks of Steps in the same order, in runs that should lie
	// together: what one tensor is made of, or a chunk that no tensor has to itself.
	Groups [][]uint32
	// Bytes and Count are plain bytes and chunks by source.
	Bytes [sources]int64
	Count [sources]int
}

// Make plans how to bring a version together. The tensors that first names come
// before all else, in its order, in every file that has them; the rest comes in the
// order of the files. A name that no file has is passed over.
//
// Of several sources with a chunk the cheapest is chosen; what none has comes from
// the Registry.
func Make(m *manifest.Manifest, have []Have, first []string) Plan {
	o := newOrder(m)
	o.tensors(first)
	o.files()
	p := Plan{Steps: make([]Step, len(o.chunks)), Groups: o.groups()}
	for i, c := range o.chunks {
		ref := m.Chunks[c]
		from := cheapest(ref.Digest, have)
		p.Steps[i] = Step{Chunk: c, Source: from}
		p.Bytes[from] += int64(ref.Size)
		p.Count[from]++
	}
	return p
}

// cheapest returns the cheapest source that has d.
func cheapest(d chunker.Digest, have []Have) Source {
	best := Registry
	for _, h := range have {
		if h.Source < best && h.Has(d) {
			best = h.Source
		}
	}
	return best
}

// Sources returns the plain bytes by source, as receipts have them.
func (p *Plan) Sources() openapi.Sources {
	return openapi.Sources{
		RAM: p.Bytes[RAM], Disk: p.Bytes[Disk], Peer: p.Bytes[Peer],
		Delta: p.Bytes[Delta], Registry: p.Bytes[Registry],
	}
}
