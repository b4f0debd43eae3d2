package versions_test

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/registers/registerstest"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// large is over openapi.SmallChunk when encoded, small is under it.
func large(seed uint64) []byte { return plainOf(seed, 300<<10) }
func small(seed uint64) []byte { return plainOf(seed, 1000) }

func TestPush(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, chunker.Digest{}, large(1), large(2), small(3), small(4), small(5))
	id := w.start(alice, model)
	if got := w.missing(alice, id, v); len(got) != 5 {
		t.Fatalf("%d chunks are missing in an empty registry, want 5", len(got))
	}
	swaps, puts := w.engine.swaps.Load(), w.store.puts.Load()
	got := w.upload(alice, id, v, v.order)
	if want := int64(3); w.store.puts.Load()-puts != want {
		t.Errorf("two large and three small chunks became %d blobs, want %d", w.store.puts.Load()-puts, want)
	}
	if got.Chunks != 5 || got.New != 5 {
		t.Errorf("got %+v", got)
	}
	if again := w.upload(alice, id, v, v.order); again.New != 0 || again.Stored != 0 || w.store.puts.Load()-puts != 3 {
		t.Errorf("the same chunks again: %+v", again)
	}
	done, err := w.Commit(t.Context(), alice, id, v.doc, "main", "")
	if err != nil || !done.Created || done.Digest != v.digest || done.Tag == nil || done.Tag.Digest != v.digest {
		t.Fatalf("commit: %+v, %v", done, err)
	}
	// Pending, committed, tag, push done; one body.
	if s, p := w.engine.swaps.Load()-swaps, w.store.puts.Load()-puts; s != 4 || p != 4 {
		t.Errorf("%d registers written and %d blobs made, want 4 and 4", s, p)
	}
	w.check(bob, model, v)
	if n := w.push(bob, model, v, "again"); n != 0 {
		t.Errorf("the second push of a version uploads %d chunks", n)
	}
	if n := w.push(bob, other, v, "main"); n != 0 {
		t.Errorf("a push to another repository uploads %d chunks", n)
	}
	w.check(bob, other, v)
}

func TestVariantUploadsWhatDiffers(t *testing.T) {
	w := newWorld(t)
	base := newVersion(t, chunker.Digest{}, large(1), large(2), small(3))
	w.push(alice, model, base, "base")
	variant := newVersion(t, base.digest, large(1), large(9), small(3))
	if n := w.push(alice, model, variant, "variant"); n != 1 {
		t.Errorf("the variant uploads %d chunks, want 1", n)
	}
	w.check(alice, model, variant)
	list, err := w.Versions(t.Context(), alice, model, "", 10)
	if err != nil || len(list.Versions) != 2 {
		t.Fatalf("versions: %+v, %v", list, err)
	}
}

func TestUncommittedIsInvisible(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, chunker.Digest{}, large(1), small(2))
	id := w.start(alice, model)
	w.upload(alice, id, v, v.order)
	_, err := w.Manifest(t.Context(), alice, model, v.digest)
	wants(t, "manifest", err, openapi.CodeNotFound)
	if got := w.missing(bob, w.start(bob, model), v); len(got) != 2 {
		t.Errorf("another push is told of chunks that no version has: %d missing, want 2", len(got))
	}
	repos, err := w.Repos(t.Context(), alice, "", "", 10)
	if err != nil || len(repos.Repos) != 0 {
		t.Errorf("repositories: %+v, %v", repos, err)
	}
}

