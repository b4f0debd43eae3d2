package versions_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// layered makes a version of one file with a tensor for each layer, each a chunk of its
// own, and a header before them.
func layered(t *testing.T, parent chunker.Digest, header []byte, weights ...[]byte) *version {
	t.Helper()
	v := &version{chunks: map[chunker.Digest][]byte{}}
	f := manifest.File{Path: "model.safetensors", Format: "safetensors", Size: uint64(len(header))}
	var refs []chunker.Ref
	add := func(plain []byte) {
		d := chunker.Sum(plain)
		v.chunks[d] = codec.Append(nil, plain, chunker.Opaque)
		v.order = append(v.order, d)
		refs = append(refs, chunker.Ref{Digest: d, Size: uint32(len(plain))})
	}
	add(header)
	for i, plain := range weights {
		f.Tensors = append(f.Tensors, manifest.Tensor{
			Name: fmt.Sprintf("model.layers.%d.w", i), DType: "U8", Shape: []uint64{uint64(len(plain))}, Offset: f.Size, Length: uint64(len(plain)),
		})
		f.Size += uint64(len(plain))
		add(plain)
	}
	b := manifest.NewBuilder()
	b.Add(f, refs)
	m, err := b.Build(parent, nil)
	if err != nil {
		t.Fatal(err)
	}
	if v.doc, err = m.Encode(); err != nil {
		t.Fatal(err)
	}
	v.digest = manifest.Name(v.doc)
	return v
}

func (w *world) layerMap(repo name.Repo, v *version, against ...name.Ref) openapi.LayerMap {
	w.t.Helper()
	m, err := w.LayerMap(w.t.Context(), alice, repo, v.digest, against)
	if err != nil {
		w.t.Fatal(err)
	}
	for _, l := range m.Layers {
		w.checkShare(l.Name, l.MapShare, len(m.Sources))
		for _, p := range l.Parts {
			w.checkShare(l.Name+" "+p.Name, p.MapShare, len(m.Sources))
		}
	}
	return m
}

// checkShare fails unless every byte is counted once.
func (w *world) checkShare(what string, s openapi.MapShare, sources int) {
	w.t.Helper()
	sum := s.Changed + s.New
	for _, n := range s.Shared {
		sum += n
	}
	if sum != s.Size || s.Shared != nil && len(s.Shared) != sources {
		w.t.Errorf("%s: %+v", what, s)
	}
}

// TestLayerMap compares a version with its parent and with another model, of which it
// has a layer each.
func TestLayerMap(t *testing.T) {
	w := newWorld(t)
	parent := layered(t, chunker.Digest{}, small(1), large(10), large(11), large(12))
	donor := layered(t, chunker.Digest{}, small(2), large(20), large(21))
	child := layered(t, parent.digest, small(3), large(10), large(21), large(32), small(33))
	w.push(alice, model, parent, "base")
	w.push(alice, other, donor, "main")
	w.push(alice, model, child, "main")

	m := w.layerMap(model, child)
	n := int64(len(large(1)))
	if m.Repo != "acme/model" || m.Digest != child.digest || m.Tensors != 4 || m.Size != 3*n+2000 || m.More != 0 {
		t.Errorf("map of %+v", m)
	}
	want := []openapi.MapSource{
		{Ref: "acme/model@" + parent.digest.String(), Repo: "acme/model", Digest: parent.digest, Tags: []string{"base"}, Why: openapi.WhyParent, Shared: n},
		{Ref: "acme/other@" + donor.digest.String(), Repo: "acme/other", Digest: donor.digest, Tags: []string{"main"}, Why: openapi.WhyKin, Shared: n},
	}
	if !reflect.DeepEqual(m.Sources, want) {
		t.Fatalf("sources %+v, want %+v", m.Sources, want)
	}
	shares := []openapi.MapShare{
		{Size: n, Shared: []int64{n, 0}}, {Size: n, Shared: []int64{0, n}}, {Size: n, Changed: n}, {Size: 1000, New: 1000}, {Size: 1000, Changed: 1000},
	}
	for i, l := range m.Layers {
		if !reflect.DeepEqual(l.MapShare, shares[i]) {
			t.Errorf("layer %s: %+v, want %+v", l.Name, l.MapShare, shares[i])
		}
	}
	l := m.Layers[1]
	if l.Name != "model.layers.1" || l.Kind != "layer" || *l.Index != 1 || len(l.Parts) != 1 || l.Parts[0].Name != "w" || l.Parts[0].DType != "U8" ||
		!slices.Equal(l.Parts[0].Shape, []uint64{uint64(n)}) || l.Delta != nil || l.Values != nil {
		t.Errorf("layer %+v", l)
	}
	if f := m.Layers[4]; f.Kind != "file" || f.Name != "model.safetensors" || f.Index != nil || f.Tensors != 0 || f.Parts == nil {
		t.Errorf("file %+v", f)
	}
	// Only what is asked for counts then.
	asked := w.layerMap(model, child, name.Ref{Repo: other, Tag: "main"}, name.Ref{Repo: other, Digest: donor.digest})
	if len(asked.Sources) != 1 || asked.Sources[0].Why != openapi.WhyAsked || asked.Layers[0].Changed != n || asked.Layers[1].Shared[0] != n {
		t.Errorf("beside one that was asked for: %+v", asked)
	}
}

