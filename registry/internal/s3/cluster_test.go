package s3_test

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/integration/storetest"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/s3"
)

// place returns a location in a bucket.
func place(bucket, prefix string) s3.Location { return s3.Location{Bucket: bucket, Prefix: prefix} }

func join(t *testing.T, store *storetest.Store, loc s3.Location, more ...string) (s3.Cluster, error) {
	t.Helper()
	return dialAt(t, store, loc, s3.Options{Buckets: more}).Join(t.Context())
}

func mustJoin(t *testing.T, store *storetest.Store, loc s3.Location, more ...string) s3.Cluster {
	t.Helper()
	c, err := join(t, store, loc, more...)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// refused checks that err is of that kind, one line, and mentions all of words.
func refused(t *testing.T, what string, err, kind error, words ...string) {
	t.Helper()
	if !errors.Is(err, kind) || strings.Contains(err.Error(), "\n") {
		t.Errorf("%s: %v, want one line that is %v", what, err, kind)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v, want it to mention %q", what, err, word)
		}
	}
}

func TestJoin(t *testing.T) {
	both(t, func(t *testing.T, store *storetest.Store) {
		loc := place(store.Bucket(t), "models/prod")
		space := dialAt(t, store, loc, s3.Options{})
		_, err := space.Look(t.Context())
		refused(t, "look at nothing", err, s3.ErrNoCluster)
		made := mustJoin(t, store, loc)
		if made.Format != 1 || len(made.ID) != 32 || !slices.Equal(made.Buckets, []string{loc.Bucket}) || made.Created.IsZero() {
			t.Errorf("the marker says %+v", made)
		}
		if _, err := space.Registers().CAS(t.Context(), "t/x", registers.Absent, nil); err != nil {
			t.Fatal(err)
		}
		if err := space.Blobs().Put(t.Context(), "c/x"); err != nil {
			t.Fatal(err)
		}
		again := mustJoin(t, store, loc)
		seen, err := space.Look(t.Context())
		if err != nil || again.ID != made.ID || seen.ID != made.ID {
			t.Errorf("joined %s, then %s, and see %s, %v", made.ID, again.ID, seen.ID, err)
		}
		const want = `{"format":1,"id":"`
		if doc := store.Want(t, http.StatusOK, http.MethodGet, loc.Bucket+"/models/prod/ingot.json", "", nil); !strings.HasPrefix(string(doc), want) {
			t.Errorf("the marker is %s", doc)
		}
	})
}

// TestJoinRace has many replicas begin at the same moment: there is one registry.
func TestJoinRace(t *testing.T) {
	store := stores.MinIO(t)
	loc, other := place(store.Bucket(t), "p"), store.Bucket(t)
	ids := make([]string, 8)
	var all sync.WaitGroup
	for i := range ids {
		space := dialAt(t, store, loc, s3.Options{Buckets: []string{other}})
		all.Go(func() {
			c, err := space.Join(t.Context())
			if err != nil {
				t.Error(err)
			}
			ids[i] = c.ID
		})
	}
	all.Wait()
	if slices.Sort(ids); ids[0] != ids[len(ids)-1] || ids[0] == "" {
		t.Errorf("the replicas joined %q", ids)
	}
}

// TestJoinForeign refuses to begin where something is, and goes on where something
// came later.
func TestJoinForeign(t *testing.T) {
	store := stores.MinIO(t)
	bucket := store.Bucket(t)
	put := func(key string) { store.Want(t, http.StatusOK, http.MethodPut, bucket+"/"+key, "", []byte("x")) }
	put("photos/cat.jpg")
	_, err := join(t, store, place(bucket, "photos"))
	refused(t, "a prefix with an object", err, s3.ErrForeign, "photos/cat.jpg", bucket)
	_, err = join(t, store, place(bucket, ""))
	refused(t, "a bucket with an object", err, s3.ErrForeign, "photos/cat.jpg")
	_, err = join(t, store, place(bucket, "new"), photosIn(t, store))
	refused(t, "another bucket with an object", err, s3.ErrForeign, "new/dog.jpg")
	mustJoin(t, store, place(bucket, "photo"))
	put("photo/README")
	put("photo/c/bad name")
	put("photo/meta/.x")
	put("photo/album/1")
	mustJoin(t, store, place(bucket, "photo"))
	space := dialAt(t, store, place(bucket, "photo"), s3.Options{})
	if err := space.Blobs().Put(t.Context(), "c/3f0/x"); err != nil {
		t.Fatal(err)
	}
	found, err := space.Foreign(t.Context(), 10)
	want := []string{"s3://" + bucket + "/photo/README", "s3://" + bucket + "/photo/album/1", "s3://" + bucket + "/photo/c/bad name", "s3://" + bucket + "/photo/meta/.x"}
	if err != nil || !slices.Equal(found, want) {
		t.Errorf("foreign objects are %q, %v; want %q", found, err, want)
	}
	if found, err := space.Foreign(t.Context(), 2); err != nil || !slices.Equal(found, want[:2]) {
		t.Errorf("two foreign objects are %q, %v", found, err)
	}
}

