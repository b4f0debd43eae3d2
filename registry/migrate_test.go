package registry_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/integration/storetest"
	"github.com/ingot-ml/ingot/registry"
)

// folderOf returns a data directory with a few versions, at rest, and their paths.
func folderOf(t *testing.T, versions int) (data string, paths []string) {
	t.Helper()
	data = filepath.Join(t.TempDir(), "data")
	r, err := registry.Open(t.Context(), registry.Config{Data: data, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	for i := range versions {
		paths = append(paths, pusher{t, r.Handler()}.commit(fmt.Appendf(nil, "version %d", i)))
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	return data, paths
}

func migrate(t *testing.T, from, to string, buckets ...string) registry.Migration {
	t.Helper()
	got, err := registry.Migrate(t.Context(), registry.MigrateConfig{From: from, To: to, Buckets: buckets})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// answers fails unless a registry has the versions at those paths.
func answers(t *testing.T, c registry.Config, paths []string) {
	t.Helper()
	c.Reserve = -1
	r, err := registry.Open(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	p := pusher{t, r.Handler()}
	for _, path := range paths {
		p.must(http.StatusOK, p.do("GET", path, "", nil))
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
}

// TestMigrateFolders makes a backup of a folder while it is served read-only.
func TestMigrateFolders(t *testing.T) {
	data, paths := folderOf(t, 3)
	reading, err := registry.Open(t.Context(), registry.Config{Data: data, Reserve: -1, ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, reading)
	backup := filepath.Join(t.TempDir(), "a", "backup")
	got := migrate(t, data, backup)
	if got.From != data || got.To != backup || got.BlobsCopied == 0 || got.Registers == 0 || got.BlobsFound != 0 {
		t.Errorf("the migration says %+v", got)
	}
	answers(t, registry.Config{Data: backup}, paths)
}

// TestMigrateBuckets moves to a store with several buckets, and back without naming
// them again.
func TestMigrateBuckets(t *testing.T) {
	minio := storetest.MinIO(t)
	minio.Setenv(t)
	data, paths := folderOf(t, 12)
	first, second := minio.Bucket(t), minio.Bucket(t)
	store := minio.URL(first, "p")
	migrate(t, data, store, second)
	if listed := minio.Want(t, http.StatusOK, http.MethodGet, second, "list-type=2", nil); !strings.Contains(string(listed), "<Key>p/b/") {
		t.Errorf("the second bucket holds no bodies: %s", listed)
	}
	answers(t, registry.Config{Store: store, Buckets: []string{second}, Data: t.TempDir()}, paths)
	back := filepath.Join(t.TempDir(), "back")
	migrate(t, store, back)
	answers(t, registry.Config{Data: back}, paths)
	if _, err := registry.Migrate(t.Context(), registry.MigrateConfig{From: data, To: store, Buckets: []string{second}}); !errors.Is(err, registry.ErrDestination) {
		t.Errorf("a second migration there: %v, want ErrDestination", err)
	}
}

func TestMigrateMistakes(t *testing.T) {
	minio := storetest.MinIO(t)
	minio.Setenv(t)
	data, _ := folderOf(t, 1)
	full, _ := folderOf(t, 1)
	inUse := filepath.Join(t.TempDir(), "used")
	r, err := registry.Open(t.Context(), registry.Config{Data: inUse, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, r)
	bucket := minio.Bucket(t)
	minio.Want(t, http.StatusOK, http.MethodPut, bucket+"/theirs/file", "", []byte("x"))
	none := filepath.Join(t.TempDir(), "none")
	for _, tc := range []struct {
		from, to string
		want     error
		says     string
	}{
		{"", none, nil, "needed"},
		{data, "", nil, "needed"},
		{data, data, nil, "both"},
		{data, filepath.Join(data, "blobs", "copy"), nil, "lie in each other"},
		{data, filepath.Dir(data), nil, "lie in each other"},
		{none, filepath.Join(t.TempDir(), "copy"), nil, "open the source"},
		{data, full, registry.ErrDestination, "choose another destination"},
		{inUse, none, nil, "--read-only"},
		{data, inUse, nil, "in use"},
		{data, "https://bucket/x", registry.ErrLocation, "s3://BUCKET"},
		{data, minio.URL("none-of-ours", ""), registry.ErrNoBucket, "none-of-ours"},
		{data, minio.URL(bucket, "theirs"), registry.ErrForeign, "theirs/file"},
		{minio.URL(bucket, "empty"), none, registry.ErrNoRegistry, bucket},
	} {
		_, err := registry.Migrate(t.Context(), registry.MigrateConfig{From: tc.from, To: tc.to})
		if err == nil || tc.want != nil && !errors.Is(err, tc.want) || !strings.Contains(err.Error(), tc.says) || strings.Contains(err.Error(), "\n") {
			t.Errorf("from %q to %q: %v; want %v and %q in one line", tc.from, tc.to, err, tc.want, tc.says)
		}
	}
	empty(t, filepath.Dir(none))
}

// TestHalfMigrated serves nothing of a destination that is not finished, and says
// what it is.
func TestHalfMigrated(t *testing.T) {
	data, paths := folderOf(t, 2)
	to := filepath.Join(t.TempDir(), "to")
	ctx, cancel := context.WithCancel(t.Context())
	_, err := registry.Migrate(ctx, registry.MigrateConfig{From: data, To: to, Progress: func(registry.MigrateProgress) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("an interrupted migration: %v", err)
	}
	for _, readOnly := range []bool{false, true} {
		_, err := registry.Open(t.Context(), registry.Config{Data: to, Reserve: -1, ReadOnly: readOnly})
		if !errors.Is(err, registry.ErrMigrating) || !strings.Contains(err.Error(), data) {
			t.Errorf("read-only %v: %v, want ErrMigrating and the source", readOnly, err)
		}
	}
	exactly(t, examine(t, registry.Target{Data: to}), registry.FindingWarning, map[string]string{"place": "migration"})
	other, _ := folderOf(t, 1)
	if _, err := registry.Migrate(t.Context(), registry.MigrateConfig{From: other, To: to}); !errors.Is(err, registry.ErrDestination) {
		t.Errorf("another source: %v, want ErrDestination", err)
	}
	migrate(t, data, to)
	answers(t, registry.Config{Data: to}, paths)
}
