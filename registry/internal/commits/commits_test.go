package commits_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/internal/commits"
	"github.com/ingot-ml/ingot/registry/manifest"
)

func TestCommits(t *testing.T) {
	w := newWorld(t)
	first := w.commit(w.change("", "a=1", "sub/b=2", "sub/c:3", "w:weights"))
	w.has("a=1", "sub/b=2", "sub/c=3", "w=weights")
	if got := w.hashes("main"); len(got) != 4 || !strings.HasPrefix(got[0], "a 6b86b273") {
		t.Errorf("hashes %q", got)
	}
	second := w.commit(w.change("", "a=2", "-sub/", "w2:weights"))
	w.has("a=2", "w=weights", "w2=weights")
	r, _ := w.read("main")
	if r.Manifest.Parent.String()[:40] != first || r.Manifest.Annotation("hf.title") != "a title" || second == first {
		t.Errorf("parent %s, %v", r.Manifest.Parent.Short(), r.Manifest.Annotations)
	}
	if got := w.hashes("main"); len(got) != 3 {
		t.Errorf("hashes %q", got)
	}
	for _, same := range []commits.Change{w.change(""), w.change("", "a=2"), w.change("", "w:weights"), w.change(second, "a=3", "a=2")} {
		if got := w.commit(same); got != second {
			t.Errorf("a change of nothing is commit %s", got)
		}
	}
	w.commit(w.change("", "-a", "-w", "-w2"))
	w.has()
}

// TestLostAnswers makes commits again, at once and later.
func TestLostAnswers(t *testing.T) {
	w := newWorld(t)
	base := w.commit(w.change("", "a=1", "b=1"))
	one := w.change(base, "a=2", "-b")
	first := w.commit(one)
	if again := w.commit(one); again != first {
		t.Errorf("made again at once it is %s, was %s", again, first)
	}
	if again := w.commit(w.change("", "a=2", "-b")); again != first {
		t.Errorf("made again without a parent it is %s, was %s", again, first)
	}
	last := ""
	for i := range 5 {
		last = w.commit(w.change("", fmt.Sprintf("later=%d", i)))
	}
	if again := w.commit(one); again != first {
		t.Errorf("made again later it is %s, was %s", again, first)
	}
	w.has("a=2", "later=4")
	for what, c := range map[string]commits.Change{
		"another change":     w.change(base, "a=3"),
		"an unknown parent":  w.change(strings.Repeat("0", 40), "a=3"),
		"the change, newer":  w.change(first, "a=2", "x=1"),
		"a change of nowt":   w.change(base),
		"a delete of before": w.change(base, "-nothing"),
	} {
		if _, _, err := w.replicas[1].Commit(t.Context(), alice, model, c); !errors.Is(err, &openapi.Error{Code: openapi.CodeTagMoved}) {
			t.Errorf("%s: %v", what, err)
		}
	}
	if got := w.commit(w.change(last)); got != last {
		t.Errorf("the branch is at %s, was at %s", got, last)
	}
}

