package versions

import (
	"context"
	"fmt"
	"math"
	"slices"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/layers"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// LayerMap tells layer by layer what a version shares with others: with those that are
// asked for, or else with its parent and with the ones that p may read and that it shares
// most with. One caller at a time reads bodies, and holds two of them.
func (s *Service) LayerMap(ctx context.Context, p access.Principal, repo name.Repo, d chunker.Digest, against []name.Ref) (openapi.LayerMap, error) {
	if len(against) > openapi.MaxAgainst {
		return openapi.LayerMap{}, openapi.Errorf(openapi.CodeBadRequest, "%d versions to compare with, want at most %d", len(against), openapi.MaxAgainst)
	}
	b, err := s.readBody(ctx, p, repo, d)
	if err != nil {
		return openapi.LayerMap{}, err
	}
	release, err := s.history(ctx)
	if err != nil {
		return openapi.LayerMap{}, err
	}
	defer release()
	sources, err := s.sourcesOf(ctx, p, repo, d, b, against)
	if err != nil {
		return openapi.LayerMap{}, fmt.Errorf("map of %s: %w", versionName(repo, d), err)
	}
	w := &mapping{body: b, sources: sources}
	var first *manifest.Manifest
	if len(sources) > 0 {
		beside, err := s.bodyThere(ctx, sources[0].repo, sources[0].digest)
		if err != nil {
			return openapi.LayerMap{}, fmt.Errorf("map of %s: %w", versionName(repo, d), err)
		}
		if beside != nil {
			first = beside.manifest
		}
	}
	w.judge(first)
	m := w.draw()
	m.Repo, m.Digest = repo.String(), d
	return m, s.nameSources(ctx, &m)
}

// nameSources adds the tags of the sources, which their readers may see.
func (s *Service) nameSources(ctx context.Context, m *openapi.LayerMap) error {
	for i := range m.Sources {
		src := &m.Sources[i]
		repo, err := name.ParseRepo(src.Repo)
		if err != nil {
			return err
		}
		tags, err := s.tagsByDigest(ctx, repo)
		if err != nil {
			return err
		}
		named := tags[src.Digest.String()]
		src.Tags = append([]string{}, named[:min(len(named), openapi.MaxLatestTags)]...)
	}
	return nil
}

// related is a version that another one is compared with.
type related struct {
	repo   name.Repo
	digest chunker.Digest
	why    string
	has    []int32 // the chunks of the other one that it has, by index
}

// within returns the indexes of the chunks of b that another version has too.
func (b *body) within(other *body) []int32 {
	var has []int32
	for i := range b.manifest.Chunks {
		if other.has(b.manifest.Chunks[i].Digest) {
			has = append(has, int32(i))
		}
	}
	return has
}

// What became of a chunk, where it is not a source that has it.
const (
	chunkChanged = -1
	chunkNew     = -2
)

// mapping draws the map of a version.
type mapping struct {
	body    *body
	sources []related
	fate    []int // of each chunk: the source that has it, or one of the words above
	shared  []int64
}

// judge finds out what became of each chunk. first is the first source, if it is there.
func (w *mapping) judge(first *manifest.Manifest) {
	chunks := w.body.manifest.Chunks
	w.fate, w.shared = make([]int, len(chunks)), make([]int64, len(w.sources))
	var kin []int32
	if first != nil {
		kin = manifest.NewKin(first).Of(w.body.manifest)
	}
	for i := range chunks {
		w.fate[i] = chunkNew
		if kin != nil && kin[i] >= 0 {
			w.fate[i] = chunkChanged
		}
	}
	for at := len(w.sources) - 1; at >= 0; at-- {
		for _, i := range w.sources[at].has {
			w.fate[i] = at
			w.shared[at] += int64(chunks[i].Size)
		}
	}
}

// drawn is a layer or a part while it is added up.
type drawn struct {
	openapi.MapShare
	plain, stored float64 // of changed bytes that are stored as deltas
}

var mapLimits = layers.Limits{
	Layers: openapi.MaxLayers, Parts: openapi.MaxLayerParts, Files: openapi.MaxFilesOfMap, Name: openapi.MaxLayerName,
}

// draw adds up the bytes of all layers.
func (w *mapping) draw() openapi.LayerMap {
	layout := layers.Of(w.body.manifest, mapLimits)
	whole, parts := make([]drawn, len(layout.Layers)), make([][]drawn, len(layout.Layers))
	for i := range layout.Layers {
		parts[i] = make([]drawn, len(layout.Layers[i].Parts))
	}
	layout.Each(func(at layers.Place, chunk uint32, bytes uint64) {
		w.count(&whole[at.Layer], chunk, bytes)
		if at.Part >= 0 {
			w.count(&parts[at.Layer][at.Part], chunk, bytes)
		}
	})
	m := openapi.LayerMap{Sources: []openapi.MapSource{}, Layers: []openapi.MapLayer{}, More: layout.Rest}
	for i, src := range w.sources {
		m.Sources = append(m.Sources, openapi.MapSource{
			Ref: src.repo.String() + "@" + src.digest.String(), Repo: src.repo.String(), Digest: src.digest,
			Tags: []string{}, Why: src.why, Shared: w.shared[i],
		})
	}
	for i := range layout.Layers {
		y := &layout.Layers[i]
		if whole[i].Size == 0 && y.Kind == layers.File {
			continue // all of it is tensors
		}
		m.Size += whole[i].Size
		m.Tensors += y.Tensors
		m.Layers = append(m.Layers, layerOf(y, &whole[i], parts[i]))
	}
	return m
}

// count adds bytes of a chunk.
func (w *mapping) count(d *drawn, chunk uint32, bytes uint64) {
	n := int64(bytes)
	d.Size += n
	switch fate := w.fate[chunk]; fate {
	case chunkNew:
		d.New += n
	case chunkChanged:
		d.Changed += n
		if e := &w.body.entries[chunk]; len(e.Closure) > 0 {
			d.plain += float64(n)
			d.stored += float64(n) * float64(e.Length) / float64(w.body.manifest.Chunks[chunk].Size)
		}
	default:
		if d.Shared == nil {
			d.Shared = make([]int64, len(w.sources))
		}
		d.Shared[fate] += n
	}
}

// delta returns what is known of changed bytes because they are stored as deltas.
func (d *drawn) delta() (*openapi.MapDelta, *float64) {
	if d.plain == 0 {
		return nil, nil
	}
	values := changedValues(d.stored / d.plain)
	return &openapi.MapDelta{Size: int64(d.plain), Stored: int64(math.Round(d.stored))}, &values
}

func layerOf(y *layers.Layer, whole *drawn, parts []drawn) openapi.MapLayer {
	l := openapi.MapLayer{
		Name: y.Name, Kind: string(y.Kind), Tensors: y.Tensors, MapShare: whole.MapShare, Parts: make([]openapi.MapPart, len(parts)),
	}
	if y.Kind == layers.Numbered {
		l.Index = &y.Index
	}
	l.Delta, l.Values = whole.delta()
	for i := range parts {
		p := &y.Parts[i]
		l.Parts[i] = openapi.MapPart{Name: p.Name, DType: p.DType, Shape: p.Shape, Tensors: p.Tensors, MapShare: parts[i].MapShare}
		l.Parts[i].Delta, l.Parts[i].Values = parts[i].delta()
	}
	return l
}

// deltaSizes is how much of their plain bytes deltas of bfloat16 weights take, and which
// part of the numbers differs then, as docs/benchmarks.md has it measured.
var deltaSizes = []struct{ stored, values float64 }{{0, 0}, {0.0069, 0.01}, {0.0259, 0.05}, {0.0813, 0.2}, {0.1457, 0.4}, {0.255, 0.7}, {0.36, 1}}

// changedValues reckons about which part of the numbers differs from how much their
// delta takes.
func changedValues(stored float64) float64 {
	for i, to := range deltaSizes {
		if i > 0 && stored <= to.stored {
			from := deltaSizes[i-1]
			v := from.values + (to.values-from.values)*(stored-from.stored)/(to.stored-from.stored)
			return math.Round(v*1000) / 1000
		}
	}
	return 1
}

// sourcesOf finds the versions that one is compared with.
func (s *Service) sourcesOf(ctx context.Context, p access.Principal, repo name.Repo, d chunker.Digest, b *body, against []name.Ref) ([]related, error) {
	var sources []related
	for _, ref := range against {
		other, digest, err := s.resolveBody(ctx, p, ref)
		if err != nil {
			return nil, err
		}
		same := func(r related) bool { return r.repo == ref.Repo && r.digest == digest }
		if !slices.ContainsFunc(sources, same) {
			sources = append(sources, related{ref.Repo, digest, openapi.WhyAsked, b.within(other)})
		}
	}
	if len(sources) > 0 {
		return sources, nil
	}
	return s.kinOf(ctx, p, repo, d, b)
}
