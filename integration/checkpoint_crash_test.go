package integration_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// checkpointCrash has trainings publish checkpoints as deltas of each other, while
// versions are retired, encodings chosen anew, garbage collected and versions pulled,
// all at once, and clients and the server are killed in the middle.
type checkpointCrash struct {
	*registry
	rand *rand.Rand

	mu     sync.Mutex
	lines  []*line
	did    map[string]int
	deltas int
}

// line is what one training has published.
type line struct {
	*training
	repo string
	rand *rand.Rand
	// sums are all models that were ever pushed, by their sums: acknowledged or not.
	sums    map[[sha256.Size]byte]int
	typical time.Duration // that a push takes
	// Guarded by checkpointCrash.mu: what was acknowledged last, and what got a tag of
	// its own, which nobody removes.
	latest published
	kept   []published
}

type published struct {
	step   int
	digest string
	sum    [sha256.Size]byte
}

// TestCheckpointCrash is that for a few checkpoints in every run, and for as many as
// "make crash" says. What was acknowledged and is held by a tag is never lost, what is
// pulled is never wrong, and in the end every version that is listed decodes.
func TestCheckpointCrash(t *testing.T) {
	t.Parallel()
	seed := uint64(time.Now().UnixNano())
	t.Logf("seed %d", seed)
	r := servePlain(t)
	c := &checkpointCrash{registry: r, rand: rand.New(rand.NewPCG(seed, 0)), did: map[string]int{}}
	for i := range 2 {
		l := &line{
			training: train(t, seed+uint64(i)), repo: fmt.Sprintf("crash/line-%d", i),
			rand: rand.New(rand.NewPCG(seed, uint64(i+1))), sums: map[[sha256.Size]byte]int{},
		}
		c.lines = append(c.lines, l)
		c.must(http.MethodPut, "/v1/repos/"+l.repo+"/retention", `{"keep_last":2,"grace_seconds":0}`)
	}
	c.chaos(crashRounds(t) - 1)
	c.kill()
	c.start()
	for _, l := range c.lines {
		c.check(l)
	}
	c.verifyAll()
	t.Logf("%v; %d chunks were sent as deltas", c.did, c.deltas)
	if c.deltas == 0 {
		t.Error("nothing was sent as a delta")
	}
}

// chaos runs everybody until all trainings have made so many checkpoints.
func (c *checkpointCrash) chaos(checkpoints int) {
	ctx, cancel := context.WithCancel(c.t.Context())
	defer cancel()
	var publishers, others sync.WaitGroup
	for i, l := range c.lines {
		publishers.Go(func() {
			for range checkpoints {
				c.publish(l)
			}
		})
		random := rand.New(rand.NewPCG(l.rand.Uint64(), 0))
		others.Go(func() { c.pulls(ctx, random, filepath.Join(l.dir, "pulled")) })
		others.Go(func() { c.again(ctx, "/v1/repos/"+l.repo+"/retention/apply", "") })
		others.Go(func() {
			c.again(ctx, []string{"/v1/gc", "/v1/compact"}[i%2], []string{`{"dry_run":false,"grace_seconds":0}`, `{}`}[i%2])
		})
	}
	done := make(chan struct{})
	go func() { publishers.Wait(); close(done) }()
	for running := true; running; {
		select {
		case <-done:
			running = false
		case <-time.After(time.Duration(1000+c.rand.IntN(3000)) * time.Millisecond):
			c.kill()
			c.start()
			c.count("server killed")
		}
	}
	cancel()
	others.Wait()
}

func (c *checkpointCrash) count(what string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.did[what]++
}

// publish makes the next checkpoint and pushes it. Some clients are killed; some
// versions get a tag of their own.
func (c *checkpointCrash) publish(l *line) {
	l.move(0.02)
	dir, err := l.write()
	if err != nil {
		c.t.Error(err)
		return
	}
	p := published{step: l.step, sum: l.sum()}
	c.mu.Lock()
	l.sums[p.sum] = l.step
	c.mu.Unlock()
	own, tags := fmt.Sprintf("%s:own-%d", l.repo, l.step), []string{l.repo + ":latest"}
	if l.step%3 == 0 {
		tags = append(tags, own)
	}
	for _, ref := range tags {
		got, ok := c.pushOrDie(l, dir, ref)
		if !ok {
			return
		}
		p.digest = got.Digest
		c.mu.Lock()
		c.deltas += got.ChunksDelta
		if ref == own {
			l.kept = append(l.kept, p)
		} else {
			l.latest = p
		}
		c.mu.Unlock()
	}
}

// pushOrDie pushes and reports whether that was acknowledged.
func (c *checkpointCrash) pushOrDie(l *line, dir, ref string) (got deltaReceipt, ok bool) {
	push := c.command("push", dir, ref, "--json")
	var out, said bytes.Buffer
	push.Stdout, push.Stderr = &out, &said
	if err := push.Start(); err != nil {
		c.t.Error(err)
		return got, false
	}
	began := time.Now()
	if l.typical > 0 && l.rand.IntN(4) == 0 {
		dies := time.AfterFunc(time.Duration(l.rand.Int64N(int64(l.typical))), func() { _ = push.Process.Kill() }) // it may be done
		defer dies.Stop()
	}
	if err := push.Wait(); err != nil {
		if push.ProcessState.ExitCode() >= 0 { // by itself
			c.t.Errorf("push to %s: %v\n%s", ref, err, said.String())
		}
		c.count("client killed")
		return got, false
	}
	if err := json.Unmarshal(out.Bytes(), &got); err != nil {
		c.t.Errorf("push to %s printed %q: %v", ref, out.String(), err)
		return got, false
	}
	c.count("pushed")
	l.typical = time.Since(began)
	return got, true
}

