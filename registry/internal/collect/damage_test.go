package collect_test

import (
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// TestDamagedList gives up a collection whose list cannot be read, and collects what
// it would have with the next.
func TestDamagedList(t *testing.T) {
	for _, phase := range []string{record.Publishing, record.Sweeping} {
		t.Run(phase, func(t *testing.T) {
			w := newWorld(t)
			keep, gone := newVersion(t, 0), newVersion(t, 2)
			w.push(keep, "keep")
			w.push(gone, "gone")
			w.remove(gone, "gone")
			c := &record.Collection{Epoch: 1, Phase: phase, List: "gl/0000000000000001.x.D"}
			book := record.Book{Registers: w.config.Registers, Rand: zeros{}}
			at, err := book.Load(t.Context(), record.CollectionKey, &record.Collection{})
			if err != nil || at != registers.Absent {
				t.Fatal(at, err)
			}
			if _, err := book.Swap(t.Context(), record.CollectionKey, at, c); err != nil {
				t.Fatal(err)
			}
			if err := w.hooked.Put(t.Context(), c.List, []byte("rotten")); err != nil {
				t.Fatal(err)
			}
			got := w.collect()
			if got.Epoch != 2 || got.Freed.Objects != 2 || len(got.Anomalies) != 1 || !strings.Contains(got.Anomalies[0], c.List) {
				t.Errorf("collected %+v", got)
			}
			w.check(keep)
		})
	}
}

// TestDamagedNext drops the body that a head was to name next when that is rotten,
// and goes on.
func TestDamagedNext(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, 0)
	w.push(v, "main")
	book := record.Book{Registers: w.config.Registers, Rand: zeros{}}
	key := record.HeadKey(repo, v.digest)
	var h record.Head
	at, err := book.Load(t.Context(), key, &h)
	if err != nil {
		t.Fatal(err)
	}
	h.Next = "b/acme/model/" + v.digest.String() + ".0123456789abcdef0123.x"
	if err := w.hooked.Put(t.Context(), h.Next, []byte("rotten")); err != nil {
		t.Fatal(err)
	}
	if _, err := book.Swap(t.Context(), key, at, &h); err != nil {
		t.Fatal(err)
	}
	for _, freed := range []int64{1, 0} {
		if got := w.collect(); got.Freed.Objects != freed || got.Kept[openapi.KeptReferenced].Objects != 2 {
			t.Errorf("collected %+v, want %d objects freed", got, freed)
		}
	}
	w.check(v)
}

// zeros is no randomness at all: the records differ by their numbers.
type zeros struct{}

func (zeros) Read(b []byte) (int, error) { return len(b), nil }
