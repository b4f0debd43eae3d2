package integration_test

import (
	"fmt"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/integration/faultproxy"
	"github.com/ingot-ml/ingot/integration/storetest"
	"github.com/ingot-ml/ingot/registry/name"
)

// cost is the requests to the store that a push and a pull have made.
type cost struct{ push, pull faultproxy.Counts }

// TestOperationCounts holds a push and a pull to the number of requests that they
// make to the store: the same with few versions and with many, and with one replica
// and with three.
func TestOperationCounts(t *testing.T) {
	minio := storetest.MinIO(t)
	many := 12
	if large() {
		many = 200
	}
	for _, replicas := range []int{1, 3} {
		c := newCluster(t, minio, replicas)
		stored := 0
		for _, versions := range []int{5, many} {
			for ; stored < versions; stored++ {
				c.quickPush(stored%replicas, tinyModel(t, fmt.Sprint("version ", stored)), fmt.Sprint("v", stored))
			}
			stored += 1 + looks
			name := fmt.Sprintf("%d replicas, %d versions", replicas, versions)
			got := c.cost(name)
			t.Logf("%s: push %s; pull %s", name, got.push, got.pull)
			got.check(t, name)
		}
	}
}

// check compares writes exactly. Reads have an upper bound that depends on nothing:
// what was read a moment ago is at times not read again.
func (c cost) check(t *testing.T, when string) {
	t.Helper()
	// A bundle and a body; the head published and committed; the push begun and done.
	writes := faultproxy.Counts{"PUT u": 1, "PUT b": 1, "PUT meta/m": 2, "PUT meta/p": 2, "PUT meta/t": 1}
	for what, n := range c.push {
		if strings.HasPrefix(what, "PUT") && n != writes[what] || strings.HasPrefix(what, "DELETE") {
			t.Errorf("%s: a push makes %d of %s, want %d", when, n, what, writes[what])
		}
	}
	for _, bound := range []struct {
		what  string
		got   int
		least int
		most  int
	}{
		{"a push writes", c.push.Sum("PUT"), 7, 7},
		{"a push lists", c.push.Sum("LIST"), 1, 2},
		{"a push reads", c.push.Sum("GET", "HEAD"), 10, 16},
		{"a pull writes or lists", c.pull.Sum("PUT", "LIST", "DELETE", "POST"), 0, 0},
		{"a pull reads registers", c.pull.Sum("GET meta"), 2, 3},
		{"a pull reads blobs", c.pull.Sum("GET u", "GET c", "GET b", "HEAD"), 3, 5},
	} {
		if bound.got < bound.least || bound.got > bound.most {
			t.Errorf("%s: %s %d times, want %d to %d", when, bound.what, bound.got, bound.least, bound.most)
		}
	}
}

// looks is how often a push and a pull are counted. Now and then replicas ask the
// store what others have done, which is no part of a push that happens then, so the
// fewest requests count.
const looks = 4

// cost pushes variants through the first replica and pulls each through the last. The
// first has just pushed another: it knows what others have committed before.
func (c *cluster) cost(own string) (least cost) {
	c.t.Helper()
	c.quickPush(0, tinyModel(c.t, "before "+own), "before-"+fmt.Sprint(len(own)))
	for look := range looks {
		got := c.costOnce(fmt.Sprintf("%s, look %d", own, look), fmt.Sprintf("counted-%d-%d", len(own), look))
		if look == 0 || got.push.Sum("") < least.push.Sum("") {
			least.push = got.push
		}
		if look == 0 || got.pull.Sum("") < least.pull.Sum("") {
			least.pull = got.pull
		}
	}
	return least
}

func (c *cluster) costOnce(own, tag string) cost {
	c.t.Helper()
	dir := tinyModel(c.t, own)
	before := c.sum()
	c.quickPush(0, dir, tag)
	pushed := c.sum()
	pulled := filepath.Join(c.t.TempDir(), "pulled")
	if _, err := c.client(len(c.replicas)-1).Pull(c.t.Context(), counted(tag), pulled, client.PullOptions{}); err != nil {
		c.t.Fatal(err)
	}
	compareTrees(c.t, pulled, dir)
	return cost{pushed.Since(before), c.sum().Since(pushed)}
}

func counted(tag string) name.Ref {
	return name.Ref{Repo: name.Repo{Namespace: "count", Name: "model"}, Tag: tag}
}

// client is a client of one replica, in this process: a program of its own for each
// of many pushes takes longer than they do.
func (c *cluster) client(replica int) *client.Registry {
	c.t.Helper()
	r, err := client.New("http://"+c.replicas[replica].addr, client.Options{})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(r.Close)
	return r
}

func (c *cluster) quickPush(replica int, dir, tag string) {
	c.t.Helper()
	if _, err := c.client(replica).Push(c.t.Context(), dir, counted(tag), client.PushOptions{}); err != nil {
		c.t.Fatal(err)
	}
}

// TestStartCounts starts a replica again: what the first one found out about the
// store is known, so that a slow store does not keep replicas from coming back.
func TestStartCounts(t *testing.T) {
	c := newCluster(t, storetest.MinIO(t), 1)
	r := c.replicas[0]
	if r.proxy.Counts().Sum("PUT doctor") == 0 {
		t.Error("the first replica has not examined the store")
	}
	before := r.proxy.Counts()
	r.kill()
	r.start()
	got := r.proxy.Counts().Since(before)
	if all := got.Sum(""); all > 12 || got.Sum("PUT", "DELETE") > 0 {
		t.Errorf("to start again took %d requests: %s", all, got)
	}
	t.Logf("to start again: %s", got)
}
