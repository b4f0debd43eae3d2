package powercut_test

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/integration/needtest"
)

// TestFailedSync has the disk say that it could not write what was to be synced; strace
// answers in its place. A registry that took that for success, or tried again until it
// was told so, would acknowledge what the cut that follows takes away.
func TestFailedSync(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		needtest.Skip(t, "mount", fmt.Errorf("run make tools: %w", err))
	}
	for _, call := range []struct {
		name string
		when string // each thread counts its calls
		ends bool   // the registry then ends by itself
	}{
		{"fsync", "%d", false},     // of blobs and their folders: one fails
		{"fdatasync", "%d+", true}, // of the registers: all from then on
	} {
		t.Run(call.name, func(t *testing.T) {
			for range 1 + long(t)/5 {
				failSync(t, strace, call.name, call.when, call.ends)
			}
		})
	}
}

// failSync is one failure, of a call of that name.
func failSync(t *testing.T, strace, name, when string, ends bool) {
	t.Helper()
	n := &tally{}
	g := newRig(t, "xfs", program(t), seeded(t), n)
	g.server.kill()
	inject := fmt.Sprintf("inject=%s:error=EIO:when="+when, name, 10+g.rand.IntN(10))
	g.server.before = []string{strace, "-D", "-f", "-qq", "-o", filepath.Join(t.TempDir(), "calls"), "-e", "trace=" + name, "-e", inject}
	g.server.start()
	failed := g.pushUntilFailure()
	if ends {
		if err := g.server.end(); err == nil {
			t.Errorf("the registry ended well though its registers failed\n%s", g.server.log)
		}
	}
	if err := g.disk.cut(); err != nil {
		t.Fatal(err)
	}
	g.server.before = nil
	g.recover()
	if len(n.lost) > 0 {
		t.Errorf("%s\nthe registry said\n%s", n.lost[0], g.server.log)
	}
	t.Logf("%v; the push that failed: %v", n, failed)
	g.close()
}

// pushUntilFailure pushes until that fails, and returns how.
func (g *rig) pushUntilFailure() error {
	g.t.Helper()
	ctx, cancel := context.WithTimeout(g.t.Context(), time.Minute)
	defer cancel()
	p := g.pusher(0, nil)
	err := p.run(ctx, &power{})
	if err == nil || ctx.Err() != nil {
		g.t.Fatalf("no push failed: %v", errors.Join(err, ctx.Err()))
	}
	return err
}
