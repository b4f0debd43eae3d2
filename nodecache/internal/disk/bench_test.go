package disk_test

import (
	"fmt"
	"testing"

	"github.com/ingot-ml/ingot/nodecache/internal/disk"
)

// BenchmarkRead reads chunks that the page cache has, in both forms, and beside
// them copies as many bytes.
func BenchmarkRead(b *testing.B) {
	for _, size := range []int{64 << 10, 2 * mebi} {
		const files = 16
		for _, form := range []disk.Form{disk.Plain, disk.Encoded} {
			b.Run(fmt.Sprintf("%s/%dKiB", [...]string{"plain", "encoded"}[form], size>>10), func(b *testing.B) {
				c := config(b.TempDir())
				c.Form = form
				s := open(b, c)
				samples := make([]sample, files)
				for i := range samples {
					samples[i] = newSample(uint64(i), size)
					put(b, s, samples[i])
				}
				dst := make([]byte, size)
				b.SetBytes(int64(size))
				b.ReportAllocs()
				b.ResetTimer()
				for i := range b.N {
					if _, err := s.Read(b.Context(), samples[i%files].ref, dst); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
		b.Run(fmt.Sprintf("copy/%dKiB", size>>10), func(b *testing.B) {
			src, dst := make([][]byte, files), make([]byte, size)
			for i := range src {
				src[i] = newSample(uint64(i), size).plain
			}
			b.SetBytes(int64(size))
			b.ResetTimer()
			for i := range b.N {
				copy(dst, src[i%files])
			}
		})
	}
}

func BenchmarkPut(b *testing.B) {
	c := config(b.TempDir())
	s := open(b, c)
	one := newSample(0, 2*mebi)
	b.SetBytes(2 * mebi)
	for b.Loop() {
		if err := s.Put(b.Context(), one.ref, one.plain, nil); err != nil {
			b.Fatal(err)
		}
		s.Drop(one.ref.Digest)
	}
}
