//go:build linux

package ram_test

import (
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/ram"
	"github.com/ingot-ml/ingot/nodecache/internal/tier/tiertest"
)

func BenchmarkTier(b *testing.B) { tiertest.Bench(b, conformance(false)) }

// filled is how many bytes BenchmarkFill fills at a time.
const filled = 256 * mib

// BenchmarkFill fills chunks of 2 MiB, as a load does, beside copying as much to
// memory that is there, and to memory that the system gives.
func BenchmarkFill(b *testing.B) {
	from := make([]byte, 2*mib)
	fill(from, 1)
	copyTo := func(dst []byte) {
		for at := 0; at < filled; at += 2 * mib {
			copy(dst[at:], from)
		}
	}
	b.Run("Copy", func(b *testing.B) {
		dst := anonymous(b)
		b.SetBytes(filled)
		for b.Loop() {
			copyTo(dst)
		}
	})
	b.Run("CopyNew", func(b *testing.B) {
		b.SetBytes(filled)
		for b.Loop() {
			dst := anonymous(b)
			copyTo(dst)
			if err := unix.Munmap(dst); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("Claims", func(b *testing.B) {
		d := open(b, ram.Config{Budget: filled, Huge: true}).Domain("acme")
		sizes := make([]uint32, filled/(2*mib))
		for i := range sizes {
			sizes[i] = 2 * mib
		}
		refs := group(0, sizes...)
		b.SetBytes(filled)
		for b.Loop() {
			for _, c := range claim(b, d, refs) {
				copy(c.Bytes(), from)
				c.Publish()
			}
			for _, ref := range refs {
				d.Drop(ref.Digest)
			}
		}
	})
}

// anonymous returns private memory that is resident.
func anonymous(b *testing.B) []byte {
	dst, err := unix.Mmap(-1, 0, filled, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE|unix.MAP_ANONYMOUS|unix.MAP_POPULATE)
	if err != nil {
		b.Fatal(err)
	}
	return dst
}

// BenchmarkClaim claims 1000 chunks and gives them back.
func BenchmarkClaim(b *testing.B) {
	d := open(b, ram.Config{Budget: 4 << 30}).Domain("acme")
	var groups [][]chunker.Ref
	for i := range uint64(100) {
		groups = append(groups, group(i*10, 2*mib, 2*mib, 2*mib, 2*mib, 2*mib, 2*mib, 2*mib, 2*mib, 2*mib, 1500*kib))
	}
	for b.Loop() {
		for _, c := range claim(b, d, groups...) {
			c.Abandon()
		}
	}
}
