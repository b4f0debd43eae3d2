package integration_test

import (
	"path/filepath"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/synth"
)

// diff is the part of "ingot diff --json" that the tests look at.
type diff struct {
	Tensors struct {
		Added   []diffTensor `json:"added"`
		Changed []diffTensor `json:"changed"`
	} `json:"tensors"`
}

type diffTensor struct {
	Name  string `json:"name"`
	Bytes int64  `json:"bytes"`
}

// changedBytes returns the plain bytes of the tensors of b that a has not.
func (r *registry) changedBytes(a, b string) (total int64, largest int) {
	r.t.Helper()
	var d diff
	r.json(&d, "diff", a, b)
	for _, list := range [][]diffTensor{d.Tensors.Added, d.Tensors.Changed} {
		for _, t := range list {
			total += t.Bytes
			if t.Bytes >= chunker.OwnSize {
				largest++
			}
		}
	}
	return total, largest
}

// atMost fails the test when got is more than share of whole and some bytes.
func atMost(t *testing.T, what string, got int64, share float64, whole, some int64) {
	t.Helper()
	limit := int64(share*float64(whole)) + some
	t.Logf("%s: %d bytes of %d (%.4f), at most %d allowed", what, got, whole, float64(got)/float64(max(whole, 1)), limit)
	if got > limit {
		t.Errorf("%s: %d bytes, at most %d allowed", what, got, limit)
	}
}

// family is a model and its variants, as folders.
type family struct {
	base, layer, head, vocab, reshard, finetune string
}

// TestRealModels pushes and pulls real weights and the variants that the
// safetensors library made of them.
func TestRealModels(t *testing.T) {
	t.Parallel()
	python(t)
	r := serve(t)
	f := family{
		base:     weights(t, "minilm-bf16"),
		layer:    weights(t, "minilm-bf16-layer"),
		head:     weights(t, "minilm-bf16-head"),
		vocab:    weights(t, "minilm-bf16-vocab"),
		reshard:  weights(t, "minilm-bf16-reshard"),
		finetune: weights(t, "minilm-bf16-finetune"),
	}
	r.testFamily(f, "real/minilm", 0.72)
	r = servePlain(t)
	for _, other := range []struct {
		name  string
		share float64
	}{{"minilm", 0.86}, {"minilm-fp16", 0.87}} {
		ref := "real/" + other.name + "-first"
		got := r.push(weights(t, other.name), ref)
		atMost(t, other.name, got.BytesStored, other.share, got.BytesTotal, 0)
		_, dir := r.pull(ref, weights(t, other.name))
		checkTensors(t, dir, weights(t, other.name))
	}
}

// twelve is a model of 12 layers, 26 MiB.
var twelve = synth.Spec{Layers: 12, Hidden: 256, KV: 128, FF: 768, Vocab: 3072, DType: chunker.BF16, Seed: 1}

// TestSyntheticFamily holds the same figures on weights whose entropy is known.
// With INGOT_LARGE the model has 96 MiB.
func TestSyntheticFamily(t *testing.T) {
	t.Parallel()
	python(t)
	r := servePlain(t)
	spec := twelve
	if large() {
		spec = synth.ForSize(96 << 20)
	}
	dir := t.TempDir()
	write := func(name string, changes ...synth.Change) string {
		path := filepath.Join(dir, name)
		if err := synth.Write(t.Context(), path, spec, changes...); err != nil {
			t.Fatal(err)
		}
		return path
	}
	r.testFamily(family{
		base:     write("base"),
		layer:    write("layer", synth.ChangeLayers(2, spec.Layers/2)),
		head:     write("head", synth.ReplaceHead(2)),
		vocab:    write("vocab", synth.ExtendVocab(16)),
		reshard:  write("reshard", synth.Reshard(3)),
		finetune: write("finetune", synth.Finetune(2, 0.5)),
	}, "synthetic/model", 0.68)
	for _, other := range []struct {
		dtype chunker.DType
		share float64
	}{{chunker.F16, 0.87}, {chunker.F32, 0.86}} {
		spec := synth.ForSize(8 << 20)
		spec.DType = other.dtype
		path := filepath.Join(dir, other.dtype.String())
		if err := synth.Write(t.Context(), path, spec); err != nil {
			t.Fatal(err)
		}
		ref := "synthetic/" + other.dtype.String()
		got := r.push(path, ref)
		atMost(t, ref, got.BytesStored, other.share, got.BytesTotal, 0)
		r.pull(ref, path)
	}
}

