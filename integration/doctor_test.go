package integration_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/integration/needtest"
	"github.com/ingot-ml/ingot/integration/storetest"
)

// TestDoctor examines thoroughly a store that has all that is needed, in a bucket
// with a rule that deletes, a disk, and what cannot be reached.
func TestDoctor(t *testing.T) {
	if !large() {
		needtest.Skip(t, "large", "takes minutes: run make large")
	}
	r := &registry{t: t, home: t.TempDir(), addr: freeAddress(t), plain: true}
	minio := storetest.MinIO(t)
	gone, stranger := *minio, *minio
	gone.Endpoint, stranger.SecretKey = "http://"+freeAddress(t), "wrong-all-the-same"
	bucket := minio.Bucket(t)
	minio.Want(t, http.StatusOK, http.MethodPut, bucket, "lifecycle", []byte(`<LifecycleConfiguration>
		<Rule><ID>tidy</ID><Status>Enabled</Status><Filter><Prefix>a/</Prefix></Filter><Expiration><Days>30</Days></Expiration></Rule>
	</LifecycleConfiguration>`))
	for _, tc := range []struct {
		what   string
		at     *storetest.Store
		args   []string
		exit   int
		failed []string
		says   string
	}{
		{"a store", minio, []string{"--store", minio.URL(bucket, "a/b")}, 1, []string{"lifecycle"}, ": lifecycle"},
		{"a disk", minio, []string{"--data", filepath.Join(t.TempDir(), "data")}, 0, nil, ""},
		{"no bucket", minio, []string{"--store", "s3://none-of-ours"}, 3, nil, "none-of-ours"},
		{"no server", &gone, []string{"--store", minio.URL(bucket, "")}, 4, nil, "AWS_ENDPOINT_URL"},
		{"no key", &stranger, []string{"--store", minio.URL(bucket, "")}, 1, nil, "AWS_SECRET_ACCESS_KEY"},
		{"no place", minio, nil, 2, nil, "--store"},
	} {
		t.Run(tc.what, func(t *testing.T) {
			cmd := r.command(append([]string{"doctor", "--json"}, tc.args...)...)
			cmd.Env = append(cmd.Env, tc.at.Env()...)
			out, err := cmd.Output()
			var exit *exec.ExitError
			if code := cmd.ProcessState.ExitCode(); code != tc.exit || err != nil && !errors.As(err, &exit) {
				t.Fatalf("%v, want exit code %d", err, tc.exit)
			}
			if exit != nil && !strings.Contains(string(exit.Stderr), tc.says) {
				t.Errorf("it says %s, want %q", exit.Stderr, tc.says)
			}
			if len(out) > 0 {
				checkFindings(t, out, tc.failed)
			} else if tc.says == "" || tc.failed != nil {
				t.Error("it found nothing")
			}
		})
	}
}

// checkFindings holds what doctor printed to which properties have to be missing.
func checkFindings(t *testing.T, printed []byte, failed []string) {
	t.Helper()
	var got struct {
		Findings []struct{ Property, State, Saw string }
	}
	if err := json.Unmarshal(printed, &got); err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range got.Findings {
		t.Logf("%-22s %-8s %s", f.Property, f.State, f.Saw)
		if f.State == "failed" {
			found = append(found, f.Property)
		}
	}
	if strings.Join(found, " ") != strings.Join(failed, " ") || len(got.Findings) < 20 {
		t.Errorf("found missing %q of %d, want %q", found, len(got.Findings), failed)
	}
}