// TestParallel has many commit at once at two replicas.
func TestParallel(t *testing.T) {
	w := newWorld(t)
	w.commit(w.change(""))
	const n = 24
	var want []string
	var group sync.WaitGroup
	for i := range n {
		want = append(want, fmt.Sprintf("f%02d=%d", i, i))
		c := w.change("", want[i])
		group.Go(func() {
			if _, _, err := w.replicas[i%2].Commit(t.Context(), alice, model, c); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
	w.has(want...)
	r, _ := w.read("main")
	steps := 0
	for d := r.Manifest.Parent; !d.IsZero(); steps++ {
		v, err := w.versions.Read(t.Context(), alice, model, d)
		if err != nil {
			t.Fatal(err)
		}
		d = v.Manifest.Parent
	}
	if steps != n {
		t.Errorf("%d commits before the last, want %d", steps, n)
	}
}

// TestStale has many commit on one parent: one of them wins.
func TestStale(t *testing.T) {
	w := newWorld(t)
	base := w.commit(w.change("", "a=0"))
	var group sync.WaitGroup
	results := make([]error, 8)
	for i := range results {
		c := w.change(base, fmt.Sprintf("a=%d", i+1))
		group.Go(func() { _, _, results[i] = w.replicas[i%2].Commit(t.Context(), alice, model, c) })
	}
	group.Wait()
	landed := 0
	for _, err := range results {
		if err == nil {
			landed++
		} else if !errors.Is(err, &openapi.Error{Code: openapi.CodeTagMoved}) {
			t.Error(err)
		}
	}
	if landed != 1 {
		t.Errorf("%d commits landed on one parent", landed)
	}
}

func TestRefusals(t *testing.T) {
	w := newWorld(t)
	w.commit(w.change("", "a=1"))
	lost := w.object("lost")
	w.now = w.now.Add(time.Hour)
	if n, err := w.versions.DropUploads(t.Context(), w.now); n != 1 || err != nil {
		t.Fatalf("%d uploads dropped, %v", n, err)
	}
	tests := []struct {
		name   string
		change commits.Change
		is     func(error) bool
	}{
		{"no such branch", commits.Change{Branch: "dev"}, is(catalog.ErrNoRevision)},
		{"delete nothing", w.change("", "-b"), is(catalog.ErrNoFile)},
		{"delete no folder", w.change("", "-a/"), is(catalog.ErrNoFile)},
		{"a path", w.change("", "../x=1"), is(&openapi.Error{Code: openapi.CodeBadRequest})},
		{"a path below a file", w.change("", "a/b=1"), is(&openapi.Error{Code: openapi.CodeBadRequest})},
		{"paths that differ in case", w.change("", "A=1"), is(&openapi.Error{Code: openapi.CodeBadRequest})},
		{"an object that is gone", commits.Change{Ops: []commits.Op{{Path: "x", Object: lost}}}, is(&openapi.Error{Code: openapi.CodeConflict})},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if _, _, err := w.replicas[0].Commit(t.Context(), alice, model, tt.change); !tt.is(err) {
				t.Errorf("got %v", err)
			}
			w.has("a=1")
		})
	}
}

func is(target error) func(error) bool { return func(err error) bool { return errors.Is(err, target) } }

func TestBranches(t *testing.T) {
	w := newWorld(t)
	w.commit(w.change("", "a=1"))
	c := w.change("", "b=1")
	c.Branch, c.Create = "dev", true
	w.commit(c)
	tag, err := w.versions.Tag(t.Context(), alice, model, "dev")
	if err != nil || !tag.Branch {
		t.Errorf("%+v, %v", tag, err)
	}
	c.Create, c.Ops = false, w.change("", "b=2").Ops
	w.commit(c)
	if tag, err = w.versions.Tag(t.Context(), alice, model, "dev"); err != nil || !tag.Branch {
		t.Errorf("after another commit: %+v, %v", tag, err)
	}
	if _, files := w.read("dev"); !slices.Equal(files, []string{"b=2"}) {
		t.Errorf("the branch has %q", files)
	}
	if err := w.versions.DeleteTag(t.Context(), alice, model, "dev", ""); err != nil {
		t.Fatal(err)
	}
	if _, err = w.versions.SetTag(t.Context(), alice, model, "dev", openapi.SetTag{Digest: tag.Digest}); err != nil {
		t.Fatal(err)
	}
	if tag, err = w.versions.Tag(t.Context(), alice, model, "dev"); err != nil || tag.Branch {
		t.Errorf("a tag of that name: %+v, %v", tag, err)
	}
	w.has("a=1")
}

func TestSquash(t *testing.T) {
	w := newWorld(t)
	w.commit(w.change("", "a=1"))
	w.commit(w.change("", "b:2"))
	commit, err := w.replicas[0].Squash(t.Context(), alice, model, "main", map[string]string{"hf.title": "all"})
	if err != nil {
		t.Fatal(err)
	}
	w.has("a=1", "b=2")
	r, _ := w.read("main")
	if !r.Manifest.Parent.IsZero() || r.Info.Digest.String()[:40] != commit || len(w.hashes("main")) != 2 {
		t.Errorf("squashed it is %s with parent %s", commit, r.Manifest.Parent.Short())
	}
	if again, err := w.replicas[0].Squash(t.Context(), alice, model, "main", map[string]string{"hf.title": "all"}); err != nil || again != commit {
		t.Errorf("squashed again: %s, %v", again, err)
	}
	if _, err := w.replicas[0].Squash(t.Context(), alice, model, "dev", nil); !errors.Is(err, catalog.ErrNoRevision) {
		t.Errorf("no such branch: %v", err)
	}
}

func TestIncomplete(t *testing.T) {
	index := `model.safetensors.index.json={"weight_map":{"a":"m-1.safetensors","b":"m-2.safetensors"}}`
	tests := []struct {
		name string
		ops  []string
		want string
	}{
		{"no files", nil, "all files"},
		{"no shards", []string{"a=1"}, ""},
		{"an index first", []string{index}, "m-1.safetensors, m-2.safetensors"},
		{"an index and a shard", []string{index, "m-2.safetensors=1"}, "m-1.safetensors"},
		{"an uploaded index", []string{strings.Replace(index, "=", ":", 1), "m-2.safetensors=1"}, "m-1.safetensors"},
		{"an index and its shards", []string{index, "m-1.safetensors=1", "m-2.safetensors=2"}, ""},
		{"an index in a folder", []string{"sub/" + index, "sub/m-1.safetensors=1", "m-2.safetensors=2"}, "sub/m-2.safetensors"},
		{"another index", []string{`other.index.json=["m-1.safetensors"]`}, ""},
		{"a damaged index", []string{`model.index.json={"weight_map":`}, ""},
		{"shards", []string{"m-00001-of-00002.gguf=1", "m-00002-of-00002.gguf=2"}, ""},
		{"shards of two kinds", []string{"m-00001-of-00002.bin=1", "m-00001-of-00002.gguf=1", "m-00002-of-00002.bin=2"}, "m-00002-of-00002.gguf"},
		{"shards from 0", []string{"m-00000-of-00002.parquet=1", "m-00001-of-00002.parquet=2"}, ""},
		{"many shards", []string{"m-00001-of-99999.bin=1"}, "m-00002-of-99999.bin, m-00003-of-99999.bin, m-00004-of-99999.bin, " +
			"m-00005-of-99999.bin, m-00006-of-99999.bin, m-00007-of-99999.bin, m-00008-of-99999.bin, m-00009-of-99999.bin and 9992 more"},
		{"shards of nothing", []string{"m-00000-of-00000.bin=1"}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			w := newWorld(t)
			w.commit(w.change("", tt.ops...))
			r, _ := w.read("main")
			if got := r.Manifest.Annotation(manifest.Incomplete); got != tt.want {
				t.Errorf("lacks %q, want %q", got, tt.want)
			}
		})
	}
	w := newWorld(t)
	w.commit(w.change("", index, "m-1.safetensors=1"))
	w.commit(w.change("", "m-2.safetensors=2"))
	if r, _ := w.read("main"); r.Manifest.Annotation(manifest.Incomplete) != "" {
		t.Error("the last commit is incomplete")
	}
}
