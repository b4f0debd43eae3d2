package s3_test

import (
	"net/http"
	"os"
	"slices"
	"testing"

	"github.com/ingot-ml/ingot/integration/needtest"
	"github.com/ingot-ml/ingot/integration/storetest"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/blobs/blobstest"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/registers/registerstest"
	"github.com/ingot-ml/ingot/registry/internal/s3"
)

var stores storetest.Group

func TestMain(m *testing.M) { os.Exit(stores.Run(m)) }

// dial opens a prefix of a new bucket.
func dial(t testing.TB, store *storetest.Store, opts s3.Options) *s3.Space {
	t.Helper()
	return dialAt(t, store, s3.Location{Bucket: store.Bucket(t), Prefix: "some/prefix"}, opts)
}

func dialAt(t testing.TB, store *storetest.Store, loc s3.Location, opts s3.Options) *s3.Space {
	t.Helper()
	store.Setenv(t)
	space, err := s3.Dial(t.Context(), loc, opts)
	if err != nil {
		t.Fatal(err)
	}
	s3.Quick(space)
	t.Cleanup(func() {
		if err := space.Close(); err != nil {
			t.Error(err)
		}
	})
	return space
}

func TestMinIORegisters(t *testing.T) {
	registerstest.RunEngine(t, func(t *testing.T) registers.Engine {
		return dial(t, stores.MinIO(t), s3.Options{}).Registers()
	})
}

func TestMinIOBlobs(t *testing.T) {
	blobstest.RunStore(t, func(t *testing.T) blobs.Store {
		return dial(t, stores.MinIO(t), s3.Options{}).Blobs()
	})
}

// TestVersityRegisters fails about once in twenty runs: now and then this server answers
// with the ETag of one value and the bytes of the next (docs/reliability.md). A register read so loses nothing,
// for whoever writes over that version is told that it has changed.
func TestVersityRegisters(t *testing.T) {
	if os.Getenv("INGOT_LARGE") == "" {
		needtest.Skip(t, "large", "one of some twenty runs meets a read of two values: run make large")
	}
	registerstest.RunEngine(t, func(t *testing.T) registers.Engine {
		return dial(t, stores.Versity(t), s3.Options{}).Registers()
	})
}

// TestAloneRegisters keeps one process safe in a store that loses writes which come
// at the same time: see TestTrapTorn.
func TestAloneRegisters(t *testing.T) {
	a, b := storetest.Torn(t)
	registerstest.RunEngine(t, func(t *testing.T) registers.Engine {
		return dial(t, a, s3.Options{Alone: true, Transport: balance(t, a, b)}).Registers()
	})
}

func TestVersityBlobs(t *testing.T) {
	blobstest.RunStore(t, func(t *testing.T) blobs.Store {
		return dial(t, stores.Versity(t), s3.Options{}).Blobs()
	})
}

// TestBuckets spreads blobs over three buckets.
func TestBuckets(t *testing.T) {
	store := stores.MinIO(t)
	blobstest.RunStore(t, func(t *testing.T) blobs.Store {
		return dial(t, store, s3.Options{Buckets: []string{store.Bucket(t), store.Bucket(t)}}).Blobs()
	})
}

// TestWholeBucket uses a bucket without a prefix.
func TestWholeBucket(t *testing.T) {
	both(t, func(t *testing.T, store *storetest.Store) {
		space := dialAt(t, store, s3.Location{Bucket: store.Bucket(t)}, s3.Options{})
		if _, err := space.Join(t.Context()); err != nil {
			t.Fatal(err)
		}
		version, err := space.Registers().CAS(t.Context(), "t/ns/model/tag", registers.Absent, nil)
		if err != nil {
			t.Fatal(err)
		}
		store.Want(t, http.StatusOK, http.MethodPut, space.Location().Bucket+"/not a name", "", nil)
		names := []string{"b/x", "c/3f0/x", "u/x/y"}
		for _, name := range names {
			if err := space.Blobs().Put(t.Context(), name, []byte(name)); err != nil {
				t.Fatal(err)
			}
		}
		var got []string
		for info, err := range space.Blobs().List(t.Context(), "", "") {
			if err != nil {
				t.Fatal(err)
			}
			got = append(got, info.Name)
		}
		entries, err := space.Registers().List(t.Context(), "", "", 10)
		if want := []registers.Entry{{Key: "t/ns/model/tag", Version: version}}; err != nil || !slices.Equal(got, names) || !slices.Equal(entries, want) {
			t.Errorf("blobs %q and registers %v, %v", got, entries, err)
		}
	})
}
