package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// demoModel is a model of a demonstration, and what became of it. Its JSON is a
// contract.
type demoModel struct {
	Name  string         `json:"name"` // also its tag
	Push  client.Receipt `json:"push"`
	Pull  client.Receipt `json:"pull"`
	Equal int            `json:"files_equal"`

	Load   openapi.LoadReceipt `json:"load"`
	Leased int                 `json:"files_leased"` // equal in memory

	path string            // of the user's model; empty for one that is made
	spec synth.Spec        // of one that is made
	make []synth.Change    // what makes it a variant
	sums map[string]string // sha256 of every file, as it was pushed
}

// demoModels lists the models of a demonstration, the base first.
func demoModels(f demoFlags) ([]*demoModel, error) {
	if f.base == "" {
		return syntheticModels(int64(f.size)), nil
	}
	models := []*demoModel{{Name: "base", path: f.base}}
	used := map[string]bool{"base": true}
	for i, path := range f.variants {
		tag := variantName(f.base, path)
		if used[tag] || name.CheckTag(tag) != nil {
			tag = fmt.Sprintf("variant-%d", i+1)
		}
		used[tag] = true
		models = append(models, &demoModel{Name: tag, path: path})
	}
	return models, nil
}

// variantName names a variant by its folder, without the base's name before it:
// "minilm-layer" beside "minilm" is "layer".
func variantName(base, path string) string {
	base, tag := filepath.Base(base), filepath.Base(path)
	return strings.TrimLeft(strings.TrimPrefix(tag, base), "-_. ")
}

// syntheticModels describes a model and what people make of one.
func syntheticModels(bytes int64) []*demoModel {
	spec := synth.ForSize(bytes)
	const seed, share = 2, 0.3
	return []*demoModel{
		{Name: "base", spec: spec},
		{Name: "one-layer", spec: spec, make: []synth.Change{synth.ChangeLayers(seed, spec.Layers/2)}},
		{Name: "new-head", spec: spec, make: []synth.Change{synth.ReplaceHead(seed)}},
		{Name: "vocab-16", spec: spec, make: []synth.Change{synth.ExtendVocab(16)}},
		{Name: "resharded", spec: spec, make: []synth.Change{synth.Reshard(4)}},
		{Name: "fine-tuned", spec: spec, make: []synth.Change{synth.Finetune(seed, share)}},
	}
}

// files returns the folder of the model below dir, making it if it is synthetic.
func (m *demoModel) files(ctx context.Context, p *program, dir string) (path string, err error) {
	if m.path != "" {
		return m.path, nil
	}
	return dir, p.watch("making "+m.Name, func(client.Progress) error {
		return synth.Write(ctx, dir, m.spec, m.make...)
	})
}

// compare compares the sums of the files that came back with those of the files
// that were pushed, and returns how many are equal.
func (m *demoModel) compare(got map[string]string) (equal int, err error) {
	for path, sum := range got {
		if m.sums[path] != sum {
			return equal, fmt.Errorf("%s is not as it was pushed: %w", path, client.ErrCorrupt)
		}
		equal++
	}
	if equal != len(m.sums) {
		return equal, fmt.Errorf("%d of %d files came back: %w", equal, len(m.sums), client.ErrCorrupt)
	}
	return equal, nil
}
