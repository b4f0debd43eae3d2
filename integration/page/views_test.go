package page_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/integration/page/chromiumtest"
	"github.com/ingot-ml/ingot/openapi"
)

// clean fails a test on whose page anything went wrong.
func clean(t *testing.T, p *chromiumtest.Page, where string) {
	t.Helper()
	for _, problem := range p.Problems() {
		t.Errorf("%s: %s", where, problem)
	}
	var unnamed []string
	p.Eval(`[...document.querySelectorAll("a, button, input, select, svg[role=img], [role=tab]")]
		.filter((e) => !e.hidden && !(e.textContent.trim() || e.getAttribute("aria-label") || e.title || e.querySelector("img[alt]")))
		.map((e) => e.outerHTML.slice(0, 120))`, &unnamed)
	for _, e := range unnamed {
		t.Errorf("%s: a thing without a name: %s", where, e)
	}
}

// has fails a test whose page does not show all the texts.
func has(t *testing.T, p *chromiumtest.Page, texts ...string) {
	t.Helper()
	shown := strings.Join(strings.Fields(p.Text("document.body.textContent")), " ")
	for _, text := range texts {
		if !strings.Contains(shown, text) {
			t.Errorf("%s does not show %q: %.1200s", p.Text("location.pathname"), text, shown)
		}
	}
}

// TestViews clicks through every view of the page, from the list of models on.
func TestViews(t *testing.T) {
	browser := browse(t)
	w := newWorld(t)
	steps := w.train("acme/run", small, 3, 0.02)
	base := w.make("acme/llama:base", chunker.Digest{}, small)
	tuned := w.make("acme/llama:tuned", base, small, synth.ChangeLayers(3, 2))
	w.report("gpu-01", node(openapi.NodeResident{Ref: "acme/llama:tuned", Version: base, Tier: openapi.TierGPU, Leases: 2}))
	p := browser.Page(t)

	p.Open(w.url + "/")
	p.Wait(`document.querySelector(".savings")`)
	has(t, p, "acme/llama", "acme/run", "2 models", "shared between versions", "stored as differences")
	clean(t, p, "home")

	p.Click("input[type=search]")
	p.Type("run")
	p.Wait(`document.querySelectorAll(".models li").length === 1`)
	p.Click(".models a")
	p.Wait(`main.dataset.view === "model"`)
	has(t, p, "3 versions", "step 1000", "What each version added", "main")
	if n := p.Text(`document.querySelectorAll(".version .lines .dot").length`); n != "3" {
		t.Errorf("%s versions in the picture of the lineage, want 3", n)
	}
	p.Point(".chart .added")
	p.Wait(`document.querySelector(".version.lit")`)
	p.Click(".version:nth-child(1) input")
	p.Click(".version:nth-child(3) input")
	clean(t, p, "model")

	p.Click(".compare a")
	p.Wait(`main.dataset.view === "diff"`)
	has(t, p, "Tensors", "changed", "are not in acme/run@"+steps[0].String()[:10])
	clean(t, p, "diff")

	p.Open(w.url + "/ui/acme/llama/tuned")
	has(t, p, "is in base", "its parent", "30 tensors", "Shared with")
	changed := p.Text(`document.querySelectorAll(".map .band[class*=heat]").length`)
	same := p.Text(`document.querySelectorAll(".map .band.v0").length`)
	if changed == "0" || same == "0" {
		t.Errorf("the map of one changed layer has %s cells that changed and %s that did not", changed, same)
	}
	p.Click(".map svg")
	p.Press("ArrowRight", "ArrowDown")
	p.Wait(`document.querySelector(".detail .where b")`)
	p.Click(".keep")
	p.Wait(`document.querySelector(".keep").textContent === "Saved"`)
	clean(t, p, "map")
	for _, tab := range []struct{ panel, text string }{{"layers", "model.layers.2"}, {"files", "model.safetensors"}, {"stored", "stored alone"}} {
		p.Click("[data-panel=" + tab.panel + "][role=tab]")
		p.Wait(`document.querySelector(".panel").dataset.panel === "` + tab.panel + `"`)
		has(t, p, tab.text)
		clean(t, p, tab.panel)
	}
	p.Open(w.url + "/ui/acme/llama/" + tuned.String() + "/map?against=acme/run:main")
	has(t, p, "chosen")
	clean(t, p, "map beside another")

	p.Click("nav [data-view=storage]")
	p.Wait(`main.dataset.view === "storage"`)
	has(t, p, "Namespaces", "Largest models", "objects")
	clean(t, p, "storage")

	p.Click("nav [data-view=nodes]")
	p.Wait(`main.dataset.view === "nodes"`)
	has(t, p, "gpu-01", "2 leases", "65.5 GB of 85.9 GB")
	w.report("gpu-01", node(openapi.NodeResident{Ref: "acme/llama:tuned", Version: tuned, Tier: openapi.TierGPU, Leases: 2}))
	p.Wait(`document.querySelector(".news .swap")`)
	has(t, p, "gpu-01 swapped acme/llama:tuned from "+base.String()[:10])
	clean(t, p, "nodes")

	p.Open(w.url + "/ui/acme/none")
	has(t, p, "Not found")
	p.Problems() // the browser says that there is no such model, too
	p.Open(w.url + "/ui/-/signin")
	has(t, p, "Sign in")
	clean(t, p, "sign-in")
}

