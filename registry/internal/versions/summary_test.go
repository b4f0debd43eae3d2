package versions_test

import (
	"context"
	"fmt"
	"io"
	"os"
	"reflect"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

func (w *world) summary(p access.Principal, f versions.SummaryFilter) openapi.Summary {
	w.t.Helper()
	sum, err := w.Summary(w.t.Context(), p, f)
	if err != nil {
		w.t.Fatal(err)
	}
	return sum
}

// TestSummary sums up models that share a chunk, and tells who saves what.
func TestSummary(t *testing.T) {
	w := newWorld(t)
	if got := w.summary(alice, versions.SummaryFilter{}); len(got.Models) != 0 || got.Weighed == nil || got.Weighed.Total != 0 {
		t.Errorf("of nothing: %+v", got)
	}
	first := newVersion(t, chunker.Digest{}, large(1), small(2))
	second := newVersion(t, first.digest, large(1), small(3))
	w.push(alice, model, first, "main")
	w.now = w.now.Add(time.Hour)
	w.push(bob, model, second, "next")
	w.push(alice, other, first, "main")
	w.push(alice, name.Repo{Namespace: "acme-2", Name: "Zeta"}, first, "v1")

	size := int64(len(large(1)) + len(small(2)))
	got := w.summary(alice, versions.SummaryFilter{Limit: 10})
	var names []string
	for _, m := range got.Models {
		names = append(names, m.Name)
	}
	if want := []string{"acme/model", "acme/other", "acme-2/Zeta"}; !slices.Equal(names, want) {
		t.Errorf("models %q, want %q", names, want)
	}
	m := got.Models[0]
	at := w.now
	stored := m.Stored
	want := openapi.ModelSummary{
		Name: "acme/model", Versions: 2, Tags: 2, Latest: second.digest.String(), LatestTags: []string{"next"}, Updated: &at, By: "bob",
		OfLatest: size, Total: 2 * size, Stored: stored,
	}
	if !reflect.DeepEqual(m, want) || stored == 0 {
		t.Errorf("model %+v, want %+v", m, want)
	}
	if want := (openapi.SummaryTotals{Models: 3, Namespaces: 2, Versions: 4, Tags: 4, Total: 4 * size}); got.Totals != want {
		t.Errorf("totals %+v, want %+v", got.Totals, want)
	}
	weighed := got.Weighed
	unique := size + int64(len(small(3)))
	if weighed.Total != 4*size || weighed.Unique != unique || weighed.Saved.Dedup != 4*size-unique || weighed.Saved.Delta != 0 {
		t.Errorf("weighed %+v", weighed)
	}
	checkWeighed(t, weighed)

	if got := w.summary(alice, versions.SummaryFilter{Search: "ZET"}); len(got.Models) != 1 || got.Totals.Models != 1 || got.Weighed.Total != 4*size {
		t.Errorf("found by a part of the name: %+v", got)
	}
	if got := w.summary(alice, versions.SummaryFilter{Namespace: "acme", Limit: 10}); len(got.Models) != 2 || got.Weighed.Total != 3*size {
		t.Errorf("of a namespace: %+v", got)
	}
}

// checkWeighed fails unless what is saved and what is stored make up everything.
func checkWeighed(t *testing.T, w *openapi.Weighed) {
	t.Helper()
	if s := w.Saved; w.Total-s.Dedup-s.Compression-s.Delta != w.Stored || w.Stored <= 0 {
		t.Errorf("%d bytes less %+v are not %d", w.Total, s, w.Stored)
	}
}

func TestSummaryPages(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, chunker.Digest{}, small(1))
	var want, got []string
	for i := range 7 {
		repo := name.Repo{Namespace: "ns", Name: fmt.Sprintf("m%d", i)}
		want = append(want, repo.String())
		w.push(alice, repo, v, "main")
	}
	for after := ""; ; {
		page := w.summary(alice, versions.SummaryFilter{After: after, Limit: 3})
		if page.Totals.Models != 7 || len(page.Models) > 3 {
			t.Errorf("page of %d models, total %d", len(page.Models), page.Totals.Models)
		}
		for _, m := range page.Models {
			got = append(got, m.Name)
		}
		if after = page.Next; after == "" {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("pages have %q, want %q", got, want)
	}
	_, err := w.Summary(t.Context(), alice, versions.SummaryFilter{After: "no name"})
	wants(t, "after no name", err, openapi.CodeBadName)
	_, err = w.Summary(t.Context(), alice, versions.SummaryFilter{Namespace: "a/b"})
	wants(t, "of no namespace", err, openapi.CodeBadName)
}

// TestSummaryHidesOthers counts for each caller only what it may read.
func TestSummaryHidesOthers(t *testing.T) {
	w := newWorld(t)
	w.config.Policy = owners{alice.Subject: "acme", bob.Subject: "beta"}
	w.restart()
	shared := newVersion(t, chunker.Digest{}, large(1))
	w.push(alice, model, shared, "main")
	alone := w.summary(alice, versions.SummaryFilter{})
	w.push(bob, name.Repo{Namespace: "beta", Name: "x"}, shared, "main")
	if got := w.summary(alice, versions.SummaryFilter{}); !reflect.DeepEqual(got, alone) {
		t.Errorf("what somebody else has stored shows:\n%+v\nbefore\n%+v", got, alone)
	}
	if got := w.summary(bob, versions.SummaryFilter{Namespace: "acme"}); len(got.Models) != 0 || got.Totals.Models != 0 || got.Weighed.Total != 0 {
		t.Errorf("bob sees %+v", got)
	}
	stats, err := w.Stats(t.Context(), bob, "acme")
	if err != nil || stats.Repos != 0 || stats.Stored != 0 {
		t.Errorf("bob's figures of acme: %+v, %v", stats, err)
	}
}

// owners lets each subject do everything in one namespace.
type owners map[string]string

// Allow implements access.Policy.
func (o owners) Allow(p access.Principal, repo name.Repo, _ access.Action) error {
	if o[p.Subject] != repo.Namespace {
		return access.ErrDenied
	}
	return nil
}

// reads counts what is read of registers and blobs.
type reads struct{ registers, blobs atomic.Int64 }

type countedRegisters struct {
	registers.Engine
	*reads
}

func (c countedRegisters) Get(ctx context.Context, key string) ([]byte, registers.Version, error) {
	c.registers.Add(1)
	return c.Engine.Get(ctx, key)
}

type countedBlobs struct {
	blobs.Store
	*reads
}

func (c countedBlobs) Open(ctx context.Context, name string, off, n int64) (io.ReadCloser, error) {
	c.blobs.Add(1)
	return c.Store.Open(ctx, name, off, n)
}

// TestSummaryReadsOnce reads nothing again that has not changed, however many models there
// are; a thousand with INGOT_LARGE.
func TestSummaryReadsOnce(t *testing.T) {
	w := newWorld(t)
	models := 200
	if os.Getenv("INGOT_LARGE") != "" {
		models = 1000
	}
	for i := range models {
		v := newVersion(t, chunker.Digest{}, small(uint64(i)))
		w.push(alice, name.Repo{Namespace: "ns", Name: fmt.Sprintf("m%d", i)}, v, "main")
	}
	counted := new(reads)
	w.config.Registers, w.config.Blobs = countedRegisters{w.engine, counted}, countedBlobs{w.store, counted}
	w.restart()
	weigh := func() openapi.Stats { // which, unlike a summary, waits for it
		stats, err := w.Stats(t.Context(), alice, "ns")
		if err != nil {
			t.Fatal(err)
		}
		return stats
	}
	if got := weigh(); got.Repos != models {
		t.Fatalf("weighed: %+v", got)
	}
	if got := counted.registers.Load(); got != int64(2*models) {
		t.Errorf("%d registers were read, want those of %d versions and as many tags", got, models)
	}
	counted.registers.Store(0)
	counted.blobs.Store(0)
	for range 3 {
		w.now = w.now.Add(time.Hour)
		if got := w.summary(alice, versions.SummaryFilter{Namespace: "ns", Search: "m19", Limit: 1000}); len(got.Models) != 11 || got.Weighed == nil {
			t.Fatalf("%d models, weighed %v", len(got.Models), got.Weighed)
		}
	}
	begun := time.Now()
	w.summary(alice, versions.SummaryFilter{Limit: models})
	t.Logf("a summary of %d models takes %v", models, time.Since(begun))
	before := weigh()
	if n := counted.registers.Load() + counted.blobs.Load(); n != 0 {
		t.Errorf("%d registers and %d blobs were read again", counted.registers.Load(), counted.blobs.Load())
	}
	w.push(alice, name.Repo{Namespace: "ns", Name: "new"}, newVersion(t, chunker.Digest{}, small(5000)), "main")
	w.now = w.now.Add(time.Hour)
	counted.registers.Store(0)
	counted.blobs.Store(0)
	if got := w.summary(alice, versions.SummaryFilter{Limit: 1}); got.Totals.Models != models+1 {
		t.Errorf("after a push: %+v", got.Totals)
	}
	if after := weigh(); after.Unique <= before.Unique || after.Versions != models+1 {
		t.Errorf("weighed %+v after a push, %+v before", after, before)
	}
	if n, m := counted.registers.Load(), counted.blobs.Load(); n > 4 || m > 1 {
		t.Errorf("%d registers and %d blobs were read after one push", n, m)
	}
}

// noted makes a version of one chunk with annotations.
func noted(t *testing.T, parent chunker.Digest, plain []byte, annotations ...manifest.Annotation) *version {
	t.Helper()
	v := newVersion(t, parent, plain)
	m, err := manifest.Parse(v.doc)
	if err != nil {
		t.Fatal(err)
	}
	m.Annotations = annotations
	if v.doc, err = m.Encode(); err != nil {
		t.Fatal(err)
	}
	v.digest = manifest.Name(v.doc)
	return v
}

func (w *world) repoSummary(after chunker.Digest, limit int) openapi.RepoSummary {
	w.t.Helper()
	sum, err := w.RepoSummary(w.t.Context(), alice, model, after, limit)
	if err != nil {
		w.t.Fatal(err)
	}
	return sum
}

// TestRepoSummary follows a line of versions, one of which is retired, and a branch.
func TestRepoSummary(t *testing.T) {
	w := newWorld(t)
	push := func(v *version, tag string) *version {
		w.now = w.now.Add(time.Minute)
		w.push(alice, model, v, tag)
		return v
	}
	base := push(noted(t, chunker.Digest{}, large(1)), "base")
	gone := push(newVersion(t, base.digest, large(1), small(2)), "")
	line := push(newVersion(t, gone.digest, large(1), small(2), small(3)), "main")
	branch := push(noted(t, base.digest, small(4),
		manifest.Annotation{Key: "eval.acc", Value: "0.5"}, manifest.Annotation{Key: "ingot.loss", Value: "1.5"},
		manifest.Annotation{Key: "ingot.run", Value: "r1"}, manifest.Annotation{Key: "ingot.step", Value: "10"},
		manifest.Annotation{Key: "note", Value: "no number"}, manifest.Annotation{Key: "odd", Value: "NaN"},
	), "branch")
	if err := w.Delete(t.Context(), alice, model, gone.digest); err != nil {
		t.Fatal(err)
	}
	sum := w.repoSummary(chunker.Digest{}, 0)
	if sum.Count != 3 || sum.Name != "acme/model" || len(sum.Tags) != 3 || sum.More || sum.Tags[0].Name != "branch" || sum.Tags[2].Name != "base" {
		t.Errorf("summary %+v", sum)
	}
	if len(sum.Versions) != 1 || sum.Next != branch.digest.String() {
		t.Fatalf("a page of one: %+v", sum.Versions)
	}
	rest := w.repoSummary(branch.digest, 10)
	if len(rest.Versions) != 2 || rest.Next != "" || rest.Versions[0].Digest != line.digest || rest.Versions[1].Digest != base.digest {
		t.Fatalf("the rest: %+v", rest.Versions)
	}
	b := sum.Versions[0]
	if b.Step != "10" || b.Loss != "1.5" || b.Run != "r1" || b.Parent != base.digest.String() || !slices.Equal(b.Tags, []string{"branch"}) ||
		!reflect.DeepEqual(b.Metrics, map[string]float64{"eval.acc": 0.5, "ingot.loss": 1.5}) {
		t.Errorf("the branch: %+v", b)
	}
	// The line is beside the base, since what is between them is gone.
	added := int64(len(line.chunks[chunker.Sum(small(2))]) + len(line.chunks[chunker.Sum(small(3))]))
	if l := rest.Versions[0]; l.Parent != gone.digest.String() || l.New != 2 || l.Added != added || l.Chunks != 3 {
		t.Errorf("the line: %+v, want 2 new chunks of %d bytes", l, added)
	}
	if root := rest.Versions[1]; root.New != 1 || root.Parent != "" || root.Metrics != nil {
		t.Errorf("the root: %+v", root)
	}
	if again := w.repoSummary(branch.digest, 10); !reflect.DeepEqual(again, rest) {
		t.Errorf("asked again: %+v", again)
	}
	_, err := w.RepoSummary(t.Context(), alice, model, chunker.Sum([]byte("nothing")), 1)
	wants(t, "behind what never was", err, openapi.CodeNotFound)
	_, err = w.RepoSummary(t.Context(), alice, name.Repo{Namespace: "acme", Name: "nothing"}, chunker.Digest{}, 1)
	wants(t, "of nothing", err, openapi.CodeNotFound)
	w.config.Policy = owners{}
	w.restart()
	_, err = w.RepoSummary(t.Context(), bob, model, chunker.Digest{}, 1)
	wants(t, "of another's", err, openapi.CodeNotFound)
}

// TestRepoSummaryElsewhere finds a parent in another repository only for who may read it.
func TestRepoSummaryElsewhere(t *testing.T) {
	w := newWorld(t)
	base := newVersion(t, chunker.Digest{}, large(1))
	tuned := newVersion(t, base.digest, large(1), small(2))
	w.push(alice, other, base, "main")
	w.push(alice, model, tuned, "main")
	if v := w.repoSummary(chunker.Digest{}, 1).Versions[0]; v.New != 1 || v.Parent != base.digest.String() {
		t.Errorf("beside its parent: %+v", v)
	}
	w.config.Policy = single(model)
	w.Config.Policy = single(model) // what is remembered is for who asked
	if v, err := w.RepoSummary(t.Context(), bob, model, chunker.Digest{}, 1); err != nil || v.Versions[0].New != 2 {
		t.Errorf("to who may not read the parent: %+v, %v", v, err)
	}
}

// single lets everybody do everything in one repository.
type single name.Repo

// Allow implements access.Policy.
func (o single) Allow(_ access.Principal, repo name.Repo, _ access.Action) error {
	if name.Repo(o) != repo {
		return access.ErrDenied
	}
	return nil
}
