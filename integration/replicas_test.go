package integration_test

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/integration/faultproxy"
	"github.com/ingot-ml/ingot/integration/storetest"
)

// replica is an "ingot serve" over a store, behind a proxy on its way there.
type replica struct {
	*registry
	proxy *faultproxy.Proxy
}

// cluster is replicas over one prefix of a store.
type cluster struct {
	t        *testing.T
	minio    *storetest.Store
	bucket   string
	replicas []*replica
}

const clusterPrefix = "models/one"

// newCluster prepares so many replicas over an empty bucket, and starts them.
func newCluster(t *testing.T, minio *storetest.Store, replicas int) *cluster {
	t.Helper()
	c := &cluster{t: t, minio: minio, bucket: minio.Bucket(t)}
	for range replicas {
		c.add().start()
	}
	return c
}

// newAlone starts a cluster of one replica that need not examine the store, which
// takes as long as many a test.
func newAlone(t *testing.T, minio *storetest.Store) *cluster {
	t.Helper()
	c := &cluster{t: t, minio: minio, bucket: minio.Bucket(t)}
	c.add("--alone").start()
	return c
}

// add prepares one more replica. It does nothing that is not asked for, so that its
// requests can be counted. It has no race detector: its first start, in which it
// examines the store, would take a minute.
func (c *cluster) add(args ...string) *replica {
	c.t.Helper()
	p, err := faultproxy.Listen(faultproxy.Config{
		Target: strings.TrimPrefix(c.minio.Endpoint, "http://"), Describe: faultproxy.S3(c.bucket + "/" + clusterPrefix),
	})
	if err != nil {
		c.t.Fatal(err)
	}
	at := *c.minio
	at.Endpoint = p.URL()
	r := &replica{proxy: p, registry: &registry{
		t: c.t, data: filepath.Join(c.t.TempDir(), "cache"), addr: freeAddress(c.t), home: c.t.TempDir(), plain: true,
		args: append([]string{"--store", at.URL(c.bucket, clusterPrefix), "--gc-every", "none", "--scrub-every", "none"}, args...),
		vars: at.Env(),
	}}
	c.t.Cleanup(func() {
		r.kill()
		if err := p.Close(); err != nil {
			c.t.Error(err)
		}
	})
	c.replicas = append(c.replicas, r)
	return r
}

// sum adds up what all replicas have asked the store for.
func (c *cluster) sum() faultproxy.Counts {
	total := faultproxy.Counts{}
	for _, r := range c.replicas {
		for what, n := range r.proxy.Counts() {
			total[what] += n
		}
	}
	return total
}

// tinyModel writes a model of a few small files, one of them of its own.
func tinyModel(t *testing.T, own string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "model")
	if err := os.MkdirAll(dir, 0o777); err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"shared-1": "one", "shared-2": "two", "own": own} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(strings.Repeat(content, 100)), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestReplicas pushes through one replica and pulls through another, adds one and
// takes one away in the middle of a push.
func TestReplicas(t *testing.T) {
	c := newCluster(t, storetest.MinIO(t), 3)
	base, variant := interruptModels(t)
	first, second, third := c.replicas[0], c.replicas[1], c.replicas[2]
	pushed := first.push(base, "many/model:base")
	got, _ := second.pull("many/model:base", base)
	if got.Digest != pushed.Digest {
		t.Errorf("pushed %s, pulled %s", pushed.Digest, got.Digest)
	}
	if again := third.push(base, "many/model:same"); again.BytesSent != 0 {
		t.Errorf("%d bytes of what another replica has were sent", again.BytesSent)
	}

	// The second replica dies while it takes the variant. Nothing of that is visible,
	// and the third takes it whole, with what had arrived.
	second.proxy.Set(faultproxy.Rule{Fault: faultproxy.Reset, PerMille: 1000, Match: func(c faultproxy.Call) bool { return c.Write() && c.Kind == "meta/m" }})
	push := second.command("push", variant, "many/model:variant")
	var said bytes.Buffer
	push.Stdout, push.Stderr = &said, &said
	if err := push.Start(); err != nil {
		t.Fatal(err)
	}
	awaitFault(t, second.proxy, faultproxy.Reset)
	second.kill()
	third.fails(3, "many/model:variant", "show", "many/model:variant")
	third.push(variant, "many/model:variant")
	second.proxy.Set()
	second.start() // the first push finds its registry again
	if err := push.Wait(); err != nil {
		t.Errorf("push over a restart of its replica: %v\n%s", err, &said)
	}
	fourth := c.add()
	fourth.start()
	fourth.pull("many/model:variant", variant)
	first.kill()
	fourth.pull("many/model:base", base)
	fourth.json(&struct{}{}, "verify", "--all")
}

// awaitFault returns when a fault has happened.
func awaitFault(t *testing.T, p *faultproxy.Proxy, f faultproxy.Fault) {
	t.Helper()
	for range 1000 {
		if p.Faults()[f] > 0 {
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
	t.Fatalf("no %s", f)
}