// TestRestart loses all memory in the middle of a push, as another replica does
// that sees the push for the first time.
func TestRestart(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, chunker.Digest{}, large(1), large(2), small(3), small(4))
	id := w.start(alice, model)
	single, err := w.PutChunk(t.Context(), alice, id, chunker.Sum(large(1)), v.chunks[chunker.Sum(large(1))])
	if err != nil || single.New != 1 {
		t.Fatalf("put: %+v, %v", single, err)
	}
	w.upload(alice, id, v, []chunker.Digest{chunker.Sum(small(3)), chunker.Sum(small(4))})
	w.restart()
	if got := w.missing(alice, id, v); !slices.Equal(got, []chunker.Digest{chunker.Sum(large(2))}) {
		t.Fatalf("missing after a restart: %v", got)
	}
	puts := w.store.puts.Load()
	w.restart()
	if again, err := w.PutChunk(t.Context(), alice, id, chunker.Sum(large(1)), v.chunks[chunker.Sum(large(1))]); err != nil || again.New != 0 {
		t.Errorf("a chunk that arrived before the restart: %+v, %v", again, err)
	}
	w.upload(alice, id, v, []chunker.Digest{chunker.Sum(large(2))})
	w.restart()
	if _, err := w.Commit(t.Context(), alice, id, v.doc, "main", ""); err != nil {
		t.Fatal(err)
	}
	w.check(alice, model, v)
	if got := w.store.puts.Load() - puts; got != 3 { // the chunk that exists, the one that does not, the body
		t.Errorf("%d blobs written", got)
	}
}

// TestCommitAgain repeats a commit whose answer was lost.
func TestCommitAgain(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, chunker.Digest{}, large(1))
	id := w.start(alice, model)
	w.upload(alice, id, v, v.order)
	for range 3 {
		done, err := w.Commit(t.Context(), alice, id, v.doc, "main", openapi.ExpectNone)
		if err != nil || !done.Created {
			t.Fatalf("got %+v, %v", done, err)
		}
		w.restart()
	}
	push, err := w.Push(t.Context(), alice, id)
	if err != nil || push.State != openapi.PushDone {
		t.Errorf("got %+v, %v", push, err)
	}
	_, err = w.Missing(t.Context(), alice, id, v.order)
	wants(t, "a push that is done", err, openapi.CodePushClosed)
}

func TestConcurrentCommits(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, chunker.Digest{}, large(1), small(2))
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		id := w.start(alice, model)
		w.upload(alice, id, v, v.order)
		replica := versions.New(w.config)
		wg.Go(func() {
			_, errs[i] = replica.Commit(t.Context(), alice, id, v.doc, fmt.Sprintf("tag-%d", i), "")
		})
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			t.Error(err)
		}
	}
	w.check(alice, model, v)
	tags, err := w.Tags(t.Context(), alice, model, "", 10)
	if err != nil || len(tags.Tags) != len(errs) {
		t.Errorf("tags: %+v, %v", tags, err)
	}
}

// TestLostAnswers pushes over an engine that loses the answers of its writes.
func TestLostAnswers(t *testing.T) {
	for seed := range uint64(20) {
		w := newWorld(t)
		w.config.Registers = registerstest.NewFlaky(w.engine, seed, 0.3)
		w.restart()
		v := newVersion(t, chunker.Digest{}, large(seed), small(seed))
		w.push(alice, model, v, "main")
		w.check(alice, model, v)
	}
}

func TestBadChunks(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, chunker.Digest{}, large(1), small(2))
	id := w.start(alice, model)
	good, d := v.chunks[chunker.Sum(large(1))], chunker.Sum(large(1))
	damaged := slices.Clone(good)
	damaged[len(damaged)/2] ^= 1
	for name, c := range map[string]versions.Encoded{
		"other bytes": {Digest: d, Bytes: v.chunks[chunker.Sum(small(2))]},
		"damaged":     {Digest: d, Bytes: damaged},
		"cut short":   {Digest: d, Bytes: good[:len(good)-1]},
		"empty":       {Digest: d},
		"raw":         {Digest: d, Bytes: large(1)},
	} {
		puts := w.store.puts.Load()
		_, err := w.PutChunk(t.Context(), alice, id, c.Digest, c.Bytes)
		wants(t, name, err, openapi.CodeBadChunk)
		small := versions.Encoded{Digest: chunker.Sum(small(2)), Bytes: v.chunks[chunker.Sum(small(2))]}
		_, err = w.PutBatch(t.Context(), alice, id, []versions.Encoded{small, c})
		wants(t, name+" in a batch", err, openapi.CodeBadChunk)
		if got := w.store.puts.Load() - puts; got != 0 {
			t.Errorf("%s: %d blobs were made of it", name, got)
		}
	}
	if got := w.missing(alice, id, v); len(got) != 2 {
		t.Errorf("%d chunks are missing after bad ones, want 2", len(got))
	}
}

