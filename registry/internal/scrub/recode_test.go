package scrub_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/scrub"
	"github.com/ingot-ml/ingot/registry/name"
)

// recode chooses anew how everything is stored, in a process that remembers nothing.
func (w *world) recode(repo string) openapi.CompactReport {
	w.t.Helper()
	w.restart()
	got, err := scrub.New(w.config).Recode(w.t.Context(), repo, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	if got.BytesAfter != got.BytesBefore-got.BytesGained || got.BytesGained < 0 {
		w.t.Errorf("%+v", got)
	}
	return got
}

// line pushes versions whose one chunk changes a little from one to the next, whole.
func (w *world) line(repo name.Repo, seed uint64, n int) (all []*version, plains [][]byte) {
	return w.lineOf(repo, seed, n, 97)
}

func (w *world) lineOf(repo name.Repo, seed uint64, n, every int) (all []*version, plains [][]byte) {
	w.t.Helper()
	plain := large(seed)
	for i := range n {
		v := newVersion(w.t, plain, small(seed))
		w.push(repo, v, "main", true)
		all, plains = append(all, v), append(plains, plain)
		plain = changedEvery(plain, byte(i+1), every)
	}
	return all, plains
}

// TestRecode makes deltas of what was pushed whole: the versions stay what they are, and
// take what changed.
func TestRecode(t *testing.T) {
	w := newWorld(t)
	all, plains := w.line(model, 1, 6)
	stored := w.stored()
	got := w.recode("")
	if got.Versions != 5 || got.BytesGained < 5*290_000 || got.BytesBefore < 6*300_000 {
		t.Errorf("got %+v", got)
	}
	for i, v := range all {
		w.check(model, v)
		if n := len(w.entryOf(model, v, chunker.Sum(plains[i])).Closure); n > 2 || (n == 0) != (i == 0) {
			t.Errorf("version %d has %d bases", i, n)
		}
	}
	w.collect()
	for _, v := range all {
		w.check(model, v)
	}
	if freed := stored - w.stored(); freed < got.BytesGained*95/100 {
		t.Errorf("%d bytes are free, want %d", freed, got.BytesGained)
	}
	w.sound("after the collection")
	if again := w.recode(""); again.BytesGained != 0 || again.Chunks != 0 || again.BytesBefore != got.BytesAfter {
		t.Errorf("again: %+v after %+v", again, got)
	}
}

// stored returns how many bytes the store holds.
func (w *world) stored() (n int64) {
	w.t.Helper()
	for info, err := range w.store.List(w.t.Context(), "", "") {
		if err != nil {
			w.t.Fatal(err)
		}
		n += info.Size
	}
	return n
}

// TestRecodeOneModel leaves other models alone, and tells of one that is not there.
func TestRecodeOneModel(t *testing.T) {
	w := newWorld(t)
	w.line(model, 1, 2)
	all, plains := w.line(other, 2, 2)
	if got := w.recode("acme/model"); got.Versions != 1 || got.BytesBefore > 700_000 {
		t.Errorf("got %+v", got)
	}
	if e := w.entryOf(other, all[1], chunker.Sum(plains[1])); len(e.Closure) != 0 {
		t.Errorf("another model has bases: %+v", e)
	}
	for repo, want := range map[string]openapi.Code{"acme/none": openapi.CodeNotFound, "acme": openapi.CodeBadName} {
		_, err := scrub.New(w.config).Recode(t.Context(), repo, nil)
		if !errors.Is(err, &openapi.Error{Code: want}) {
			t.Errorf("%s: %v, want %s", repo, err, want)
		}
	}
	w.config.ReadOnly = true
	if got := w.recode(""); got != (openapi.CompactReport{}) {
		t.Errorf("a registry that only reads: %+v", got)
	}
}

// TestRecodeLeavesBases has a chunk on which another rests, and one that another
// namespace needs, stay as they are.
func TestRecodeLeavesBases(t *testing.T) {
	w := newWorld(t)
	all, plains := w.line(model, 1, 3)
	w.asDelta(model, all[2], plains[2], all[1], plains[1]) // the second has to stay whole
	if got := w.recode(""); got.BytesGained > 5000 {       // small ones that are stored twice
		t.Errorf("a base: %+v", got)
	}
	w = newWorld(t)
	all, plains = w.line(model, 1, 2)
	w.push(alien, newVersion(t, plains[1]), "main", false)
	if got := w.recode(""); got.BytesGained > 5000 {
		t.Errorf("of two namespaces: %+v", got)
	}
	w.check(model, all[1])
}

// TestRecodeAnchorsAnew retires all but the last of a line: its bases, which nothing else
// needs, cost more than the chunk does.
func TestRecodeAnchorsAnew(t *testing.T) {
	w := newWorld(t)
	all, plains := w.lineOf(model, 1, 3, 5)
	if got := w.recode(""); got.Chunks != 4 {
		t.Errorf("got %+v", got)
	}
	w.collect()
	for _, v := range all[:2] {
		if err := w.Delete(t.Context(), alice, model, v.digest); err != nil {
			t.Fatal(err)
		}
	}
	w.collect()
	got := w.recode("")
	if got.Chunks != 1 || got.BytesGained <= 0 {
		t.Errorf("got %+v", got)
	}
	if e := w.entryOf(model, all[2], chunker.Sum(plains[2])); len(e.Closure) != 0 {
		t.Errorf("it still has bases: %+v", e)
	}
	w.collect()
	w.check(model, all[2])
	w.sound("after the collection")
	if again := w.recode(""); again.BytesGained != 0 {
		t.Errorf("again: %+v", again)
	}
}

// TestRecodeManyUsers has several versions of a namespace name the same chunk, which is
// encoded once for all of them.
func TestRecodeManyUsers(t *testing.T) {
	w := newWorld(t)
	all, plains := w.line(model, 1, 2)
	again := newVersion(t, plains[1], small(8))
	w.push(model, again, "again", false)
	w.push(other, again, "again", false)
	got := w.recode("")
	if got.Versions != 3 || got.BytesGained < 290_000 {
		t.Errorf("got %+v", got)
	}
	w.collect()
	w.check(model, all[1])
	w.check(model, again)
	w.check(other, again)
	if n := len(w.blobsOf("c/")); n != 1 {
		t.Errorf("%d large chunks, want the anchor", n)
	}
	w.sound("after the collection")
}

// TestRecodeInParts has room for few places.
func TestRecodeInParts(t *testing.T) {
	w := newWorld(t)
	var all []*version
	var repos []name.Repo
	for i := range 5 {
		repo := name.Repo{Namespace: fmt.Sprintf("n%d", i), Name: "m"}
		v, _ := w.line(repo, uint64(i), 3)
		for range v {
			repos = append(repos, repo)
		}
		all = append(all, v...)
	}
	w.config.Places = 8 * 8
	if got := w.recode(""); got.Versions != 10 || got.BytesBefore < 15*300_000 {
		t.Errorf("got %+v", got)
	}
	w.config.Places = 0
	w.collect()
	for i, v := range all {
		w.check(repos[i], v)
	}
	w.sound("after the collection")
	w.config.Places = 4
	w.restart()
	_, err := scrub.New(w.config).Recode(t.Context(), "", nil)
	if !errors.Is(err, &openapi.Error{Code: openapi.CodeTooLarge}) {
		t.Errorf("no room at all: %v", err)
	}
}

// TestRecodeLeavesBadChunks does not rest anything on what cannot be read.
func TestRecodeLeavesBadChunks(t *testing.T) {
	for i := range 2 {
		w := newWorld(t)
		all, plains := w.line(model, 1, 3)
		w.store.flip(w.chunkIn(plains[i]), 5000)
		w.recode("")
		w.collect()
		if err := w.read(model, all[2]); err != nil {
			t.Errorf("chunk %d is bad, version 2: %v", i, err)
		}
		if e := w.entryOf(model, all[2], chunker.Sum(plains[2])); i == 1 && len(e.Closure) != 0 {
			t.Errorf("it rests on a bad chunk: %+v", e)
		}
	}
}

// TestRandomRecodes pushes, retires, compacts, chooses anew, damages and collects in any
// order.
func TestRandomRecodes(t *testing.T) {
	gained := int64(0)
	for seed := range uint64(4) {
		w := newWorld(t)
		dice := rand.New(rand.NewPCG(seed, 9))
		live := map[int]*version{}
		repos := []name.Repo{model, other, alien}
		in := map[int]name.Repo{}
		plain := [][]byte{small(1), plainOf(2, 5000), plainOf(3, 20_000)}
		for i := range 50 {
			switch dice.IntN(6) {
			case 0, 1, 2:
				k := dice.IntN(len(plain))
				plain[k] = changed(plain[k], byte(dice.IntN(90)))
				live[i], in[i] = newVersion(t, append(plain[:dice.IntN(3):3], plain[k])...), repos[dice.IntN(3)]
				w.push(in[i], live[i], fmt.Sprintf("v%d", i), dice.IntN(3) == 0)
			case 3:
				for j := range 50 {
					if v := live[j]; v != nil && dice.IntN(3) == 0 {
						w.remove(in[j], v, fmt.Sprintf("v%d", j))
						delete(live, j)
						break
					}
				}
			case 4:
				gained += w.recode("").BytesGained
				w.compact()
			case 5:
				w.collect()
			}
		}
		gained += w.recode("").BytesGained
		w.compact()
		w.collect()
		for j := range 50 {
			if live[j] != nil {
				w.check(in[j], live[j])
			}
		}
		w.sound(fmt.Sprintf("seed %d", seed))
		if again := w.recode(""); again.BytesGained != 0 {
			t.Errorf("seed %d, again: %+v", seed, again)
		}
	}
	if gained == 0 {
		t.Error("nothing was gained")
	}
}

// TestRecodeEvery lets two replicas take turns for some days: all is looked at once, and
// again when a version has come.
func TestRecodeEvery(t *testing.T) {
	one, two := newVersion(t, noise(1, 5000)), newVersion(t, noise(2, 5000)) // encoders must not be made in a bubble
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		w.push(model, one, "main", false)
		ctx, cancel := context.WithCancel(t.Context())
		var replicas sync.WaitGroup
		for range 2 {
			s := scrub.New(w.config)
			replicas.Go(func() { s.RecodeEvery(ctx, 6*time.Hour) })
		}
		reads := func() (n int) {
			bodies := w.blobsOf("b/")
			w.store.mu.Lock()
			defer w.store.mu.Unlock()
			for _, body := range bodies {
				n += w.store.reads[body]
			}
			return n
		}
		time.Sleep(time.Minute)
		if n := reads(); n != 0 {
			t.Errorf("%d reads at the start", n)
		}
		time.Sleep(3 * 24 * time.Hour)
		first := reads()
		if first == 0 || first > 2*3 { // a survey, the version, and once more by the other replica
			t.Errorf("%d reads of a body in three days without a change", first)
		}
		w.push(model, two, "main", false)
		time.Sleep(24 * time.Hour)
		if n := reads(); n <= first {
			t.Errorf("%d reads after a new version, %d before", n, first)
		}
		cancel()
		replicas.Wait()
	})
}

// TestRecodeInTheBackground stores chunks otherwise without being asked.
func TestRecodeInTheBackground(t *testing.T) {
	w := newWorld(t)
	all, plains := w.line(model, 1, 3)
	done := make(chan struct{})
	w.config.Logger = slog.New(&told{Handler: slog.DiscardHandler, what: "stored chunks otherwise", done: done})
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { scrub.New(w.config).RecodeEvery(ctx, time.Millisecond) })
	<-done
	cancel()
	running.Wait()
	for i, v := range all {
		w.check(model, v)
		if n := len(w.entryOf(model, v, chunker.Sum(plains[i])).Closure); (n == 0) != (i == 0) {
			t.Errorf("version %d has %d bases", i, n)
		}
	}
}

// told closes done when a line was logged.
type told struct {
	slog.Handler
	what string
	done chan struct{}
	once sync.Once
}

func (h *told) Enabled(context.Context, slog.Level) bool { return true }

func (h *told) Handle(_ context.Context, r slog.Record) error {
	if r.Message == h.what {
		h.once.Do(func() { close(h.done) })
	}
	return nil
}
