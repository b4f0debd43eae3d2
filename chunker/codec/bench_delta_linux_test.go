package codec_test

import (
	"fmt"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
)

// threadTime returns the nanoseconds that this thread had a processor.
func threadTime(b *testing.B) int64 {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		b.Fatal(err)
	}
	return t.Nano()
}

// BenchmarkDelta encodes and decodes fine-tunes whose bases are at hand, and gives up
// on a chunk that has nothing to do with its base. The copies to compare with are made
// right before and after, and counted as they are in the thread's processor time, for
// the machine is shared with whatever else runs.
func BenchmarkDelta(b *testing.B) {
	w := matrix(benchSet / 2 / columns)
	base := pieces(words(w, asBF16))
	names := make([]chunker.Digest, len(base))
	for i := range base {
		names[i] = chunker.Sum(base[i])
	}
	dst := pieces(make([]byte, benchSet))
	memcpy := func() int64 { // of one chunk
		start := threadTime(b)
		for i := range dst {
			copy(dst[i], base[i])
		}
		return (threadTime(b) - start) / int64(len(dst))
	}
	memcpy() // has dst backed by memory
	each := func(name string, do func(i int)) {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(chunker.MaxSize)
			b.ReportAllocs()
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			beside, start := memcpy(), threadTime(b)
			for i := 0; b.Loop(); i++ {
				do(i % len(base))
			}
			used := threadTime(b) - start
			beside = (beside + memcpy()) / 2
			b.ReportMetric(float64(used)/float64(b.N)/float64(beside), "memcpys")
		})
	}
	for _, share := range shares {
		plain := pieces(words(tuned(w, share), asBF16))
		enc := make([][]byte, len(plain))
		encode := func(i int) {
			enc[i], _ = codec.AppendDelta(enc[i][:0], plain[i], base[i], names[i], chunker.BF16, chunker.MaxSize)
		}
		stored := 0
		for i := range enc {
			encode(i)
			stored += len(enc[i])
		}
		b.Logf("%v changed: %.4f of raw", share, float64(stored)/benchSet)
		each(fmt.Sprintf("encode/%v", share), encode)
		each(fmt.Sprintf("undo/%v", share), func(i int) {
			if _, err := codec.UndoDelta(dst[i], enc[i], plain[i], names[i]); err != nil {
				b.Fatal(err)
			}
		})
		each(fmt.Sprintf("decode/%v", share), func(i int) {
			if _, err := codec.DecodeDelta(dst[i], enc[i], base[i], names[i]); err != nil {
				b.Fatal(err)
			}
		})
	}
	each("hopeless", func(i int) {
		other := (i + 1) % len(base)
		if _, ok := codec.AppendDelta(nil, base[i], base[other], names[other], chunker.BF16, chunker.MaxSize/2); ok {
			b.Fatal("not hopeless")
		}
	})
}
