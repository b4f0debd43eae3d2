package simtest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// plan is what a seed makes of a scenario. Small and crowded ones find most: few
// versions that share chunks, and everybody at them at once.
type plan struct {
	seed                                                  uint64
	replicas, pushers, taggers, deleters, readers, sweeps int
	movers, spoilers                                      int
	rounds                                                int  // of each client
	versions                                              int  // that clients choose from
	planted, bases                                        bool // a version is there from the start; its chunks have bases
	skew, tagless                                         bool
	memory                                                int64 // 0 is plenty
	page                                                  int   // of the store's list
	untagged                                              time.Duration

	faults, late, kills, pauses, stalls, slow, jumps, impatience, sticky float64 // shares of calls or steps
}

// newPlan draws the scenario of a seed. Some have no faults of a kind at all, some
// have hardly anything else.
func newPlan(seed uint64, dice *rand.Rand) plan {
	some := func(from ...float64) float64 { return from[dice.IntN(len(from))] }
	p := plan{
		seed:     seed,
		replicas: 1 + dice.IntN(3), pushers: 1 + dice.IntN(3), taggers: dice.IntN(2), deleters: 1 + dice.IntN(2),
		readers: dice.IntN(3), sweeps: 1 + dice.IntN(3), movers: dice.IntN(3), spoilers: dice.IntN(3) / 2, rounds: 1 + dice.IntN(3), versions: 1 + dice.IntN(4),
		planted: dice.IntN(3) > 0, bases: dice.IntN(2) == 0, skew: dice.IntN(3) == 0, memory: int64(dice.IntN(2)), page: int(some(2, 7, 1000)),
		untagged: time.Duration(dice.IntN(4)/3) * time.Hour,
		faults:   some(0, 0.01, 0.05, 0.2), late: some(0, 0.01, 0.05), kills: some(0, 0, 0.002, 0.01),
		pauses: some(0, 0, 0.003, 0.01), stalls: some(0, 0.02, 0.1), slow: some(0, 0.5), jumps: some(0, 0, 0.002, 0.01), impatience: some(0, 0.005, 0.02),
		sticky: some(0, 0.5, 0.8, 0.95),
	}
	if dice.IntN(4) == 0 {
		p.duel(dice)
	}
	return p
}

// duel makes it a scenario in which little fails, but pushes, retirements and slow
// collections meet all the time: what goes wrong there needs many of them in one
// order.
func (p *plan) duel(dice *rand.Rand) {
	p.tagless, p.planted, p.versions, p.rounds, p.untagged = true, true, 2, 4, 0
	p.pushers, p.deleters, p.sweeps = 2+dice.IntN(2), 2, 1+dice.IntN(2)
	p.taggers, p.readers, p.movers, p.spoilers = 0, 0, 0, 0
	p.faults, p.late, p.kills, p.pauses, p.jumps, p.impatience = 0, 0, 0, 0, 0, 0
	p.stalls, p.slow = 0.05, 0.9
}

func (p *plan) String() string { type bare plan; return fmt.Sprintf("%+v", bare(*p)) }

// model is a version that clients push, and read again.
type model struct {
	doc    []byte
	digest chunker.Digest
	parent chunker.Digest
	order  []chunker.Digest          // its chunks, as in the manifest's table
	chunks map[chunker.Digest][]byte // encoded
	plains map[chunker.Digest][]byte
}

// The repositories: two share a namespace, so that bases go from one to the other.
var repos = []name.Repo{{Namespace: "acme", Name: "a"}, {Namespace: "acme", Name: "b"}, {Namespace: "zeta", Name: "a"}}

var tagNames = []string{"main", "prod"}

// models are what scenarios push: each has a chunk of its own, and two that others
// have too. The last ones have a parent.
func newModels() ([]*model, error) {
	var all []*model
	for i := range 4 {
		parent := chunker.Digest{}
		if i >= 3 {
			parent = all[0].digest
		}
		m, err := newModel(parent, uint64(i), uint64(i+1)%4, 4)
		if err != nil {
			return nil, err
		}
		all = append(all, m)
	}
	return all, nil
}

// newModel makes a version of one small file for each chunk.
func newModel(parent chunker.Digest, seeds ...uint64) (*model, error) {
	v := &model{parent: parent, chunks: map[chunker.Digest][]byte{}, plains: map[chunker.Digest][]byte{}}
	b := manifest.NewBuilder()
	for i, seed := range seeds {
		plain := noise(seed)
		d := chunker.Sum(plain)
		v.chunks[d], v.plains[d] = codec.Append(nil, plain, chunker.Opaque), plain
		b.Add(manifest.File{Path: fmt.Sprintf("f%d", i), Size: uint64(len(plain)), Format: "opaque"},
			[]chunker.Ref{{Digest: d, Size: uint32(len(plain))}})
	}
	m, err := b.Build(parent, nil)
	if err != nil {
		return nil, err
	}
	for _, ref := range m.Chunks {
		v.order = append(v.order, ref.Digest)
	}
	if v.doc, err = m.Encode(); err != nil {
		return nil, err
	}
	v.digest = manifest.Name(v.doc)
	return v, nil
}

// noiseLen is enough for noise to look like it.
const noiseLen = 4 << 10

// noise returns noise, which the codec stores as it is, and which differs from any other
// in the same way everywhere, so that each is a good base for all others. Nothing of it
// makes the codec try what has goroutines wait for each other.
func noise(seed uint64) []byte {
	plain := make([]byte, noiseLen)
	_, _ = rand.NewChaCha8([32]byte{1}).Read(plain) // never fails
	for i := range plain {
		plain[i] += byte(seed)
	}
	return plain
}

// deltaOf returns the chunk d encoded as a delta of base, whose name is name; nil if that
// is not worth it.
func (v *model) deltaOf(d chunker.Digest, base []byte, name chunker.Digest) []byte {
	enc, ok := codec.AppendDelta(nil, v.plains[d], base, name, chunker.U8, noiseLen)
	if !ok {
		return nil
	}
	return enc
}
