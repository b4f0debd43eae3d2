package page_test

import (
	"encoding/binary"
	"encoding/json"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/integration/page/chromiumtest"
	"github.com/ingot-ml/ingot/openapi"
)

// mostPicture is what a picture of the documentation may take.
const mostPicture = 150 << 10

// TestPictures takes the pictures of the documentation, of a registry with models whose
// versions differ as those of people do. It runs only when "make screenshots" says where
// they go.
func TestPictures(t *testing.T) {
	into := os.Getenv("INGOT_SCREENSHOTS")
	if into == "" {
		t.Skip("takes pictures only for make screenshots")
	}
	browser := browse(t)
	w := newWorld(t)
	seen := furnish(w)
	p := browser.Page(t)
	for _, picture := range []struct {
		name, path, theme string
		width, height     int
		before            func()
	}{
		{name: "page-map", path: "ui/acme/llama/chat", theme: "dark", width: 1200, height: 1000},
		{name: "page-map-light", path: "ui/acme/llama/chat", theme: "light", width: 1200, height: 1000},
		{name: "page-home", path: "", theme: "light", width: 1200, height: 760},
		{name: "page-model", path: "ui/acme/run", theme: "dark", width: 1200, height: 900},
		{name: "page-diff", path: "ui/-/diff?a=acme/llama:base&b=acme/llama:chat", theme: "light", width: 1200, height: 760},
		{name: "page-storage", path: "ui/-/storage", theme: "dark", width: 1200, height: 860},
		{name: "page-nodes", path: "ui/-/nodes", theme: "dark", width: 1200, height: 760, before: func() { swap(w, p, seen) }},
		{name: "page-narrow", path: "ui/acme/llama/chat", theme: "dark", width: 390, height: 844, before: func() {
			p.Eval(`document.querySelector(".map-section").scrollIntoView()`, nil)
		}},
	} {
		p.Theme(picture.theme)
		p.Size(picture.width, picture.height)
		p.Open(w.url + "/" + picture.path)
		p.Wait(`!document.querySelector(".home") || document.querySelector(".savings")`)
		if strings.HasPrefix(picture.name, "page-map") {
			p.Eval(`document.querySelector(".map svg").focus()`, nil)
			p.Press("Home")
			for range 24 {
				p.Press("ArrowRight")
			}
			p.Press("ArrowDown", "ArrowDown", "ArrowDown", "ArrowDown")
			p.Eval(`scrollTo(0, 0)`, nil)
		}
		if picture.before != nil {
			picture.before()
		}
		p.Eval(`document.fonts.ready.then(() => new Promise((done) => setTimeout(done, 2500)))`, nil) // what moves has come to rest
		b := fewColours(t, p.Picture())
		if len(b) > mostPicture {
			t.Errorf("%s takes %d bytes, want at most %d", picture.name, len(b), mostPicture)
		}
		if err := os.WriteFile(filepath.Join(into, picture.name+".png"), b, 0o644); err != nil {
			t.Fatal(err)
		}
		clean(t, p, picture.name)
	}
}

// scene is what the pictures show: some versions of what furnish has pushed.
type scene struct{ base, chat, code, bge chunker.Digest }

