package registry_test

import (
	"context"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/integration/needtest"
	"github.com/ingot-ml/ingot/integration/storetest"
	"github.com/ingot-ml/ingot/registry"
)

// states returns the state of every property, and fails for findings that are not
// complete.
func states(t *testing.T, found registry.Examination) map[string]registry.Finding {
	t.Helper()
	all := map[string]registry.Finding{}
	for _, f := range found.Findings {
		if f.Property == "" || f.Needs == "" || f.Saw == "" || (f.State == registry.FindingFailed || f.State == registry.FindingWarning) && f.Do == "" {
			t.Errorf("a finding is not complete: %+v", f)
		}
		all[f.Property] = f
	}
	if len(all) != len(found.Findings) {
		t.Errorf("%d findings have %d names", len(found.Findings), len(all))
	}
	return all
}

// exactly fails unless those properties, and no others, are in that state.
func exactly(t *testing.T, found registry.Examination, state string, want map[string]string) {
	t.Helper()
	for name, f := range states(t, found) {
		says, wanted := want[name]
		if (f.State == state) != wanted {
			t.Errorf("%s is %s: %s", name, f.State, f.Saw)
		}
		if wanted && !strings.Contains(f.Saw+f.Do, says) {
			t.Errorf("%s: saw %q, do %q; want %q", name, f.Saw, f.Do, says)
		}
	}
}

