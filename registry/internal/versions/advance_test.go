package versions_test

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// listening is a store that does something else before a list is opened, once.
type listening struct {
	blobs.Store
	list string
	then func()
}

func (l *listening) Open(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	if then := l.then; then != nil && strings.HasPrefix(name, l.list) {
		l.then = nil
		then()
	}
	return l.Store.Open(ctx, name, off, n)
}

// TestPushDoesNotForgetCollections holds a commit up that has learnt of one
// collection, until another replica has learnt of the next: what the push knows does
// not go back.
func TestPushDoesNotForgetCollections(t *testing.T) {
	w := newWorld(t)
	store := &listening{Store: w.store, list: "gl/0000000000000001."}
	w.config.Blobs = store
	w.restart()
	v := newVersion(t, chunker.Digest{}, large(1))
	id := w.start(alice, model)
	w.upload(alice, id, v, v.order)
	w.collect(1, "idle", w.objectOf(v.order[0]))
	store.then = func() {
		w.collect(2, "idle", "c/000/gone")
		_, err := versions.New(w.config).Commit(t.Context(), alice, id, v.doc, "", "")
		wants(t, "the fast commit", err, openapi.CodeMissingChunks)
	}
	_, err := w.Commit(t.Context(), alice, id, v.doc, "", "")
	wants(t, "the slow commit", err, openapi.CodeMissingChunks)
	val, _, err := w.engine.Get(t.Context(), record.PushKey(id))
	if err != nil {
		t.Fatal(err)
	}
	var push record.Push
	if err := json.Unmarshal(val, &push); err != nil || push.E0 != 2 || push.Attempt != 2 {
		t.Errorf("the push is at %+v, %v, want epoch 2 and attempt 2", push, err)
	}
}