// TestKeys does without a mouse.
func TestKeys(t *testing.T) {
	browser := browse(t)
	w := newWorld(t)
	base := w.make("acme/one:main", chunker.Digest{}, tiny)
	w.make("acme/two:main", base, tiny)
	w.make("acme/three:main", base, tiny)
	p := browser.Page(t)
	p.Open(w.url + "/")
	p.Press("?")
	p.Wait(`document.querySelector("dialog[open]")`)
	p.Press("Escape")
	p.Wait(`!document.querySelector("dialog[open]")`)
	p.Press("/")
	p.Wait(`document.activeElement.type === "search"`)
	p.Type("two")
	p.Wait(`document.querySelectorAll(".models li").length === 1`)
	p.Press("Escape")
	p.Wait(`document.querySelectorAll(".models li").length === 3`)
	p.Press("Escape", "j", "j")
	p.Wait(`document.activeElement === document.querySelector(".models li:nth-child(2) a")`)
	p.Press("k", "Enter")
	p.Wait(`main.dataset.view === "model"`)
	p.Press("j", "Enter")
	p.Wait(`main.dataset.view === "version"`)
	p.Press("g", "s")
	p.Wait(`main.dataset.view === "storage"`)
	p.Press("g", "n")
	p.Wait(`main.dataset.view === "nodes"`)
	p.Press("t")
	p.Wait(`document.documentElement.dataset.theme`)
	p.Eval("history.back()", nil)
	p.Wait(`main.dataset.view === "storage"`)
	clean(t, p, "keys")
}

// TestNarrow looks at every view on a telephone, light and dark: nothing is wider than the screen.
func TestNarrow(t *testing.T) {
	browser := browse(t)
	w := newWorld(t)
	base := w.make("acme/a-model-with-a-name-that-is-longer-than-a-telephone-is-wide-so-that-it-has-to-break:main", chunker.Digest{}, tiny)
	w.report("gpu-01", node(openapi.NodeResident{Ref: "acme/llama:tuned", Version: base, Tier: openapi.TierGPU}))
	p := browser.Page(t)
	p.Size(375, 700)
	const model = "acme/a-model-with-a-name-that-is-longer-than-a-telephone-is-wide-so-that-it-has-to-break"
	for _, path := range []string{"", "ui/" + model, "ui/" + model + "/main", "ui/-/diff?a=" + model + "&b=" + model, "ui/-/storage", "ui/-/nodes", "ui/-/signin"} {
		for _, theme := range []string{"light", "dark"} {
			p.Theme(theme)
			p.Open(w.url + "/" + path)
			var wide []string
			p.Eval(`document.documentElement.scrollWidth <= 375 ? [] : [...document.querySelectorAll("body *")]
				.filter((e) => e.getBoundingClientRect().right > 376).slice(0, 4).map((e) => e.outerHTML.slice(0, 160))`, &wide)
			if len(wide) > 0 {
				t.Errorf("/%s is wider than the screen: %q", path, wide)
			}
			clean(t, p, path)
		}
	}
}

// TestThousandModels draws only some of a thousand models, and finds any.
func TestThousandModels(t *testing.T) {
	browser := browse(t)
	w := newWorld(t)
	w.front = func(rw http.ResponseWriter, q *http.Request) {
		if q.URL.Path != "/v1/summary" {
			return
		}
		var models []string
		for i := range 1000 {
			models = append(models, fmt.Sprintf(`{"name":"acme/model-%04d","versions":3,"tags":1,"latest":"%064x","latest_tags":["main"],
				"updated":"2026-01-02T03:04:05Z","by":"alice","bytes_latest":15728640,"bytes_total":188743680,"bytes_stored":10485760}`, i, i+1))
		}
		rw.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(rw, `{"models":[%s],"totals":{"models":1000,"namespaces":1,"versions":3000,"tags":1000,"bytes_total":1},
			"weighed":{"at":"2026-01-02T03:04:05Z","bytes_total":4000,"bytes_unique":2000,"bytes_stored":1000,"saved":{"dedup":2000,"compression":600,"delta":400}}}`,
			strings.Join(models, ","))
	}
	p := browser.Page(t)
	p.Open(w.url + "/")
	has(t, p, "1,000 models", "1.0 KB hold 4.0 KB", "4.0 × less")
	if n := p.Text(`document.querySelectorAll(".models li").length`); n != "200" {
		t.Errorf("%s models are drawn, want 200", n)
	}
	p.Click("input[type=search]")
	p.Type("0777")
	p.Wait(`document.querySelectorAll(".models li").length === 1`)
	has(t, p, "acme/model-0777", "1 of 1,000 models")
	clean(t, p, "home")
}
