package integration_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker/synth"
)

// crashRounds is how often the crash loop kills something: a few times in every
// run, a hundred times with "make crash".
func crashRounds(t *testing.T) int {
	t.Helper()
	text := os.Getenv("INGOT_CRASH_ROUNDS")
	if text == "" {
		return 5
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("INGOT_CRASH_ROUNDS is %q, want a number from 1", text)
	}
	return n
}

// crashBytes is the size of a model in the crash loop.
func crashBytes() int64 {
	if os.Getenv("INGOT_CRASH_ROUNDS") == "" {
		return 8 << 20
	}
	return 24 << 20
}

// crashLoop kills the client or the server of one push after another, at random
// moments, and holds the registry to its word after each.
type crashLoop struct {
	*registry
	rand   *rand.Rand
	typic  time.Duration     // an undisturbed push takes about this long
	acked  map[string]string // ref to digest, of every push that was acknowledged
	killed struct{ client, server, late, arrived int }
}

// TestCrash pushes new weights in every round. What was acknowledged must stay
// readable, what was not must be invisible or whole, and the next push of the
// same weights must finish with what had arrived.
func TestCrash(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	c := &crashLoop{registry: serve(t), rand: rand.New(rand.NewPCG(seed, 0)), acked: map[string]string{}}
	for round := range crashRounds(t) {
		c.round(round)
		if t.Failed() {
			t.Fatalf("after round %d\n%s", round, c.log)
		}
	}
	c.verifyAll()
	t.Logf("killed %d clients and %d servers in the middle, %d came too late; %d times chunks had arrived",
		c.killed.client, c.killed.server, c.killed.late, c.killed.arrived)
}

func (c *crashLoop) round(n int) {
	c.t.Helper()
	spec := synth.ForSize(crashBytes())
	spec.Seed = 1000 + uint64(n)
	dir := filepath.Join(c.t.TempDir(), "model")
	if err := synth.Write(c.t.Context(), dir, spec); err != nil {
		c.t.Fatal(err)
	}
	ref := fmt.Sprintf("crash/model:round-%d", n)
	if n == 0 { // the first push is left alone, to learn how long one takes
		began := time.Now()
		c.acked[ref] = c.push(dir, ref).Digest
		c.typic = time.Since(began)
		return
	}
	before := c.chunkBytes()
	push := c.command("push", dir, ref, "--json")
	var out, said bytes.Buffer
	push.Stdout, push.Stderr = &out, &said
	if err := push.Start(); err != nil {
		c.t.Fatal(err)
	}
	time.Sleep(time.Duration(c.rand.Int64N(int64(c.typic))))
	if c.rand.IntN(2) == 0 {
		c.killClient(push, &out, dir, ref, before)
	} else {
		c.killServer(push, &out, &said, ref)
	}
	c.verifySome()
}

// killClient kills a client and lets another one finish its work.
func (c *crashLoop) killClient(push *exec.Cmd, out *bytes.Buffer, dir, ref string, before int64) {
	c.t.Helper()
	_ = push.Process.Kill() // it may be done already
	if push.Wait() == nil {
		c.killed.late++
		c.acknowledge(out, ref)
		return
	}
	c.killed.client++
	visible := c.visible(ref)
	arrived := c.settledBytes() - before
	got := c.push(dir, ref)
	c.acked[ref] = got.Digest
	switch {
	case visible && got.BytesSent > 0:
		c.t.Errorf("%s was visible, yet %d bytes were missing", ref, got.BytesSent)
	case arrived > 0:
		c.killed.arrived++
		// What reached the disk before the kill is not sent again.
		if whole := c.chunkBytes() - before; got.BytesSent > whole-arrived {
			c.t.Errorf("%s: %d of %d bytes had arrived, and %d were sent again", ref, arrived, whole, got.BytesSent)
		}
	}
}

// killServer kills the server and starts it again; the client must get over it.
func (c *crashLoop) killServer(push *exec.Cmd, out, said *bytes.Buffer, ref string) {
	c.t.Helper()
	c.kill()
	c.killed.server++
	c.start()
	if err := push.Wait(); err != nil {
		c.t.Errorf("push of %s over a restart of the registry: %v\n%s", ref, err, said)
		return
	}
	c.acknowledge(out, ref)
}

func (c *crashLoop) acknowledge(out *bytes.Buffer, ref string) {
	c.t.Helper()
	var got receipt
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		c.t.Fatalf("push of %s printed %q: %v", ref, out, err)
	}
	c.acked[ref] = got.Digest
}

// visible reports whether ref is there; if so, it must be whole.
func (c *crashLoop) visible(ref string) bool {
	c.t.Helper()
	out, err := c.command("verify", ref).CombinedOutput()
	if err == nil {
		return true
	}
	const notFound = 3
	if exit, ok := err.(*exec.ExitError); !ok || exit.ExitCode() != notFound {
		c.t.Errorf("verify %s, which was not acknowledged: %v\n%s", ref, err, out)
	}
	return false
}

// verifySome reads the newest acknowledged version, and another.
func (c *crashLoop) verifySome() {
	c.t.Helper()
	seen := 0
	for ref := range c.acked { // in no order, which is the point
		if seen++; seen > 2 {
			return
		}
		c.verify(ref)
	}
}

func (c *crashLoop) verifyAll() {
	c.t.Helper()
	c.kill()
	c.start()
	for ref := range c.acked {
		c.verify(ref)
	}
}

// verify reads every byte of an acknowledged version by its tag and its name.
func (c *crashLoop) verify(ref string) {
	c.t.Helper()
	repo, _, _ := strings.Cut(ref, ":")
	for _, r := range []string{ref, repo + "@" + c.acked[ref]} {
		if out, err := c.command("verify", r).CombinedOutput(); err != nil {
			c.t.Errorf("verify %s, which was acknowledged: %v\n%s", r, err, out)
		}
	}
}

// settledBytes is chunkBytes once the server is done with what it was sent.
func (c *crashLoop) settledBytes() int64 {
	c.t.Helper()
	for last := c.chunkBytes(); ; {
		time.Sleep(300 * time.Millisecond)
		now := c.chunkBytes()
		if now == last {
			return now
		}
		last = now
	}
}

// chunkBytes returns the bytes of all chunks and bundles in the store.
func (c *crashLoop) chunkBytes() (total int64) {
	c.t.Helper()
	for _, kind := range []string{"c", "u"} {
		dir := filepath.Join(c.data, "blobs", kind)
		if _, err := os.Stat(dir); err != nil {
			continue
		}
		_, n := fileBytes(c.t, dir)
		total += n
	}
	return total
}