// photosIn returns a bucket with an object.
func photosIn(t *testing.T, store *storetest.Store) string {
	t.Helper()
	bucket := store.Bucket(t)
	store.Want(t, http.StatusOK, http.MethodPut, bucket+"/new/dog.jpg", "", []byte("x"))
	return bucket
}

// TestJoinOverlap refuses a prefix inside or around another one.
func TestJoinOverlap(t *testing.T) {
	both(t, func(t *testing.T, store *storetest.Store) {
		bucket := store.Bucket(t)
		mustJoin(t, store, place(bucket, "a/b"))
		for _, prefix := range []string{"a/b/c", "a/b/c/d", "a/b/meta"} {
			_, err := join(t, store, place(bucket, prefix))
			refused(t, prefix+" inside", err, s3.ErrOverlap, "s3://"+bucket+"/a/b")
		}
		for _, prefix := range []string{"a", ""} {
			_, err := join(t, store, place(bucket, prefix))
			refused(t, prefix+" around", err, s3.ErrForeign, "a/b/ingot.json")
		}
		mustJoin(t, store, place(bucket, "a/bc"))
		mustJoin(t, store, place(bucket, "a/x/b"))
		// As it is left when two begin at the same moment.
		marker := store.Want(t, http.StatusOK, http.MethodGet, bucket+"/a/b/ingot.json", "", nil)
		store.Want(t, http.StatusOK, http.MethodPut, bucket+"/a/ingot.json", "", marker)
		_, err := join(t, store, place(bucket, "a"))
		refused(t, "around", err, s3.ErrOverlap, "s3://"+bucket+"/a/b")
		_, err = join(t, store, place(bucket, "a/b"))
		refused(t, "inside", err, s3.ErrOverlap, "s3://"+bucket+"/a")
	})
}

// TestJoinFormat refuses markers that this program cannot know.
func TestJoinFormat(t *testing.T) {
	store := stores.MinIO(t)
	for name, doc := range map[string]string{
		"later": `{"format":2,"id":"x","buckets":["BUCKET"]}`, "text": "hello", "empty": "", "none": `{}`, "copied": `{"format":1,"id":"x","buckets":["other-bucket"]}`,
		"nobody": `{"format":1,"buckets":["BUCKET"]}`,
	} {
		bucket := store.Bucket(t)
		store.Want(t, http.StatusOK, http.MethodPut, bucket+"/p/ingot.json", "", []byte(strings.ReplaceAll(doc, "BUCKET", bucket)))
		_, err := join(t, store, place(bucket, "p"))
		refused(t, name, err, s3.ErrFormat)
		if got := store.Want(t, http.StatusOK, http.MethodGet, bucket+"/p/ingot.json", "", nil); string(got) != strings.ReplaceAll(doc, "BUCKET", bucket) {
			t.Errorf("%s: the marker became %s", name, got)
		}
	}
}

