package integration_test

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/registry/manifest"
)

// The models that go onto GPUs. All of gpu/model have one layout of three slabs, of
// four layers, four, and one.
const (
	modelA = "gpu/model:a"
	modelB = "gpu/model:b" // another layer 4, in the second slab
	modelC = "gpu/model:c" // other layers 0 and 8, in the first and the third
	modelD = "gpu/model:d" // another layer 5, in the second slab
	modelE = "gpu/model:e" // layers 0 and 4 have changed places
	other  = "gpu/other:a" // another model, one slab of three layers
	tinyA  = "gpu/tiny:a"  // two layers of 1 MiB, one slab
	tinyB  = "gpu/tiny:b"  // another second layer
	tinyO  = "gpu/small:a" // another model of that size
	tinyP  = "gpu/small:b" // another third layer
)

// gpuModels is what the registry of these tests has.
var gpuModels = map[string]blocks{
	modelA: base9(),
	modelB: base9().with(100, 4),
	modelC: base9().with(200, 0, 8),
	modelD: base9().with(300, 5),
	modelE: {layers: []uint64{5, 2, 3, 4, 1, 6, 7, 8, 9}},
	other:  {layers: []uint64{31, 32, 33}},
	tinyA:  {layers: []uint64{41, 42}, size: 1 << 20},
	tinyB:  {layers: []uint64{41, 43}, size: 1 << 20},
	tinyO:  {layers: []uint64{51, 52, 53}, size: 1 << 20},
	tinyP:  {layers: []uint64{51, 52, 54}, size: 1 << 20},
}

// gpuFamily is a registry's folder with these models, made once.
var gpuFamily struct {
	sync.Mutex
	dir       string // of all that follows
	data      string
	known     string            // what versions hold, for holders
	versions  map[string]string // by reference
	manifests map[string]*manifest.Manifest
}

// TestMain removes at the end what the tests share.
func TestMain(m *testing.M) {
	code := m.Run()
	if gpuFamily.dir != "" {
		_ = os.RemoveAll(gpuFamily.dir) // it is among the system's temporary files
	}
	os.Exit(code)
}

// serveGPU starts a registry that has the models for GPUs.
func serveGPU(t *testing.T) *registry {
	t.Helper()
	f := &gpuFamily
	f.Lock()
	defer f.Unlock()
	if f.data == "" {
		makeGPUFamily(t)
	}
	r := &registry{t: t, data: filepath.Join(t.TempDir(), "data"), addr: freeAddress(t), home: t.TempDir(), plain: true}
	if out, err := exec.Command("cp", "-a", f.data, r.data).CombinedOutput(); err != nil {
		t.Fatalf("copy the registry: %v\n%s", err, out)
	}
	r.start()
	t.Cleanup(r.kill)
	return r
}

// makeGPUFamily fills gpuFamily, which is locked.
func makeGPUFamily(t *testing.T) {
	t.Helper()
	f := &gpuFamily
	dir, err := os.MkdirTemp("", "ingot-gpu-family")
	known := filepath.Join(dir, "known")
	if err == nil {
		f.dir = dir
		err = os.Mkdir(known, 0o777)
	}
	if err != nil {
		t.Fatal(err)
	}
	r := &registry{t: t, data: filepath.Join(dir, "data"), addr: freeAddress(t), home: t.TempDir(), plain: true}
	r.start()
	defer r.kill()
	f.versions, f.manifests = map[string]string{}, map[string]*manifest.Manifest{}
	for _, ref := range slices.Sorted(maps.Keys(gpuModels)) {
		model := gpuModels[ref].write(t)
		pushed := r.push(model, ref)
		remember(t, known, pushed.Digest, sumsOf(t, model))
		f.versions[ref], f.manifests[ref] = pushed.Digest, r.manifest(ref)
		_ = os.RemoveAll(model) // it is in the test's own folder
	}
	f.data, f.known = r.data, known
}

// versionOf is what a reference of the models for GPUs names.
func versionOf(ref string) string { return gpuFamily.versions[ref] }

// differ counts the bytes of tensors of a version that another has not, as chunks
// tell it, and all.
func differ(ref, other string) (differ, total int64) {
	m := gpuFamily.manifests
	if m[ref] == nil {
		panic(fmt.Sprintf("no model %s", ref))
	}
	return tensorBytes(m[ref], m[other])
}
