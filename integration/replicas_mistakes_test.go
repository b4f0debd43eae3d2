package integration_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/integration/faultproxy"
	"github.com/ingot-ml/ingot/integration/storetest"
)

// refuses starts a replica that must end by itself, with that exit code and one line
// that says so.
func (r *replica) refuses(code int, says string) {
	r.t.Helper()
	cmd := r.server()
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	end := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() }) // it should have ended
	err := cmd.Wait()
	end.Stop()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != code {
		r.t.Errorf("serve: %v, want exit code %d\n%s", err, code, &out)
	}
	if line := strings.TrimSuffix(out.String(), "\n"); strings.Contains(line, "\n") || !strings.Contains(line, says) {
		r.t.Errorf("serve says\n%s\nwant one line with %q", line, says)
	}
}

// with replaces a variable that the replica is told.
func (r *replica) withVar(name, value string) *replica {
	for i, v := range r.vars {
		if strings.HasPrefix(v, name+"=") {
			r.vars[i] = name + "=" + value
		}
	}
	return r
}

// at has the replica keep its things somewhere else.
func (r *replica) at(url string) *replica {
	r.args[1] = url
	return r
}

// TestStoreMistakes starts replicas on stores that are not as they should be. Each
// ends at once, says why in one line, and has written nothing.
func TestStoreMistakes(t *testing.T) {
	minio := storetest.MinIO(t)
	free := freeAddress(t)
	for _, tc := range []struct {
		name string
		make func(c *cluster) *replica
		code int
		says string
	}{
		{"foreign objects", func(c *cluster) *replica {
			minio.Want(t, http.StatusOK, http.MethodPut, c.bucket+"/"+clusterPrefix+"/notes.txt", "", []byte("mine"))
			return c.add()
		}, 7, clusterPrefix + "/notes.txt"},
		{"wrong secret", func(c *cluster) *replica { return c.add().withVar("AWS_SECRET_ACCESS_KEY", "wrong") }, 1, "AWS_SECRET_ACCESS_KEY"},
		{"unknown user", func(c *cluster) *replica { return c.add().withVar("AWS_ACCESS_KEY_ID", "nobody") }, 1, "AWS_ACCESS_KEY_ID"},
		{"no credentials", func(c *cluster) *replica {
			return c.add().withVar("AWS_ACCESS_KEY_ID", "").withVar("AWS_SECRET_ACCESS_KEY", "")
		}, 1, "set AWS_ACCESS_KEY_ID"},
		{"no bucket", func(c *cluster) *replica { return c.add().at("s3://no-such-bucket/p") }, 3, "no-such-bucket"},
		{"no store", func(c *cluster) *replica { return c.add().withVar("AWS_ENDPOINT_URL", "http://"+free) }, 4, free},
		{"no URL", func(c *cluster) *replica { return c.add().at("minio/bucket") }, 2, "s3://BUCKET"},
		{"registry inside", func(c *cluster) *replica {
			c.begin("models/one/two")
			return c.add()
		}, 7, "models/one/two"},
		{"registry around", func(c *cluster) *replica {
			c.begin("models")
			return c.add()
		}, 7, "/models"},
		{"clock that is wrong", func(c *cluster) *replica {
			r := c.add()
			r.proxyOver(faultproxy.Config{Rewrite: skewed})
			return r
		}, 1, "clock"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := &cluster{t: t, minio: minio, bucket: minio.Bucket(t)}
			r := tc.make(c)
			r.refuses(tc.code, tc.says)
			if n := r.proxy.Counts().Sum("PUT", "DELETE"); n > 0 {
				t.Errorf("it has written: %s", r.proxy.Counts())
			}
		})
	}
}

// begin has another registry begin at a prefix.
func (c *cluster) begin(prefix string) {
	c.t.Helper()
	r := c.add("--alone").at(c.minio.URL(c.bucket, prefix))
	r.start()
	r.kill()
}

// proxyOver puts another proxy before the store.
func (r *replica) proxyOver(config faultproxy.Config) {
	r.t.Helper()
	config.Target = strings.TrimPrefix(r.proxy.URL(), "http://")
	p, err := faultproxy.Listen(config)
	if err != nil {
		r.t.Fatal(err)
	}
	r.t.Cleanup(func() {
		r.kill()
		if err := p.Close(); err != nil {
			r.t.Error(err)
		}
	})
	r.withVar("AWS_ENDPOINT_URL", p.URL())
}

// skewed makes every answer the one that S3 gives to whose clock is off by more than
// a quarter of an hour.
func skewed(_ faultproxy.Call, resp *http.Response) error {
	const body = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>RequestTimeTooSkewed</Code><Message>The difference between the request time and the server's time is too large.</Message></Error>`
	resp.StatusCode, resp.Status = http.StatusForbidden, "403 Forbidden"
	resp.Header = http.Header{"Content-Type": {"application/xml"}, "Content-Length": {fmt.Sprint(len(body))}}
	resp.Body = io.NopCloser(strings.NewReader(body))
	return nil
}