func examine(t *testing.T, target registry.Target) registry.Examination {
	t.Helper()
	found, err := registry.ExamineQuickly(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// around looks at what surrounds a store only.
func around(t *testing.T, target registry.Target) registry.Examination {
	t.Helper()
	found, err := registry.ExamineOutside(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestExamineStore(t *testing.T) {
	if os.Getenv("INGOT_LARGE") == "" {
		needtest.Skip(t, "large", "takes minutes: run make large")
	}
	minio := storetest.MinIO(t)
	minio.Setenv(t)
	bucket := minio.Bucket(t)
	target := registry.Target{Store: minio.URL(bucket, "a/prefix")}

	found := examine(t, target)
	exactly(t, found, registry.FindingFailed, nil)
	exactly(t, found, registry.FindingWarning, nil)
	if left := minio.Want(t, http.StatusOK, http.MethodGet, bucket, "list-type=2", nil); strings.Contains(string(left), "<Key>") {
		t.Errorf("an examination left behind: %s", left)
	}

	// A registry that is served there sees nothing of it.
	r, err := registry.Open(t.Context(), registry.Config{Store: target.Store, Data: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, r)
	pusher{t, r.Handler()}.commit([]byte("served all the time"))
	found = examine(t, target)
	exactly(t, found, registry.FindingFailed, nil)
	if f := states(t, found)["place"]; !strings.Contains(f.Saw, "it holds registry ") {
		t.Errorf("the place: %+v", f)
	}

	minio.Want(t, http.StatusOK, http.MethodPut, bucket+"/theirs/file", "", []byte("x"))
	found = around(t, registry.Target{Store: minio.URL(bucket, "theirs")})
	exactly(t, found, registry.FindingFailed, map[string]string{"place": "theirs/file"})
	if err := found.Unfit(); !errors.Is(err, registry.ErrUnfit) || !strings.HasSuffix(err.Error(), ": place") {
		t.Errorf("the error is %v", err)
	}
	exactly(t, around(t, registry.Target{Store: minio.URL(bucket, "a/prefix/inside")}), registry.FindingFailed, map[string]string{"place": "a/prefix"})
}

// TestExamineRules has a bucket with rules of its own.
func TestExamineRules(t *testing.T) {
	minio := storetest.MinIO(t)
	minio.Setenv(t)
	bucket := minio.Bucket(t)
	target := registry.Target{Store: minio.URL(bucket, "a/prefix")}
	minio.Want(t, http.StatusOK, http.MethodPut, bucket, "versioning", []byte(`<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>`))
	exactly(t, around(t, target), registry.FindingWarning, map[string]string{"old-versions": "noncurrent"})

	minio.Want(t, http.StatusOK, http.MethodPut, bucket, "lifecycle", []byte(`<LifecycleConfiguration>
		<Rule><ID>undo</ID><Status>Enabled</Status><Filter></Filter><NoncurrentVersionExpiration><NoncurrentDays>7</NoncurrentDays></NoncurrentVersionExpiration></Rule>
		<Rule><ID>tidy</ID><Status>Enabled</Status><Filter><Prefix>a/</Prefix></Filter><Expiration><Days>30</Days></Expiration></Rule>
	</LifecycleConfiguration>`))
	found := around(t, target)
	exactly(t, found, registry.FindingFailed, map[string]string{"lifecycle": `rule "tidy"`})
	exactly(t, found, registry.FindingWarning, nil)
	exactly(t, around(t, registry.Target{Store: minio.URL(bucket, "b/prefix")}), registry.FindingFailed, nil)
}

// TestExamineTorn examines a store whose every answer is right.
func TestExamineTorn(t *testing.T) {
	store := storetest.VersitySidecar(t)
	store.Setenv(t)
	c := registry.Config{Store: store.URL(store.Bucket(t), ""), Data: t.TempDir()}
	r, err := registry.Open(t.Context(), c)
	if !errors.Is(err, registry.ErrUnfit) || !strings.Contains(err.Error(), "read-atomic") || !strings.Contains(err.Error(), "--alone") {
		t.Errorf("a replica on it: %v, %v; want ErrUnfit, the property and what to do", r, err)
	}
	c.Alone = true
	if r, err = registry.Open(t.Context(), c); err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, r)
}

func TestExamineNowhere(t *testing.T) {
	minio := storetest.MinIO(t)
	minio.Setenv(t)
	for store, want := range map[string]error{
		minio.URL("none-of-ours", ""): registry.ErrNoBucket,
		"s3://":                       registry.ErrLocation,
		"https://bucket":              registry.ErrLocation,
	} {
		if _, err := registry.Examine(t.Context(), registry.Target{Store: store}, nil); !errors.Is(err, want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: %v, want %v in one line", store, err, want)
		}
	}
	if _, err := registry.Examine(t.Context(), registry.Target{}, nil); err == nil {
		t.Error("nothing was named, and examined")
	}
	ctx, cancel := context.WithCancel(t.Context())
	store := minio.URL(minio.Bucket(t), "")
	_, err := registry.Examine(ctx, registry.Target{Store: store}, func(registry.Finding) { cancel() })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("an examination that was interrupted: %v", err)
	}
}

func TestExamineFolder(t *testing.T) {
	dir := t.TempDir()
	data := filepath.Join(dir, "data")
	place := func() string {
		t.Helper()
		found := examine(t, registry.Target{Data: data})
		exactly(t, found, registry.FindingFailed, nil)
		return states(t, found)["place"].Saw
	}
	if saw := place(); !strings.Contains(saw, "nothing is there yet") {
		t.Errorf("no folder: %s", saw)
	}
	empty(t, dir)
	r, err := registry.Open(t.Context(), registry.Config{Data: data, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	before := names(t, data)
	if saw := place(); !strings.Contains(saw, "a registry runs on it") {
		t.Errorf("a folder in use: %s", saw)
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	if saw := place(); !strings.Contains(saw, "no registry that writes runs on it") {
		t.Errorf("a folder at rest: %s", saw)
	}
	for _, name := range names(t, data) {
		if strings.Contains(name, "doctor") {
			t.Errorf("left behind: %s, beside %q", name, before)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "thesis.txt"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	exactly(t, examine(t, registry.Target{Data: dir}), registry.FindingFailed, map[string]string{"place": "choose an empty directory"})
}

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, e := range entries {
		all = append(all, e.Name())
	}
	return all
}

func empty(t *testing.T, dir string) {
	t.Helper()
	if left := names(t, dir); len(left) > 0 {
		t.Errorf("%s holds %q", dir, left)
	}
}
