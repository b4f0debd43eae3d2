package collect_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/collect"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
)

// The tests here let days pass, in bubbles of their own. What they push is made
// outside: encoders are kept for other tests, which a bubble would not outlive.

// TestGrace keeps what is young, what an open push has sent, and what was retired
// lately, each for its time.
func TestGrace(t *testing.T) {
	kept, retired, pushed := newVersion(t, 0), newVersion(t, 2), newVersion(t, 4)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.push(kept, "main")
		w.push(retired, "retired")
		id, _, err := w.upload(pushed)
		if err != nil {
			t.Fatal(err)
		}
		w.hooked.before = func(write string) error {
			if strings.HasPrefix(write, "put gl/now.") || strings.HasPrefix(write, "delete gl/now.") || strings.HasPrefix(write, "cas "+record.CollectionKey+" "+record.Idle) {
				return nil
			}
			return fmt.Errorf("wrote %s", write)
		}
		reasons := func(when, why string, objects int64) {
			t.Helper()
			got, err := w.collectAfter(collect.DefaultGrace)
			if err != nil || got.Kept[why].Objects != objects || got.Freed.Objects != 0 {
				t.Errorf("%s: %+v, %v; want %d objects kept as %s", when, got, err, objects, why)
			}
		}
		reasons("at once", openapi.KeptYoung, 1) // the chunk of the open push; all else is referenced
		time.Sleep(3 * 24 * time.Hour)
		reasons("after three days", openapi.KeptPush, 1)

		w.hooked.before = nil
		w.remove(retired, "retired")
		reasons("after the retirement", openapi.KeptReader, 2)
		time.Sleep(collect.DefaultReaders)
		if got, err := w.collectAfter(collect.DefaultGrace); err != nil || got.Freed.Objects != 2 {
			t.Errorf("a day after the retirement: %+v, %v; want two objects freed", got, err)
		}
		time.Sleep(7 * 24 * time.Hour)
		if got, err := w.collectAfter(collect.DefaultGrace); err != nil || got.Freed.Objects != 1 {
			t.Errorf("after the push has expired: %+v, %v; want one object freed", got, err)
		}
		if _, err := w.commit(id, pushed, ""); err == nil {
			t.Error("an expired push was committed")
		}
		w.check(kept)
	})
}

// TestUntagged retires versions without a tag after their time, and no others.
func TestUntagged(t *testing.T) {
	tagged, loose := newVersion(t, 0), newVersion(t, 2)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.push(tagged, "main")
		w.push(loose, "")
		w.config.Untagged = 30 * 24 * time.Hour
		time.Sleep(29 * 24 * time.Hour)
		if got := w.collect(); got.Retired != 0 || got.Versions != 2 {
			t.Errorf("after 29 days: %+v", got)
		}
		time.Sleep(2 * 24 * time.Hour)
		if got := w.collect(); got.Retired != 1 || got.Freed.Objects != 2 {
			t.Errorf("after 31 days: %+v", got)
		}
		w.check(tagged)
	})
}

// TestReaper gives up a commit whose push has expired.
func TestReaper(t *testing.T) {
	v := newVersion(t, 0)
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		id, _, err := w.upload(v)
		if err != nil {
			t.Fatal(err)
		}
		died := errors.New("died")
		w.hooked.before = func(write string) error {
			if strings.HasSuffix(write, record.Committed) {
				return died
			}
			return nil
		}
		if _, err := w.commit(id, v, ""); !errors.Is(err, died) {
			t.Fatal(err)
		}
		w.hooked.before = nil
		if got := w.collect(); got.Aborted != 0 || got.Kept[openapi.KeptReferenced].Objects != 2 {
			t.Errorf("while the push is open: %+v", got)
		}
		time.Sleep(8 * 24 * time.Hour)
		if got := w.collect(); got.Aborted != 1 || got.Freed.Objects != 2 {
			t.Errorf("after it has expired: %+v", got)
		}
	})
}

// TestOldLists are deleted when no push can need them.
func TestOldLists(t *testing.T) {
	versions := []*version{newVersion(t, 0), newVersion(t, 2), newVersion(t, 4)}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		lists := func() (n int) {
			for _, err := range w.hooked.List(t.Context(), placement.Lists.Prefix(), "") {
				if err != nil {
					t.Fatal(err)
				}
				n++
			}
			return n
		}
		garbage := func(v *version) {
			w.push(v, "x")
			w.remove(v, "x")
			w.collect()
		}
		garbage(versions[0])
		time.Sleep(80 * 24 * time.Hour)
		garbage(versions[1])
		if n := lists(); n != 4 {
			t.Errorf("%d lists after two collections, want 4", n)
		}
		time.Sleep(20 * 24 * time.Hour)
		garbage(versions[2])
		if n := lists(); n != 4 {
			t.Errorf("%d lists after the first are 100 days old, want 4", n)
		}
	})
}
