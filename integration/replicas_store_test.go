package integration_test

import (
	"bytes"
	"errors"

	"io"
	"net/http"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/integration/faultproxy"
	"github.com/ingot-ml/ingot/integration/needtest"
	"github.com/ingot-ml/ingot/integration/storetest"
)

const exitUnreachable = 4

// TestStoreGone freezes and kills the store under a push. The client is told what
// is wrong in one line, nothing is visible, what was acknowledged stays, and the same
// push goes through once the store is back.
func TestStoreGone(t *testing.T) {
	minio := storetest.MinIO(t)
	c := newAlone(t, minio)
	r := c.replicas[0]
	first, second := tinyModel(t, "first"), tinyModel(t, "second")
	r.push(first, "gone/model:first")

	minio.Kill(t)
	r.fails(exitUnreachable, "store", "push", second, "gone/model:second", "--timeout", "3s")
	r.fails(exitUnreachable, "store", "pull", "gone/model:first", filepath.Join(t.TempDir(), "p"), "--no-cache", "--timeout", "3s")
	minio.Restart(t)
	r.fails(3, "gone/model:second", "show", "gone/model:second")
	r.push(second, "gone/model:second")

	// A pause is shorter than a client's patience.
	third := tinyModel(t, "third")
	minio.Stop(t)
	push := r.command("push", third, "gone/model:third")
	var said bytes.Buffer
	push.Stdout, push.Stderr = &said, &said
	if err := push.Start(); err != nil {
		t.Fatal(err)
	}
	time.Sleep(2 * time.Second)
	minio.Cont(t)
	if err := push.Wait(); err != nil {
		t.Errorf("push over a pause of the store: %v\n%s", err, &said)
	}
	for tag, dir := range map[string]string{"first": first, "second": second, "third": third} {
		r.pull("gone/model:"+tag, dir)
	}
	r.json(&struct{}{}, "verify", "--all")
}

// TestSlowStore lets one request a second through. A push takes its time, or ends
// with a line that says why; when the store is itself again, all is well.
func TestSlowStore(t *testing.T) {
	c := newAlone(t, storetest.MinIO(t))
	r := c.replicas[0]
	before, slow := tinyModel(t, "before"), tinyModel(t, "slow")
	r.push(before, "slow/model:before")
	r.proxy.Limit(1)
	if out, err := r.command("push", slow, "slow/model:slow").CombinedOutput(); err != nil {
		var exit *exec.ExitError
		if line := strings.TrimSuffix(string(out), "\n"); !errors.As(err, &exit) || exit.ExitCode() != exitUnreachable || strings.Contains(line, "\n") {
			t.Errorf("push to a slow store: %v\n%s", err, out)
		}
	}
	r.kill()
	r.start() // one request a second is enough to start with
	r.proxy.Limit(0)
	r.push(slow, "slow/model:slow")
	r.pull("slow/model:slow", slow)
	r.pull("slow/model:before", before)
	r.json(&struct{}{}, "verify", "--all")
}

// lastModified is how a list says when an object was written.
var lastModified = regexp.MustCompile(`<LastModified>([^<]*)</LastModified>`)

// shifted has the store's clock differ from everybody else's.
func shifted(by time.Duration) func(faultproxy.Call, *http.Response) error {
	shift := func(layout, text string) string {
		at, err := time.Parse(layout, text)
		if err != nil {
			return text
		}
		return at.Add(by).UTC().Format(layout)
	}
	return func(c faultproxy.Call, resp *http.Response) error {
		for _, name := range []string{"Date", "Last-Modified"} {
			if text := resp.Header.Get(name); text != "" {
				resp.Header.Set(name, shift(http.TimeFormat, text))
			}
		}
		if c.Method != "LIST" {
			return nil
		}
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			return err
		}
		b = lastModified.ReplaceAllFunc(b, func(m []byte) []byte {
			text := string(lastModified.FindSubmatch(m)[1])
			return []byte("<LastModified>" + shift("2006-01-02T15:04:05.000Z", text) + "</LastModified>")
		})
		resp.Body = io.NopCloser(bytes.NewReader(b))
		return nil
	}
}

// collected is what gc prints with --json, as far as it matters here.
type collected struct {
	Freed     struct{ Objects int64 } `json:"freed"`
	Kept      map[string]struct{ Objects int64 }
	Anomalies []string `json:"anomalies"`
}

// TestStoreClock has the store's clock a day before and a day behind ours. What is
// young stays whatever the clocks say, since its age is told by one of them alone;
// what may go goes, and nothing that is needed does.
func TestStoreClock(t *testing.T) {
	if !large() {
		needtest.Skip(t, "large", "takes minutes: run make large")
	}
	minio := storetest.MinIO(t)
	for _, by := range []time.Duration{-24 * time.Hour, 24 * time.Hour} {
		t.Run(by.String(), func(t *testing.T) {
			c := &cluster{t: t, minio: minio, bucket: minio.Bucket(t)}
			r := c.add()
			r.proxyOver(faultproxy.Config{Rewrite: shifted(by), Describe: faultproxy.S3(c.bucket + "/" + clusterPrefix)})
			r.start()
			kept, gone := tinyModel(t, "kept"), tinyModel(t, "gone")
			r.push(kept, "clock/model:kept")
			digest := r.push(gone, "clock/model:gone").Digest
			r.json(&struct{}{}, "rm", "clock/model:gone")
			r.json(&struct{}{}, "rm", "clock/model@"+digest)
			var young, all collected
			r.json(&young, "gc", "--grace", "12h")
			if young.Freed.Objects != 0 {
				t.Errorf("with a grace of 12 hours %+v was collected", young)
			}
			r.json(&all, "gc", "--grace", "none")
			if all.Freed.Objects == 0 || len(all.Anomalies) > 0 {
				t.Errorf("without a grace %+v was collected", all)
			}
			r.pull("clock/model:kept", kept)
			r.json(&struct{}{}, "verify", "--all")
		})
	}
}

// TestLifecycleRule has the bucket delete what is old. Whoever looks is told, by the
// rule's name.
func TestLifecycleRule(t *testing.T) {
	minio := storetest.MinIO(t)
	c := newAlone(t, minio)
	r := c.replicas[0]
	r.push(tinyModel(t, "own"), "rule/model:v1")
	r.json(&struct{}{}, "verify", "--all")
	const rules = `<LifecycleConfiguration><Rule><ID>tidy-up</ID><Status>Enabled</Status><Filter><Prefix>models/</Prefix></Filter><Expiration><Days>30</Days></Expiration></Rule></LifecycleConfiguration>`
	minio.Want(t, http.StatusOK, http.MethodPut, c.bucket, "lifecycle=", []byte(rules))
	if out, err := r.command("verify", "--all").CombinedOutput(); err != nil || !strings.Contains(string(out), "tidy-up") {
		t.Errorf("verify: %v, want nothing damaged yet, and the rule named\n%s", err, out)
	}
	doctor := r.command("doctor", "--store", minio.URL(c.bucket, clusterPrefix))
	doctor.Env = append(doctor.Env, minio.Env()...)
	if out, err := doctor.CombinedOutput(); err == nil || !strings.Contains(string(out), "tidy-up") {
		t.Errorf("doctor: %v, want a failure with the rule's name\n%s", err, out)
	}
	if out, err := r.command("show", "rule/model:v1").CombinedOutput(); err != nil {
		t.Errorf("the version is gone: %v\n%s", err, out)
	}
}