// TestMoreBuckets brings buckets to a registry that runs, and leaves some out.
func TestMoreBuckets(t *testing.T) {
	store := stores.MinIO(t)
	loc, second, third := place(store.Bucket(t), "p"), store.Bucket(t), store.Bucket(t)
	old := dialAt(t, store, loc, s3.Options{})
	first, err := old.Join(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	fill := func(space *s3.Space, who string) {
		t.Helper()
		for i := range 10 {
			if err := space.Blobs().Put(t.Context(), fmt.Sprintf("c/%d.%s", i, who), []byte(who)); err != nil {
				t.Fatal(err)
			}
		}
	}
	fill(old, "old")
	grown := dialAt(t, store, loc, s3.Options{Buckets: []string{second, third}})
	c, err := grown.Join(t.Context())
	if err != nil || c.ID != first.ID || !slices.Equal(c.Buckets, []string{loc.Bucket, second, third}) {
		t.Fatalf("joined %+v, %v", c, err)
	}
	fill(grown, "grown")
	for _, space := range []*s3.Space{old, grown} {
		names := 0
		for info, err := range space.Blobs().List(t.Context(), "c/", "") {
			if err != nil {
				t.Fatal(err)
			}
			if _, err := readAll(t.Context(), space.Blobs(), info.Name, 0, -1); err != nil {
				t.Error(err)
			}
			names++
		}
		if names != 20 {
			t.Errorf("%d blobs are listed, want 20", names)
		}
	}
	_, err = join(t, store, loc)
	refused(t, "without its buckets", err, s3.ErrBuckets, second)
	_, err = join(t, store, loc, third)
	refused(t, "without one bucket", err, s3.ErrBuckets, second)
	_, err = join(t, store, place(second, "p"), third, loc.Bucket)
	refused(t, "from another bucket", err, s3.ErrBuckets, loc.Bucket)
	_, err = join(t, store, place(store.Bucket(t), "p"), second)
	refused(t, "with the bucket of another registry", err, s3.ErrOverlap, second)
	mustJoin(t, store, loc, third, second)
}

// TestFollowBuckets has a replica read a blob in a bucket that another one brought.
func TestFollowBuckets(t *testing.T) {
	store := stores.MinIO(t)
	loc := place(store.Bucket(t), "p")
	old := dialAt(t, store, loc, s3.Options{})
	if _, err := old.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	grown := dialAt(t, store, loc, s3.Options{Buckets: []string{store.Bucket(t)}})
	if _, err := grown.Join(t.Context()); err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		name := fmt.Sprintf("c/%d", i)
		if err := grown.Blobs().Put(t.Context(), name, []byte(name)); err != nil {
			t.Fatal(err)
		}
		if got, err := readAll(t.Context(), old.Blobs(), name, 0, -1); err != nil || got != name {
			t.Errorf("%s is %q, %v", name, got, err)
		}
	}
	if err := old.Blobs().Delete(t.Context(), []string{"c/0", "c/1", "c/2", "c/3"}); err != nil {
		t.Fatal(err)
	}
	for i := range 4 {
		if _, err := grown.Blobs().Stat(t.Context(), fmt.Sprintf("c/%d", i)); !errors.Is(err, blobs.ErrNotFound) {
			t.Errorf("a deleted blob: %v", err)
		}
	}
}

// TestScratch probes beside a registry and leaves nothing.
func TestScratch(t *testing.T) {
	both(t, func(t *testing.T, store *storetest.Store) {
		space := dial(t, store, s3.Options{Buckets: []string{store.Bucket(t)}})
		scratch, remove, err := space.Scratch(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		for i := range 10 {
			if err := scratch.Blobs().Put(t.Context(), fmt.Sprintf("c/%d", i), []byte("x")); err != nil {
				t.Fatal(err)
			}
			if _, err := scratch.Registers().CAS(t.Context(), fmt.Sprintf("k/%d", i), registers.Absent, nil); err != nil {
				t.Fatal(err)
			}
		}
		for info, err := range space.Blobs().List(t.Context(), "", "") {
			t.Errorf("the space has %s, %v", info.Name, err)
		}
		if _, err := space.Join(t.Context()); err != nil {
			t.Errorf("beside a probe: %v", err)
		}
		if err := remove(t.Context()); err != nil {
			t.Fatal(err)
		}
		for info, err := range scratch.Blobs().List(t.Context(), "", "") {
			t.Errorf("%s is left, %v", info.Name, err)
		}
		if entries, err := scratch.Registers().List(t.Context(), "", "", 10); err != nil || len(entries) > 0 {
			t.Errorf("registers %v are left, %v", entries, err)
		}
	})
}

// TestBucketOrder holds the choice of a bucket to docs/formats/registry.md: a change
// of it costs a look into every bucket for every blob there is.
func TestBucketOrder(t *testing.T) {
	for _, buckets := range [][]string{{"ingot-one", "ingot-two", "ingot-three"}, {"ingot-three", "ingot-one", "ingot-two"}} {
		got := s3.Order(buckets, "c/3f0/3f01.push.0")
		if want := []string{"ingot-three", "ingot-two", "ingot-one"}; !slices.Equal(got, want) {
			t.Errorf("the order is %q, want %q", got, want)
		}
	}
	moved := 0
	for i := range 1000 {
		name := fmt.Sprintf("c/%d", i)
		two, three := s3.Order([]string{"ingot-one", "ingot-two"}, name), s3.Order([]string{"ingot-one", "ingot-two", "ingot-three"}, name)
		if two[0] != three[0] {
			moved++
		}
	}
	if moved < 250 || moved > 420 {
		t.Errorf("a third bucket takes %d of 1000 blobs", moved)
	}
}

// TestJoinRights has credentials that are good for the prefix only.
func TestJoinRights(t *testing.T) {
	space, w := wired(t)
	above := func(req *http.Request) bool {
		return req.Method == http.MethodHead && !strings.Contains(req.URL.Path, "/some/prefix/")
	}
	w.fail(above, many(10, page(http.StatusForbidden, ""))...)
	if _, err := space.Join(t.Context()); err != nil {
		t.Errorf("join: %v", err)
	}
	if w.count(above) == 0 {
		t.Error("nobody looked above")
	}
}