// pulls pulls what was published into one folder, version over version, until ctx ends.
func (c *checkpointCrash) pulls(ctx context.Context, random *rand.Rand, dir string) {
	for ctx.Err() == nil {
		c.mu.Lock()
		l := c.lines[random.IntN(len(c.lines))]
		p, tagged := l.latest, false
		if n := len(l.kept); n > 0 && random.IntN(2) == 0 {
			p, tagged = l.kept[random.IntN(n)], true
		}
		c.mu.Unlock()
		if p.digest == "" {
			pause(ctx)
			continue
		}
		pull := c.command("pull", l.repo+"@"+p.digest, dir, "--json")
		out, err := pull.CombinedOutput()
		switch {
		case err == nil:
			c.count("pulled")
			c.compare(dir, func(sum [sha256.Size]byte) bool { return sum == p.sum })
		case !tagged && pull.ProcessState.ExitCode() == exitNotFound:
			c.count("pull of a retired version")
		default:
			c.t.Errorf("pull of step %d of %s: %v\n%s", p.step, l.repo, err, out)
		}
	}
}

const exitNotFound = 3

// compare looks at what was pulled.
func (c *checkpointCrash) compare(dir string, right func([sha256.Size]byte) bool) {
	file, err := os.ReadFile(filepath.Join(dir, trainedFile))
	if err != nil {
		c.t.Error(err)
		return
	}
	if !right(sha256.Sum256(file)) {
		c.t.Errorf("%s has other bytes than were pushed", dir)
	}
}

func pause(ctx context.Context) {
	select {
	case <-ctx.Done():
	case <-time.After(200 * time.Millisecond):
	}
}

// again makes a call again and again. The server may be dead, or busy with the same.
func (c *checkpointCrash) again(ctx context.Context, path, body string) {
	for ctx.Err() == nil {
		status, text, err := c.call(ctx, http.MethodPost, path, body)
		switch {
		case err != nil || strings.Contains(text, `"error"`):
			c.count(path + " failed")
		case status == http.StatusOK:
			c.count(path)
		default:
			c.t.Errorf("%s: status %d: %s", path, status, text)
		}
		pause(ctx)
	}
}

func (c *checkpointCrash) call(ctx context.Context, method, path, body string) (int, string, error) {
	q, err := http.NewRequestWithContext(ctx, method, "http://"+c.addr+path, strings.NewReader(body))
	if err != nil {
		return 0, "", err
	}
	if body != "" {
		q.Header.Set("Content-Type", "application/json")
	}
	resp, err := http.DefaultClient.Do(q)
	if err != nil {
		return 0, "", err
	}
	text, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(text), errors.Join(err, resp.Body.Close())
}

// must makes a call that has to work, and returns the answer.
func (c *checkpointCrash) must(method, path, body string) string {
	c.t.Helper()
	status, text, err := c.call(c.t.Context(), method, path, body)
	if err != nil || status != http.StatusOK {
		c.t.Fatalf("%s %s: status %d, %v\n%s", method, path, status, err, text)
	}
	return text
}

// check holds a line to what was acknowledged, after retention and a collection.
func (c *checkpointCrash) check(l *line) {
	c.t.Helper()
	c.must(http.MethodPost, "/v1/repos/"+l.repo+"/retention/apply", "")
	c.must(http.MethodPost, "/v1/gc", `{"dry_run":false,"grace_seconds":0}`)
	for _, p := range l.kept {
		c.pulled(fmt.Sprintf("%s:own-%d", l.repo, p.step), func(sum [sha256.Size]byte) bool { return sum == p.sum })
	}
	// A push that was not acknowledged may have moved the tag further.
	if l.latest.digest == "" {
		return
	}
	c.pulled(l.repo+":latest", func(sum [sha256.Size]byte) bool { return l.sums[sum] >= l.latest.step })
	var list struct{ Versions []struct{ Digest string } }
	text := c.must(http.MethodGet, "/v1/repos/"+l.repo+"/versions", "")
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		c.t.Fatal(err)
	}
	for _, v := range list.Versions {
		c.pulled(l.repo+"@"+v.Digest, func(sum [sha256.Size]byte) bool { return l.sums[sum] > 0 })
	}
	if tagged := len(l.kept) + 3; len(list.Versions) == 0 || len(list.Versions) > tagged {
		c.t.Errorf("%s has %d versions, of which retention keeps at most %d", l.repo, len(list.Versions), tagged)
	}
}

func (c *checkpointCrash) pulled(ref string, right func([sha256.Size]byte) bool) {
	c.t.Helper()
	dir := filepath.Join(c.t.TempDir(), "pulled")
	if out, err := c.command("pull", ref, dir, "--no-cache", "--json").CombinedOutput(); err != nil {
		c.t.Errorf("pull %s, which is acknowledged: %v\n%s", ref, err, out)
		return
	}
	c.compare(dir, right)
}
