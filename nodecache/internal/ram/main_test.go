//go:build linux

package ram_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/ram"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
	"github.com/ingot-ml/ingot/nodecache/internal/tier/tiertest"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// TestMain also checks that no segment is left open.
func TestMain(m *testing.M) {
	code := m.Run()
	if n := descriptors(); code == 0 && n > 0 {
		fmt.Fprintf(os.Stderr, "%d segments are left open\n", n)
		code = 1
	}
	os.Exit(code)
}

// descriptors is how many of this process are segments.
func descriptors() (n int) {
	entries, _ := os.ReadDir("/proc/self/fd")
	for _, e := range entries {
		if target, err := os.Readlink("/proc/self/fd/" + e.Name()); err == nil && (strings.Contains(target, "memfd:ingot") || strings.HasPrefix(target, "/#")) {
			n++
		}
	}
	return n
}

func open(t testing.TB, c ram.Config) *ram.Tier {
	t.Helper()
	r, err := ram.Open(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	return r
}

// conformance is how the suite makes tiers, with huge pages or without.
func conformance(huge bool) tiertest.Config {
	return tiertest.Config{
		Open: func(t testing.TB) tier.Store {
			return open(t, ram.Config{Budget: tiertest.Budget, Huge: huge}).Domain("acme")
		},
		Damage: func(_ testing.TB, s tier.Store, d chunker.Digest) { s.(*ram.Domain).Damage(d) },
	}
}

func TestConformance(t *testing.T) {
	t.Run("small pages", func(t *testing.T) { tiertest.Run(t, conformance(false)) })
	t.Run("huge pages", func(t *testing.T) { tiertest.Run(t, conformance(true)) })
}

// ref names a chunk of a size. Its digest is not that of any bytes: this package
// never looks.
func ref(id uint64, size uint32) chunker.Ref {
	return chunker.Ref{Digest: chunker.Sum(fmt.Append(nil, id)), Size: size}
}

// group is chunks of these sizes with ids from first on.
func group(first uint64, sizes ...uint32) []chunker.Ref {
	refs := make([]chunker.Ref, len(sizes))
	for i, size := range sizes {
		refs[i] = ref(first+uint64(i), size)
	}
	return refs
}

func claim(t testing.TB, d *ram.Domain, groups ...[]chunker.Ref) []*ram.Claim {
	t.Helper()
	claims, err := d.Claim(groups)
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

// fill sets all bytes to one value.
func fill(b []byte, with byte) {
	b[0] = with
	for n := 1; n < len(b); n *= 2 {
		copy(b[n:], b[:n])
	}
}

func publish(c *ram.Claim, with byte) {
	fill(c.Bytes(), with)
	c.Publish()
}

// empty checks that nothing of a tier is left.
func empty(t *testing.T, r *ram.Tier) {
	t.Helper()
	if got := r.Stats(); got != (ram.Stats{}) {
		t.Errorf("what is left: %+v", got)
	}
}

func TestConfig(t *testing.T) {
	for _, c := range []ram.Config{
		{},
		{Budget: -1},
		{Budget: mib, Segment: 3 * mib},
		{Budget: mib, Segment: kib},
		{Budget: mib, Segment: -2 * mib},
	} {
		if _, err := ram.Open(c); err == nil {
			t.Errorf("%+v is accepted", c)
		}
	}
}