// furnish fills a registry.
func furnish(w *world) (made scene) {
	s := synth.Spec{Layers: 28, Hidden: 512, KV: 256, FF: 1408, Vocab: 16000, DType: chunker.BF16, Seed: 7}
	dir := w.t.TempDir()
	if err := synth.Write(w.t.Context(), dir, s); err != nil {
		w.t.Fatal(err)
	}
	made.base = w.push(dir, "acme/llama:base", chunker.Digest{}, map[string]string{"license": "apache-2.0"})
	code := changed(w.t, dir, func(_ string, layer int) float64 {
		if layer >= 8 && layer < 13 {
			return 0.9
		}
		return 0
	})
	made.code = w.push(code, "acme/llama-code:main", made.base, nil)
	// What is called chat has the middle of the one before, another top, and light work elsewhere.
	made.chat = w.push(changed(w.t, code, func(tensor string, layer int) float64 {
		attention := strings.Contains(tensor, "q_proj") || strings.Contains(tensor, "v_proj")
		switch {
		case strings.Contains(tensor, "norm"):
			return 0
		case strings.Contains(tensor, "lm_head"):
			return 0.6
		case layer >= 20 && strings.Contains(tensor, "mlp"):
			return 0.0008 * math.Pow(2.1, float64(layer-18))
		case layer >= 14 && attention:
			return 0.01
		}
		return 0
	}), "acme/llama:chat", made.base, nil)
	var other chunker.Digest // of a branch that somebody tries, and leaves
	w.train("acme/run", synth.Spec{Layers: 12, Hidden: 256, KV: 128, FF: 768, Vocab: 4000, DType: chunker.BF16, Seed: 3}, 24, 0.03,
		func(i int, dir string, step chunker.Digest) {
			if i == 15 {
				other = step
			}
			if i >= 16 && i < 20 {
				nudge := func(string, int) float64 { return 0.03 }
				other = w.push(changed(w.t, dir, nudge), "acme/run:hot", other, facts(i, 1.5+1.8/float64(i+1)))
			}
		})
	for i, repo := range []string{"research/gpt-nano", "research/moe-small", "vision/clip", "speech/whisper", "public/minilm", "public/bge"} {
		s := synth.ForSize(int64(6+5*i) << 20)
		s.Seed = uint64(i + 20)
		first := w.make(repo+":main", chunker.Digest{}, s)
		for j := range i % 3 {
			first = w.make(repo+":v"+strconv.Itoa(j+2), first, s, synth.Finetune(uint64(i+j), 0.2))
		}
		made.bge = first
	}
	return made
}

// swap has a node change what it holds while the page looks.
func swap(w *world, p *chromiumtest.Page, of scene) {
	held := func(chat chunker.Digest, tier openapi.Tier) []openapi.NodeResident {
		return []openapi.NodeResident{
			{Ref: "acme/llama:chat", Version: chat, Tier: openapi.TierGPU, Leases: 2},
			{Ref: "acme/llama-code:main", Version: of.code, Tier: tier},
			{Ref: "public/bge:main", Version: of.bge, Tier: openapi.TierDisk},
		}
	}
	for i, name := range []string{"gpu-01", "gpu-02", "gpu-03"} {
		r := node(held(of.base, openapi.TierRAM)...)
		r.Address = name + ":7071"
		r.Tiers.Disk.Used += int64(i) * 120 << 30
		r.Tiers.RAM.Used -= int64(i) * 22 << 30
		r.Tiers.GPU.Used -= int64(i) * 9 << 30
		w.report(name, r)
	}
	p.Wait(`document.querySelectorAll(".node").length === 3`)
	w.report("gpu-01", node(held(of.chat, openapi.TierRAM)...))
	p.Wait(`document.querySelector(".news .swap")`)
	w.report("gpu-01", node(held(of.chat, openapi.TierGPU)...))
	p.Wait(`document.querySelector(".news .move")`)
}

var layerOf = regexp.MustCompile(`layers\.(\d+)\.`)

// changed copies a model, and moves a share of the numbers of every tensor by their
// lowest bits.
func changed(t *testing.T, from string, share func(tensor string, layer int) float64) (dir string) {
	t.Helper()
	dir = t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(from)); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "model.safetensors")
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	start := 8 + int(binary.LittleEndian.Uint64(b))
	var header map[string]struct {
		Offsets []int `json:"data_offsets"`
	}
	if err := json.Unmarshal(b[8:start], &header); err != nil {
		t.Fatal(err)
	}
	for name, tensor := range header {
		if len(tensor.Offsets) != 2 {
			continue // __metadata__
		}
		layer := -1
		if m := layerOf.FindStringSubmatch(name); m != nil {
			if layer, err = strconv.Atoi(m[1]); err != nil {
				t.Fatal(err)
			}
		}
		of := share(name, layer)
		data := b[start+tensor.Offsets[0] : start+tensor.Offsets[1]]
		random := rand.New(rand.NewPCG(1, uint64(len(name)+layer)))
		for i := 0; i+1 < len(data) && of > 0; i += 2 {
			if random.Float64() < of {
				data[i] ^= byte(1 + random.IntN(3))
			}
		}
	}
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}
