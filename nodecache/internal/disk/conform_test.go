package disk_test

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/disk"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
	"github.com/ingot-ml/ingot/nodecache/internal/tier/tiertest"
)

// conformance makes stores in new folders.
func conformance(form disk.Form) tiertest.Config {
	dirs := map[tier.Store]string{}
	return tiertest.Config{
		Open: func(t testing.TB) tier.Store {
			c := config(filepath.Join(t.TempDir(), "node"))
			c.Form, c.Budget = form, tiertest.Budget
			s := open(t, c)
			dirs[s] = c.Dir
			return s
		},
		Damage: func(t testing.TB, s tier.Store, d chunker.Digest) {
			damage(t, path(t, dirs[s], d), damages["middle"])
		},
	}
}

func TestConformance(t *testing.T) {
	for _, form := range []disk.Form{disk.Plain, disk.Encoded} {
		t.Run(fmt.Sprint(form), func(t *testing.T) { tiertest.Run(t, conformance(form)) })
	}
}

func BenchmarkTier(b *testing.B) { tiertest.Bench(b, conformance(disk.Plain)) }