// TestLayerMapKin has no parent: what was pushed before is shown, even if only its
// tensors are called alike, and nothing where there is nothing.
func TestLayerMapKin(t *testing.T) {
	w := newWorld(t)
	first := layered(t, chunker.Digest{}, small(1), large(1))
	w.push(alice, model, first, "a")
	if m := w.layerMap(model, first); len(m.Sources) != 0 || m.Sources == nil || m.Layers[0].New != m.Layers[0].Size {
		t.Errorf("alone: %+v", m)
	}
	w.now = w.now.Add(1e9)
	second := layered(t, chunker.Digest{}, small(2), large(2))
	w.push(alice, model, second, "b")
	m := w.layerMap(model, second)
	if len(m.Sources) != 1 || m.Sources[0].Why != openapi.WhyBefore || m.Sources[0].Digest != first.digest || m.Layers[0].Changed != m.Layers[0].Size {
		t.Errorf("beside the one before: %+v", m)
	}
}

// TestLayerMapForeignParent finds a parent in another namespace, where it is the newest.
func TestLayerMapForeignParent(t *testing.T) {
	w := newWorld(t)
	base := layered(t, chunker.Digest{}, small(1), large(1))
	tuned := layered(t, base.digest, small(1), large(2))
	w.push(bob, name.Repo{Namespace: "beta", Name: "base"}, base, "main")
	id := w.start(alice, model)
	w.upload(alice, id, tuned, tuned.order)
	if _, err := w.CommitOrphan(t.Context(), alice, id, tuned.doc, "main", ""); err != nil {
		t.Fatal(err)
	}
	m := w.layerMap(model, tuned)
	if len(m.Sources) != 1 || m.Sources[0].Why != openapi.WhyParent || m.Sources[0].Repo != "beta/base" || m.Layers[0].Changed != m.Layers[0].Size {
		t.Errorf("beside its parent elsewhere: %+v", m)
	}
}

// TestLayerMapHidesOthers compares only with what the caller may read.
func TestLayerMapHidesOthers(t *testing.T) {
	w := newWorld(t)
	w.config.Policy = owners{alice.Subject: "acme", bob.Subject: "beta"}
	w.restart()
	foreign := name.Repo{Namespace: "beta", Name: "secret"}
	theirs := layered(t, chunker.Digest{}, small(1), large(1))
	mine := layered(t, theirs.digest, small(1), large(1), large(2))
	w.push(bob, foreign, theirs, "main")
	id := w.start(alice, model)
	w.upload(alice, id, mine, mine.order)
	if _, err := w.CommitOrphan(t.Context(), alice, id, mine.doc, "main", ""); err != nil {
		t.Fatal(err)
	}
	if m := w.layerMap(model, mine); len(m.Sources) != 0 {
		t.Errorf("alice is told of %+v", m.Sources)
	}
	for _, ref := range []name.Ref{{Repo: foreign, Tag: "main"}, {Repo: foreign, Tag: "nothing"}, {Repo: foreign, Digest: theirs.digest}} {
		_, err := w.LayerMap(t.Context(), alice, model, mine.digest, []name.Ref{ref})
		wants(t, ref.String(), err, openapi.CodeNotFound)
	}
	_, err := w.LayerMap(t.Context(), alice, foreign, theirs.digest, nil)
	wants(t, "of what is another's", err, openapi.CodeNotFound)
	_, err = w.LayerMap(t.Context(), alice, model, mine.digest, make([]name.Ref, openapi.MaxAgainst+1))
	wants(t, "too many", err, openapi.CodeBadRequest)
}

// TestLayerMapValues reckons from a stored delta how much has changed.
func TestLayerMapValues(t *testing.T) {
	w := newWorld(t)
	plain := large(1)
	base := layered(t, chunker.Digest{}, small(1), plain)
	w.push(alice, model, base, "main")
	changed := slices.Clone(plain)
	for i := 0; i < len(changed); i += 100 {
		changed[i] += 3
	}
	next := layered(t, base.digest, small(1), changed)
	id := w.start(alice, model)
	delta, ok := codec.AppendDelta(nil, changed, plain, chunker.Sum(plain), chunker.U8, len(changed))
	if !ok {
		t.Fatal("there is no delta")
	}
	source := versions.Source{Repo: model.String(), Version: base.digest}
	if _, err := w.PutDelta(t.Context(), alice, id, chunker.Sum(changed), delta, source); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(t.Context(), alice, id, next.doc, "main", ""); err != nil {
		t.Fatal(err)
	}
	l := w.layerMap(model, next).Layers[0]
	if l.Changed != int64(len(plain)) || l.Delta == nil || l.Delta.Size != l.Changed || l.Delta.Stored < 1000 || l.Delta.Stored > l.Changed/10 ||
		l.Values == nil || *l.Values <= 0 || *l.Values > 0.2 || !reflect.DeepEqual(l.Parts[0].Delta, l.Delta) {
		t.Errorf("layer %+v, delta %+v", l, l.Delta)
	}
	sum := w.summary(alice, versions.SummaryFilter{Limit: 1})
	if checkWeighed(t, sum.Weighed); sum.Weighed.Saved.Delta != l.Changed-l.Delta.Stored {
		t.Errorf("weighed %+v, want %d saved by the delta", sum.Weighed, l.Changed-l.Delta.Stored)
	}
	// Without the version that has it whole, the base is kept for the delta only.
	if err := w.Delete(t.Context(), alice, model, base.digest); err != nil {
		t.Fatal(err)
	}
	sum = w.summary(alice, versions.SummaryFilter{Limit: 1})
	if checkWeighed(t, sum.Weighed); sum.Weighed.Saved.Delta >= 0 {
		t.Errorf("a delta and its base, which nothing else needs: %+v", sum.Weighed)
	}
}
