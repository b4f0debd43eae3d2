package versions_test

import (
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// line pushes versions, each made from the one before, that share chunk 1 and have
// one of their own.
func (w *world) line(repo name.Repo, parent chunker.Digest, n int) (list []*version) {
	w.t.Helper()
	for i := range n {
		v := newVersion(w.t, parent, large(1), plainOf(uint64(100+i), 5000))
		w.push(alice, repo, v, "")
		list, parent = append(list, v), v.digest
		w.now = w.now.Add(time.Minute)
	}
	return list
}

func (w *world) log(repo name.Repo, at, after chunker.Digest, limit int) openapi.Log {
	w.t.Helper()
	log, err := w.Log(w.t.Context(), alice, name.Ref{Repo: repo, Digest: at}, after, limit)
	if err != nil {
		w.t.Fatal(err)
	}
	return log
}

// TestLog walks a line of versions page by page, and again when some are retired.
func TestLog(t *testing.T) {
	w := newWorld(t)
	list := w.line(model, chunker.Digest{}, 6)
	last := list[5].digest
	var seen []openapi.LogEntry
	for after, page := (chunker.Digest{}), 1; ; page++ {
		log := w.log(model, last, after, 4)
		seen = append(seen, log.Entries...)
		if log.Next == "" {
			break
		}
		if page > 2 {
			t.Fatal("the log does not end")
		}
		after, _ = chunker.ParseDigest(log.Next)
	}
	if len(seen) != 6 {
		t.Fatalf("%d entries: %+v", len(seen), seen)
	}
	for i, e := range seen {
		if v := list[5-i]; e.Digest != v.digest || e.Chunks != 2 || e.Delta != 0 || e.Retired != 0 {
			t.Errorf("entry %d: %+v", i, e)
		}
		if first := i == 5; first != (e.New == 2) || first != (e.Added > 200<<10) || e.Added < 5000 || first != (e.Parent == "") {
			t.Errorf("entry %d adds %d chunks, %d bytes", i, e.New, e.Added)
		}
	}

	for _, v := range []*version{list[1], list[2], list[4]} {
		if err := w.Delete(t.Context(), alice, model, v.digest); err != nil {
			t.Fatal(err)
		}
	}
	log := w.log(model, last, chunker.Digest{}, 100)
	if len(log.Entries) != 3 || log.Entries[0].Retired != 1 || log.Entries[1].Retired != 2 || log.Entries[2].Digest != list[0].digest || log.Entries[2].Retired != 0 {
		t.Fatalf("with retired versions: %+v", log)
	}
	if e := log.Entries[1]; e.New != 1 || e.Added < 5000 || e.Added > 6000 {
		t.Errorf("beside the nearest that can be read it adds %d chunks, %d bytes", e.New, e.Added)
	}
	// A page that ends at a version goes on behind it though that is gone by then.
	if log = w.log(model, chunker.Digest{}, list[4].digest, 100); len(log.Entries) != 2 || log.Entries[0].Digest != list[3].digest {
		t.Errorf("behind a retired version: %+v", log)
	}
	_, err := w.Log(t.Context(), alice, name.Ref{Repo: model, Digest: list[4].digest}, chunker.Digest{}, 1)
	wants(t, "the log of a retired version", err, openapi.CodeNotFound)
	_, err = w.Log(t.Context(), alice, name.Ref{Repo: other, Tag: "main"}, chunker.Digest{}, 1)
	wants(t, "the log of nothing", err, openapi.CodeNotFound)
}

// TestLogAcrossRepositories compares the first version of a repository with its
// parent in another of the namespace, if the caller may read that.
func TestLogAcrossRepositories(t *testing.T) {
	w := newWorld(t)
	base := newVersion(t, chunker.Digest{}, large(1))
	w.push(alice, other, base, "")
	tuned := newVersion(t, base.digest, large(1), plainOf(7, 5000))
	w.push(alice, model, tuned, "main")
	w.config.Policy = secret{other}
	w.restart()
	for who, want := range map[access.Principal]int{alice: 1, bob: 2} {
		log, err := w.Log(t.Context(), who, name.Ref{Repo: model, Tag: "main"}, chunker.Digest{}, 10)
		if err != nil || len(log.Entries) != 1 || log.Entries[0].New != want || log.Entries[0].Parent != base.digest.String() {
			t.Errorf("%s sees %+v, %v", who.Subject, log, err)
		}
		e, err := w.Encodings(t.Context(), who, model, tuned.digest)
		if err != nil || e.Whole.Chunks != 2 || e.Added.Chunks != want || e.Shared.Chunks != 2-want || e.Plain != int64(len(large(1))+5000) {
			t.Errorf("%s sees %+v, %v", who.Subject, e, err)
		}
	}
}

// TestLogAnnotations has a version say what it is, and another say too much.
func TestLogAnnotations(t *testing.T) {
	w := newWorld(t)
	for run, want := range map[string]string{"one": "one", string(make32("x")): ""} {
		v := annotated(t, map[string]string{openapi.AnnotationStep: "1200", openapi.AnnotationLoss: "1.5", openapi.AnnotationRun: run})
		w.push(alice, model, v, "main")
		e := w.log(model, v.digest, chunker.Digest{}, 1).Entries[0]
		if e.Step != "1200" || e.Loss != "1.5" || e.Run != want || len(e.Tags) != 1 {
			t.Errorf("run %.10s is told as %+v", run, e)
		}
	}
}

func make32(s string) (b []byte) {
	for range 32 * 8 {
		b = append(b, s...)
	}
	return b
}

// annotated is a version that says something of itself.
func annotated(t *testing.T, what map[string]string) *version {
	t.Helper()
	v := newVersion(t, chunker.Digest{}, plainOf(9, 3000))
	m, err := manifest.Parse(v.doc)
	if err != nil {
		t.Fatal(err)
	}
	b := manifest.NewBuilder()
	b.Add(m.Files[0], m.Chunks)
	named, err := b.Build(chunker.Digest{}, what)
	if err != nil {
		t.Fatal(err)
	}
	if v.doc, err = named.Encode(); err != nil {
		t.Fatal(err)
	}
	v.digest = manifest.Name(v.doc)
	return v
}

// TestStandings tells what decides whether versions stay, and reads only what has
// changed.
func TestStandings(t *testing.T) {
	w := newWorld(t)
	began := w.now
	list := w.line(model, chunker.Digest{}, 3)
	for _, v := range list[:2] {
		if _, err := w.SetTag(t.Context(), alice, model, "main", openapi.SetTag{Digest: v.digest}); err != nil {
			t.Fatal(err)
		}
	}
	w.check(alice, model, list[2])
	for range 2 { // the second time from memory
		got, err := w.Standings(t.Context(), model)
		if err != nil || len(got) != 3 {
			t.Fatalf("%+v, %v", got, err)
		}
		for _, s := range got {
			i := 0
			for list[i].digest != s.Digest {
				i++
			}
			used := i != 1 // the tag has left the first, the last was read
			if !s.At.Equal(began.Add(time.Duration(i)*time.Minute)) || s.Tagged != (i == 1) || used != s.Used.Equal(w.now) {
				t.Errorf("version %d: %+v", i, s)
			}
		}
	}
	for i, open := range map[int]bool{0: false, 1: true} {
		id := w.start(alice, model)
		if i == 0 {
			w.upload(alice, id, list[0], list[0].order)
			if _, err := w.Commit(t.Context(), alice, id, list[0].doc, "", ""); err != nil {
				t.Fatal(err)
			}
		}
		if pushing, err := w.Pushing(t.Context(), id); err != nil || pushing != open {
			t.Errorf("push %d is open: %v, %v", i, pushing, err)
		}
	}
	if err := w.Delete(t.Context(), alice, model, list[0].digest); err != nil {
		t.Fatal(err)
	}
	if got, err := w.Standings(t.Context(), model); err != nil || len(got) != 2 {
		t.Errorf("after a retirement: %+v, %v", got, err)
	}
}

// TestRetiredParent commits a version whose parent was retired while it was pushed.
func TestRetiredParent(t *testing.T) {
	w := newWorld(t)
	parent := newVersion(t, chunker.Digest{}, large(1))
	w.push(alice, model, parent, "")
	v := newVersion(t, parent.digest, large(2))
	id := w.start(alice, model)
	w.upload(alice, id, v, w.missing(alice, id, v))
	if err := w.Delete(t.Context(), alice, model, parent.digest); err != nil {
		t.Fatal(err)
	}
	if _, err := w.Commit(t.Context(), alice, id, v.doc, "main", ""); err != nil {
		t.Fatal(err)
	}
	w.check(alice, model, v)
}

// TestEncodings tells of a line of versions whose chunks are an anchor, a middle and a
// step, what each has, needs and adds; and keeps telling when those between are retired.
func TestEncodings(t *testing.T) {
	w := newWorld(t)
	plains, _ := series(t, 3)
	var line []*version
	var parent chunker.Digest
	for i, plain := range plains {
		v := newVersion(t, parent, plain)
		if i == 0 {
			w.push(alice, model, v, "main")
		} else {
			w.pushDelta(true, model, v, plain, plains[i-1], source(model, line[i-1]))
		}
		line, parent = append(line, v), v.digest
	}
	tests := []struct{ whole, middle, step, anchors, middles, shared, added int }{
		{1, 0, 0, 0, 0, 0, 1},
		{0, 1, 0, 1, 0, 1, 1},
		{0, 0, 1, 1, 1, 2, 1},
	}
	check := func(i int) {
		t.Helper()
		e, err := w.Encodings(t.Context(), alice, model, line[i].digest)
		got := [...]int{e.Whole.Chunks, e.Middle.Chunks, e.Step.Chunks, e.Anchors.Chunks, e.Middles.Chunks, e.Shared.Chunks, e.Added.Chunks}
		tt := tests[i]
		if want := [...]int{tt.whole, tt.middle, tt.step, tt.anchors, tt.middles, tt.shared, tt.added}; err != nil || got != want || e.Plain != size {
			t.Errorf("version %d: %+v, %v", i, e, err)
		}
	}
	for i := range line {
		check(i)
	}
	log := w.log(model, line[2].digest, chunker.Digest{}, 10)
	for i, e := range log.Entries {
		if first := i == 2; e.New != 1 || (e.Delta == 0) != first || (e.Added > size/10) != first {
			t.Errorf("entry %d: %+v", i, e)
		}
	}
	for _, v := range line[:2] {
		if err := w.Delete(t.Context(), alice, model, v.digest); err != nil {
			t.Fatal(err)
		}
	}
	tests[2].shared, tests[2].added = 0, 3 // now it is the only one that needs them
	check(2)
	log = w.log(model, line[2].digest, chunker.Digest{}, 10)
	if len(log.Entries) != 1 || log.Entries[0].Retired != 2 || log.Entries[0].Added < size/2 {
		t.Errorf("when its bases are of nobody else: %+v", log)
	}
	w.restart()
	w.check(alice, model, line[2])
}