func TestBadCommits(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, chunker.Digest{}, large(1), small(2))
	id := w.start(alice, model)
	w.upload(alice, id, v, v.order[:1])
	_, err := w.Commit(t.Context(), alice, id, v.doc, "main", "")
	if e := failure(t, "a chunk is missing", err, openapi.CodeMissingChunks); len(e.Missing) != 1 {
		t.Errorf("missing %v", e.Missing)
	}
	w.upload(alice, id, v, v.order[1:])

	lie := manifest.NewBuilder()
	lie.Add(manifest.File{Path: "a", Size: 7, Format: "opaque"}, []chunker.Ref{{Digest: v.order[0], Size: 7}})
	m, err := lie.Build(chunker.Digest{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	doc, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.Commit(t.Context(), alice, id, doc, "main", "")
	wants(t, "a chunk of another length", err, openapi.CodeBadManifest)
	_, err = w.Commit(t.Context(), alice, id, v.doc[:20], "main", "")
	wants(t, "half a document", err, openapi.CodeBadManifest)
	_, err = w.Commit(t.Context(), alice, id, newVersion(t, chunker.Sum([]byte("no version")), large(1)).doc, "main", "")
	wants(t, "an unknown parent", err, openapi.CodeBadManifest)
	_, err = w.Commit(t.Context(), alice, id, v.doc, "-", "")
	wants(t, "a bad tag", err, openapi.CodeBadName)
	for _, bad := range []string{"", "x", strings.Repeat("g", 20), strings.Repeat("a", 21), "../../meta/aaaaaaaaaa"} {
		_, err := w.Push(t.Context(), alice, bad)
		wants(t, "push id "+bad, err, openapi.CodeBadName)
	}
	_, err = w.Push(t.Context(), bob, id)
	wants(t, "somebody else's push", err, openapi.CodeNotFound)
	if _, err := w.Commit(t.Context(), alice, id, v.doc, "main", ""); err != nil {
		t.Errorf("after all these: %v", err)
	}
}

func TestExpiry(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, chunker.Digest{}, small(1))
	id := w.start(alice, model)
	w.now = w.now.Add(versions.DefaultPushTTL - time.Second)
	w.upload(alice, id, v, v.order)
	w.now = w.now.Add(time.Second)
	_, err := w.PutChunk(t.Context(), alice, id, v.order[0], v.chunks[v.order[0]])
	wants(t, "put", err, openapi.CodePushClosed)
	_, err = w.Commit(t.Context(), alice, id, v.doc, "", "")
	wants(t, "commit", err, openapi.CodePushClosed)
}

// TestSharedBundle reads chunks of a bundle through a version that needs only
// some of them.
func TestSharedBundle(t *testing.T) {
	w := newWorld(t)
	var plains [][]byte
	for i := range uint64(100) {
		plains = append(plains, small(i))
	}
	all := newVersion(t, chunker.Digest{}, plains...)
	puts := w.store.puts.Load()
	w.push(alice, model, all, "all")
	if got := w.store.puts.Load() - puts; got != 2 {
		t.Errorf("100 tiny chunks and a body are %d blobs, want 2", got)
	}
	w.check(alice, model, all)
	some := newVersion(t, chunker.Digest{}, small(50), small(3))
	if n := w.push(alice, other, some, "some"); n != 0 {
		t.Errorf("uploads %d chunks", n)
	}
	w.check(alice, other, some)
}

// collect publishes a list of names as a collection would.
func (w *world) collect(epoch uint64, phase string, names ...string) {
	w.t.Helper()
	list := fmt.Sprintf("gl/%016x.nonce.D", epoch)
	if err := w.store.Store.Put(w.t.Context(), list, placement.EncodeList(names)); err != nil {
		w.t.Fatal(err)
	}
	_, v, err := w.engine.Engine.Get(w.t.Context(), "g/state")
	if err != nil {
		v = ""
	}
	val := fmt.Sprintf(`{"v":1,"nonce":"n%d","epoch":%d,"phase":%q,"list":%q}`, epoch, epoch, phase, list)
	if _, err := w.engine.Engine.CAS(w.t.Context(), "g/state", v, []byte(val)); err != nil {
		w.t.Fatal(err)
	}
}

