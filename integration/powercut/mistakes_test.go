package powercut_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/integration/needtest"
)

// mistake is a way to make what is acknowledged less durable: texts that are replaced
// in source files as the program is built.
type mistake struct {
	name   string
	edits  []edit
	rounds int // within which it must lose something on XFS
}

// edit replaces a text that stands once in a file.
type edit struct{ file, old, new string }

var mistakes = []mistake{
	{"files are not synced", []edit{{"chunker/chunkdir/put.go", "err = d.fsync(f)", "err = nil"}}, 2},
	{"registers are not synced", []edit{{"registry/internal/bolt/registers.go", "openFile(path, false)", "openFile(path, true)"}}, 2},
	{"folders are not synced", []edit{{"chunker/chunkdir/sync.go", "err = s.fsync(f); err != nil", "err = error(nil); err != nil"}}, 30},
}

// overlay writes the files with the mistake in them, and what tells the go command to
// take them in place of the real ones.
func (m mistake) overlay(dir string) (string, error) {
	replace := map[string]string{}
	for i, e := range m.edits {
		from, err := filepath.Abs(filepath.Join("../..", e.file))
		if err != nil {
			return "", err
		}
		content, err := os.ReadFile(from)
		if err != nil {
			return "", err
		}
		if n := strings.Count(string(content), e.old); n != 1 {
			return "", fmt.Errorf("%s: %q stands there %d times, want once: the mistake has to be written anew", e.file, e.old, n)
		}
		to := filepath.Join(dir, fmt.Sprintf("%d.go", i))
		if err := os.WriteFile(to, []byte(strings.Replace(string(content), e.old, e.new, 1)), 0o666); err != nil {
			return "", err
		}
		replace[from] = to
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path := filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, b, 0o666)
}

// TestMistakes plants mistakes into the program, which then must lose something that
// it has acknowledged: else the rounds above show nothing. In every run that is the
// first of them, in long ones all.
func TestMistakes(t *testing.T) {
	if long(t) == 0 {
		needtest.Skip(t, "powercut", "takes minutes: run make powercut")
	}
	for i, m := range mistakes {
		t.Run(strings.ReplaceAll(m.name, " ", "-"), func(t *testing.T) {
			overlay, err := m.overlay(t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			if i > 0 && long(t) == 0 {
				return // that it still applies is all that a short run shows
			}
			planted, err := compile("ingot-planted", "-overlay", overlay)
			if err != nil {
				t.Fatal(err)
			}
			n := m.lose(t, planted)
			if len(n.lost) == 0 {
				t.Errorf("nothing was lost: %v", n)
				return
			}
			t.Logf("%v; the first: %s", n, n.lost[0])
		})
	}
}

// lose runs rounds until something is lost, or there were enough of them.
func (m mistake) lose(t *testing.T, planted string) *tally {
	t.Helper()
	random, n := seeded(t), &tally{}
	var g *rig
	for n.rounds < m.rounds && len(n.lost) == 0 {
		if n.rounds%perDisk == 0 {
			if g != nil {
				g.close()
			}
			g = newRig(t, "xfs", planted, random, n)
			g.quiet, g.longest = true, time.Second
		}
		g.round()
	}
	return n
}
