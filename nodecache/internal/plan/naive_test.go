package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// TestAgainstNaive compares plans of random versions with what follows from the
// words of Make, worked out the long way.
func TestAgainstNaive(t *testing.T) {
	for seed := range uint64(500) {
		rng := rand.New(rand.NewPCG(seed, 4))
		m := randomModel(t, rng)
		have := make([]Have, rng.IntN(4))
		sets := make([]map[chunker.Digest]bool, len(have))
		for i := range have {
			sets[i] = map[chunker.Digest]bool{}
			for _, c := range m.Chunks {
				sets[i][c.Digest] = rng.IntN(2) == 0
			}
			have[i] = Have{Source: Source(rng.IntN(int(Registry))), Has: func(d chunker.Digest) bool { return sets[i][d] }}
		}
		first := randomNames(m, rng)
		p := Make(m, have, first)
		if got, want := chunksOf(p.Steps), naiveOrder(m, first); !slices.Equal(got, want) {
			t.Fatalf("seed %d: order %v, want %v", seed, got, want)
		}
		checkSources(t, seed, m, have, sets, p)
		checkGroups(t, seed, m, p)
	}
}

// randomModel makes a version of a few files that share chunks. Tensors begin and
// end where chunks do, or anywhere, and may overlap.
func randomModel(t *testing.T, rng *rand.Rand) *manifest.Manifest {
	files := map[*manifest.File][]chunker.Ref{}
	for i := range 1 + rng.IntN(3) {
		f := &manifest.File{Path: fmt.Sprintf("%d.safetensors", i), Format: "safetensors"}
		var edges []uint64
		for range 1 + rng.IntN(12) {
			n := rng.IntN(20)
			files[f] = append(files[f], ref(n, 10+n))
			edges = append(edges, f.Size)
			f.Size += uint64(10 + n)
		}
		for n := range rng.IntN(8) {
			from, to := edges[rng.IntN(len(edges))], edges[rng.IntN(len(edges))]
			if rng.IntN(4) == 0 {
				from = rng.Uint64N(f.Size)
			}
			from, to = min(from, to), max(from, to)
			f.Tensors = append(f.Tensors, manifest.Tensor{
				Name: fmt.Sprintf("t%d", n), DType: "U8", Shape: []uint64{to - from}, Offset: from, Length: to - from,
			})
		}
	}
	return build(t, files)
}

func randomNames(m *manifest.Manifest, rng *rand.Rand) []string {
	var names []string
	for range rng.IntN(5) {
		names = append(names, fmt.Sprintf("t%d", rng.IntN(9)))
	}
	return names
}

// naiveOrder lists chunks by looking at every one for every name.
func naiveOrder(m *manifest.Manifest, first []string) []uint32 {
	var order []uint32
	add := func(c uint32) {
		if !slices.Contains(order, c) {
			order = append(order, c)
		}
	}
	for _, n := range first {
		for f := range m.Files {
			for _, t := range m.Files[f].Tensors {
				for offset, c := range m.Extents(&m.Files[f]) {
					end := offset + uint64(m.Chunks[c].Size)
					if t.Name == n && max(offset, t.Offset) < min(end, t.Offset+t.Length) {
						add(c)
					}
				}
			}
		}
	}
	for c := range m.Chunks { // in order of first use
		add(uint32(c))
	}
	return order
}

func checkSources(t *testing.T, seed uint64, m *manifest.Manifest, have []Have, sets []map[chunker.Digest]bool, p Plan) {
	t.Helper()
	var bytes [sources]int64
	var count [sources]int
	for _, s := range p.Steps {
		ref := m.Chunks[s.Chunk]
		want := Registry
		for i, h := range have {
			if sets[i][ref.Digest] {
				want = min(want, h.Source)
			}
		}
		if s.Source != want {
			t.Fatalf("seed %d: chunk %d comes from %s, want %s", seed, s.Chunk, s.Source, want)
		}
		bytes[want] += int64(ref.Size)
		count[want]++
	}
	if bytes != p.Bytes || count != p.Count {
		t.Fatalf("seed %d: sums %v and %v, want %v and %v", seed, p.Bytes, p.Count, bytes, count)
	}
}

// checkGroups holds groups to what they are for: they are the steps, and what
// lies in one belongs to one tensor, in its order.
func checkGroups(t *testing.T, seed uint64, m *manifest.Manifest, p Plan) {
	t.Helper()
	if got := slices.Concat(p.Groups...); !slices.Equal(got, chunksOf(p.Steps)) {
		t.Fatalf("seed %d: groups %v are not the steps", seed, p.Groups)
	}
	for _, g := range p.Groups {
		if len(g) > 1 && !slices.ContainsFunc(insides(m), func(in []uint32) bool { return subsequence(g, in) }) {
			t.Fatalf("seed %d: group %v is of no tensor", seed, g)
		}
	}
}

// insides returns, for each tensor, the chunks that hold nothing else.
func insides(m *manifest.Manifest) (all [][]uint32) {
	for f := range m.Files {
		for _, t := range m.Files[f].Tensors {
			var in []uint32
			for offset, c := range m.Extents(&m.Files[f]) {
				if offset >= t.Offset && offset+uint64(m.Chunks[c].Size) <= t.Offset+t.Length {
					in = append(in, c)
				}
			}
			all = append(all, in)
		}
	}
	return all
}

func subsequence(part, of []uint32) bool {
	for _, c := range of {
		if len(part) > 0 && part[0] == c {
			part = part[1:]
		}
	}
	return len(part) == 0
}

func BenchmarkMake(b *testing.B) {
	m := &manifest.Manifest{}
	f := manifest.File{Path: "large.safetensors", Format: "safetensors"}
	for n := range 70_000 { // 140 GB, in tensors of 32 MiB
		m.Chunks = append(m.Chunks, chunker.Ref{Digest: chunker.Digest{byte(n), byte(n >> 8), byte(n >> 16), 1}, Size: chunker.MaxSize})
		if n%16 == 0 {
			f.Tensors = append(f.Tensors, manifest.Tensor{Name: fmt.Sprint(n), Offset: f.Size, Length: 16 * chunker.MaxSize})
		}
		f.Chunks = append(f.Chunks, uint32(n))
		f.Size += chunker.MaxSize
	}
	m.Files = []manifest.File{f}
	have := []Have{{Disk, func(d chunker.Digest) bool { return d[0]&1 == 0 }}}
	b.ReportAllocs()
	for b.Loop() {
		Make(m, have, nil)
	}
}