// blobsOf returns the names that start with prefix.
func (w *world) blobsOf(prefix string) (names []string) {
	w.t.Helper()
	for info, err := range w.store.List(w.t.Context(), prefix, "") {
		if err != nil {
			w.t.Fatal(err)
		}
		names = append(names, info.Name)
	}
	return names
}

// objectOf returns the blob that holds a large chunk.
func (w *world) objectOf(d chunker.Digest) string {
	w.t.Helper()
	names := w.blobsOf("c/" + d.String()[:3] + "/" + d.String())
	if len(names) == 0 {
		w.t.Fatalf("chunk %s is no blob", d.Short())
	}
	return names[0]
}

// TestCondemnedCountsAsAbsent starts a push while a collection wants a chunk.
func TestCondemnedCountsAsAbsent(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, chunker.Digest{}, large(1), large(2))
	w.push(alice, model, v, "main")
	w.collect(1, "condemned", w.objectOf(chunker.Sum(large(1))))
	next := newVersion(t, v.digest, large(1), large(2), small(3))
	id := w.start(alice, model)
	if got := w.missing(alice, id, next); len(got) != 2 || !slices.Contains(got, chunker.Sum(large(1))) {
		t.Fatalf("missing %v", got)
	}
	w.upload(alice, id, next, next.order)
	if _, err := w.Commit(t.Context(), alice, id, next.doc, "next", ""); err != nil {
		t.Fatal(err)
	}
	w.check(alice, model, next)
}

// TestCollectionBetweenPublishAndCommit condemns chunks of a push that has begun:
// its own and one that it found.
func TestCollectionBetweenPublishAndCommit(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, chunker.Digest{}, large(1))
	w.push(alice, model, v, "main")
	next := newVersion(t, v.digest, large(1), large(2), large(3), small(4))
	id := w.start(alice, model)
	w.upload(alice, id, next, w.missing(alice, id, next))
	condemned := []string{w.objectOf(chunker.Sum(large(1))), w.objectOf(chunker.Sum(large(2)))}
	w.engine.before = func(key string) {
		if strings.HasPrefix(key, "m/") { // P3
			w.engine.before = nil
			w.collect(1, "condemned", condemned...)
		}
	}
	_, err := w.Commit(t.Context(), alice, id, next.doc, "next", "")
	if e := failure(t, "commit", err, openapi.CodeMissingChunks); len(e.Missing) != 2 {
		t.Fatalf("missing %v, want 2", e.Missing)
	}
	_, err = w.Manifest(t.Context(), alice, model, next.digest)
	wants(t, "a version that names condemned chunks", err, openapi.CodeNotFound)
	w.restart() // another replica goes on
	if got := w.missing(alice, id, next); len(got) != 2 {
		t.Fatalf("missing %v, want the condemned two", got)
	}
	w.upload(alice, id, next, next.order)
	if _, err := w.Commit(t.Context(), alice, id, next.doc, "next", ""); err != nil {
		t.Fatal(err)
	}
	w.check(alice, model, next)
}

// TestForgottenCollection goes on with a push that is older than all lists.
func TestForgottenCollection(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, chunker.Digest{}, large(1))
	id := w.start(alice, model)
	w.upload(alice, id, v, v.order)
	w.collect(5, "idle")
	_, err := w.Commit(t.Context(), alice, id, v.doc, "", "")
	wants(t, "commit", err, openapi.CodePushClosed)
}

func TestHashes(t *testing.T) {
	w := newWorld(t)
	v := newVersion(t, chunker.Digest{}, []byte("abc"), large(1))
	w.push(alice, model, v, "main")
	puts := w.store.puts.Load()
	if err := w.HashPending(t.Context()); err != nil {
		t.Fatal(err)
	}
	got, err := w.FileHashes(t.Context(), bob, model, v.digest)
	if err != nil || len(got.Files) != 2 {
		t.Fatalf("got %+v, %v", got, err)
	}
	const abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad" // published
	if f := got.Files[0]; f.SHA256 != abc || f.Size != 3 || f.Path != "aa" {
		t.Errorf("got %+v", f)
	}
	if n := w.store.puts.Load() - puts; n != 1 {
		t.Errorf("hashed %d times", n)
	}
}
