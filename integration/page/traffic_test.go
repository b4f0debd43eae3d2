package page_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
)

// mostBytes is what the first view of a model may take, as it comes over the wire.
const mostBytes = 200_000

// TestFirstView counts what a browser that has never been here fetches to show a model
// with many versions: at most 200 KB, and all that the document does not hold in one round
// of requests, which the document itself asks for.
func TestFirstView(t *testing.T) {
	browser := browse(t)
	w := newWorld(t)
	versions := 105 // a page of the list is 100
	if os.Getenv("INGOT_LARGE") != "" {
		versions = 1000
	}
	dir := t.TempDir()
	var last chunker.Digest
	for i := range versions {
		if err := os.WriteFile(filepath.Join(dir, "model.bin"), fmt.Appendf(nil, "weights %d", i), 0o600); err != nil {
			t.Fatal(err)
		}
		last = w.push(dir, "acme/run:main", last, map[string]string{"ingot.step": fmt.Sprint(i), "ingot.loss": fmt.Sprint(9 / float64(i+1)), "eval.accuracy": "0.5"})
	}
	for _, path := range []string{"/ui/acme/run", "/", "/ui/acme/run/" + last.String()} {
		p := browser.Page(t)
		p.Open(w.url + path)
		var total int64
		traffic := p.Traffic()
		for i, r := range traffic {
			total += r.Bytes
			if i > 0 && !r.Cache && r.By == "script" {
				t.Errorf("%s: %s is asked for by a script: a second round", path, r.URL)
			}
		}
		t.Logf("%s: %d requests, %d bytes", path, len(traffic), total)
		if len(traffic) < 5 || total < 1000 {
			t.Errorf("%s: %d requests and %d bytes were counted: some are missing", path, len(traffic), total)
		}
		if total > mostBytes {
			t.Errorf("%s: the first view takes %d bytes, want at most %d", path, total, mostBytes)
		}
		if path == "/ui/acme/run" {
			p.Click(".buttons button:nth-child(2)") // all that are older
			p.Wait(fmt.Sprintf(`document.querySelectorAll(".version").length === %d`, versions))
		}
		clean(t, p, path)
	}
}
