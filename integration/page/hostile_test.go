package page_test

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
)

// What is shown must not run, wherever it stands.
const hostile = `"><img src=x onerror="window.harmed=1"><script>window.harmed=1</script><svg onload=window.harmed=1>{{harm}}`

// TestHostileNames shows a model whose tensors, files and annotations, and a node whose
// words, are made to run as scripts: they are text.
func TestHostileNames(t *testing.T) {
	browser := browse(t)
	w := newWorld(t)
	dir := t.TempDir()
	writeTensors(t, filepath.Join(dir, "model.safetensors"), "model.layers.0."+hostile+".weight", hostile, "javascript:window.harmed=1")
	if err := os.WriteFile(filepath.Join(dir, `<img src=x onerror=window.harmed=1>.txt`), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	first := w.push(dir, "acme/bad:main", chunker.Digest{}, nil)
	if err := os.WriteFile(filepath.Join(dir, `x" onload="window.harmed=1".txt`), []byte("y"), 0o600); err != nil {
		t.Fatal(err)
	}
	w.push(dir, "acme/bad:main", first, map[string]string{
		hostile: hostile, "ingot.step": "<b>1</b>", "ingot.loss": hostile, "ingot.run": hostile, "__proto__": "1", "constructor": "2",
	})
	r := node(openapi.NodeResident{Ref: "acme/bad:main", Version: first, Tier: openapi.TierGPU})
	r.Address, r.Program = hostile, `<img src=x onerror=window.harmed=1>`
	w.report("gpu-01", r)

	p := browser.Page(t)
	look := func(where string, texts ...string) {
		t.Helper()
		has(t, p, texts...)
		clean(t, p, where)
		if harm := p.Text(`[typeof window.harmed, document.querySelectorAll("main img, main script, main svg[onload], a[href^=javascript]").length]`); harm != "undefined,0" {
			t.Errorf("%s: what is hostile has run or is more than text: %s", where, harm)
		}
	}
	p.Open(w.url + "/")
	look("home", "acme/bad")
	p.Open(w.url + "/ui/acme/bad")
	look("model", "<b>1</b>")
	p.Open(w.url + "/ui/acme/bad/main")
	look("version", "run "+hostile)
	for _, panel := range []string{"layers", "files", "stored"} {
		p.Click("[data-panel=" + panel + "][role=tab]")
		p.Wait(`document.querySelector(".panel").dataset.panel === "` + panel + `"`)
		if panel == "files" {
			p.Click("details.file summary")
			p.Wait(`document.querySelector(".tensors")`)
			look(panel, hostile, "javascript:window.harmed=1", "<img src=x onerror=window.harmed=1>.txt", "__proto__", "constructor")
		}
		look(panel)
	}
	p.Click(".map svg")
	look("map")
	p.Open(w.url + "/ui/-/diff?a=acme/bad@" + first.String() + "&b=acme/bad:main")
	look("diff", `x" onload="window.harmed=1".txt`)
	p.Open(w.url + "/ui/-/nodes")
	look("nodes", hostile)
	p.Open(w.url + "/ui/-/signin?to=javascript:window.harmed=1")
	look("sign-in")
	// The address of the page is a stranger's, too.
	p.Open(w.url + `/?q=%22%3E%3Cimg%20src%3Dx%20onerror%3Dwindow.harmed%3D1%3E`)
	look("search")
	p.Open(w.url + `/ui/acme/%3Cimg%20src=x%20onerror=window.harmed=1%3E`)
	p.Problems() // there is no such model
	look("no model")
}

// writeTensors writes a safetensors file with a small tensor of every name.
func writeTensors(t *testing.T, path string, names ...string) {
	t.Helper()
	header := map[string]any{}
	for i, name := range names {
		header[name] = map[string]any{"dtype": "U8", "shape": []int{16}, "data_offsets": []int{16 * i, 16 * (i + 1)}}
	}
	doc, err := json.Marshal(header)
	if err != nil {
		t.Fatal(err)
	}
	b := binary.LittleEndian.AppendUint64(nil, uint64(len(doc)))
	b = append(append(b, doc...), make([]byte, 16*len(names))...)
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
