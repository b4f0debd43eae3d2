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

// TestFailedSync has the disk say, from some moment on, that it could not write what
// was to be synced; strace answers in its place. A registry that took that for success,
// or tried again until it was told so, would acknowledge what the cut that follows
// takes away.
func TestFailedSync(t *testing.T) {
	strace, err := exec.LookPath("strace")
	if err != nil {
		needtest.Skip(t, "mount", fmt.Errorf("run make tools: %w", err))
	}
	for _, call := range []struct {
		name string
		ends bool // the registry then ends by itself
	}{
		{"fsync", false},    // of blobs and their folders
		{"fdatasync", true}, // of the registers
	} {
		t.Run(call.name, func(t *testing.T) {
			n := &tally{}
			g := newRig(t, "xfs", program(t), seeded(t), n)
			g.server.kill()
			// Each thread counts its calls.
			inject := fmt.Sprintf("inject=%s:error=EIO:when=%d+", call.name, 10+g.rand.IntN(10))
			g.server.before = []string{strace, "-D", "-f", "-qq", "-o", filepath.Join(t.TempDir(), "calls"), "-e", "trace=" + call.name, "-e", inject}
			g.server.start()
			failed := g.pushUntilFailure()
			if call.ends {
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
		})
	}
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