// testFamily pushes every member of f to repo, pulls it back, and holds the bytes
// stored and moved to the figures that ingot promises.
func (r *registry) testFamily(f family, repo string, share float64) {
	r.t.Helper()
	base := repo + ":base"
	first := r.push(f.base, base)
	atMost(r.t, "base stored", first.BytesStored, share, first.BytesTotal, 0)
	bundled := first.BytesStored - first.BytesSent // what bundles add to the chunks in them
	if bundled < 0 || bundled > 64*int64(first.ChunksNew) || first.ChunksNew != first.ChunksTotal {
		r.t.Errorf("first push sent %d bytes and stored %d, of %d chunks %d were new", first.BytesSent, first.BytesStored, first.ChunksTotal, first.ChunksNew)
	}
	if again := r.push(f.base, base); again.BytesSent != 0 || again.BytesStored != 0 || again.ChunksNew != 0 || again.Digest != first.Digest {
		r.t.Errorf("second push of the same model: %+v", again)
	}
	r.testPull(base, f.base, first)

	for _, v := range []struct{ name, dir string }{{"layer", f.layer}, {"head", f.head}, {"finetune", f.finetune}} {
		got := r.push(v.dir, repo+":"+v.name, "--base", base)
		changed, _ := r.changedBytes(base, repo+":"+v.name)
		atMost(r.t, v.name+" stored", got.BytesStored, 0.70, changed, 64<<10)
		r.testVariantPull(repo+":"+v.name, v.dir, got)
	}

	got := r.push(f.vocab, repo+":vocab", "--base", base)
	_, resized := r.changedBytes(base, repo+":vocab")
	// The tensors' own new chunks, then header, config.json and tokenizer.json.
	if most := 2*resized + 4; resized == 0 || got.ChunksNew > most {
		r.t.Errorf("vocabulary of 16 more rows: %d new chunks for %d tensors, at most %d allowed", got.ChunksNew, resized, most)
	}
	r.testVariantPull(repo+":vocab", f.vocab, got)

	got = r.push(f.reshard, repo+":reshard", "--base", base)
	atMost(r.t, "reshard stored", got.BytesStored, 0.004, got.BytesTotal, 0)
	_, dir := r.testVariantPull(repo+":reshard", f.reshard, got)
	checkTensors(r.t, dir, f.base)
}

// testPull pulls the first version, with nothing to reuse.
func (r *registry) testPull(ref, original string, pushed receipt) {
	r.t.Helper()
	got, dir := r.pull(ref, original, "--no-cache")
	if got.BytesReused != 0 || got.BytesReceived != pushed.BytesSent {
		r.t.Errorf("pull of %s: reused %d bytes, received %d of the %d that were sent", ref, got.BytesReused, got.BytesReceived, pushed.BytesSent)
	}
	checkTensors(r.t, dir, original)
	r.pull(ref, original) // fills the cache
}

// testVariantPull pulls a version beside the first one, which is in the cache.
func (r *registry) testVariantPull(ref, original string, pushed receipt) (receipt, string) {
	r.t.Helper()
	got, dir := r.pull(ref, original)
	if got.BytesReceived > pushed.BytesStored {
		r.t.Errorf("pull of %s beside its base: received %d bytes, only %d are new", ref, got.BytesReceived, pushed.BytesStored)
	}
	if got.ChunksTotal > pushed.ChunksNew && got.BytesReused == 0 {
		r.t.Errorf("pull of %s beside its base reused nothing", ref)
	}
	checkTensors(r.t, dir, original)
	return got, dir
}
