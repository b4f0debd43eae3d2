package collect_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/record"
)

// TestPendingWithoutBody collects the body of a commit just before the head names
// it, and the client goes away. That head never becomes readable, so it is no reason
// to stop collecting, neither before candidates are published nor after.
func TestPendingWithoutBody(t *testing.T) {
	for _, at := range []string{"put gl/", "cas g/state " + record.Sweeping} {
		t.Run(at, func(t *testing.T) {
			w := newWorld(t)
			v, gone := newVersion(t, 0), newVersion(t, 2)
			w.push(gone, "gone")
			w.remove(gone, "gone")
			id, _, err := w.upload(v)
			if err != nil {
				t.Fatal(err)
			}
			leave := func() {
				w.hooked.before = func(write string) error {
					if strings.HasPrefix(write, "cas m/") && strings.HasSuffix(write, record.Pending) {
						w.hooked.before = nil
						w.collect()
						w.push(gone, "gone")
						w.remove(gone, "gone")
					}
					return nil
				}
				_, err := w.Commit(t.Context(), alice, id, v.doc, "", "")
				if !errors.Is(err, &openapi.Error{Code: openapi.CodeMissingChunks}) {
					t.Errorf("commit of what was collected: %v", err)
				}
			}
			w.once(at, leave)
			w.collect()
			w.collect()
			if n := w.objects(); n != 0 {
				t.Errorf("%d objects are left", n)
			}
			w.push(v, "main")
			w.check(v)
		})
	}
}
