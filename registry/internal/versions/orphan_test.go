package versions_test

import (
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
)

// TestOrphan: a version from another registry needs its chunks here, and not its
// parent.
func TestOrphan(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, chunker.Sum([]byte("elsewhere")), large(1))
	id := w.start(alice, model)
	_, err := w.CommitOrphan(t.Context(), alice, id, v.doc, "main", "")
	wants(t, "no chunks", err, openapi.CodeMissingChunks)
	w.upload(alice, id, v, v.order)
	if _, err := w.CommitOrphan(t.Context(), alice, id, v.doc, "main", ""); err != nil {
		t.Fatal(err)
	}
	w.check(alice, model, v)
}
