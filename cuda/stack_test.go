//go:build linux && (amd64 || arm64)

package cuda_test

import (
	"runtime"
	"sync"
	"testing"

	"github.com/ebitengine/purego"
	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/cuda"
)

// deep calls f with so much more of the stack in use.
func deep(steps int, f func()) byte {
	var frame [48]byte
	frame[steps%len(frame)] = 1
	if steps == 0 {
		f()
		return frame[0]
	}
	return deep(steps-1, f) + frame[(steps+1)%len(frame)]
}

// TestFakeStacksMove calls the driver at every depth of many stacks, each of them new:
// at some of them the stack grows, and moves, on the way to the driver. What it
// writes must arrive all the same.
func TestFakeStacksMove(t *testing.T) {
	fakeOf(t, 1)
	v := open(t).Devices()[0]
	c := retain(t, v)
	var wg sync.WaitGroup
	for depth := range 400 {
		wg.Go(func() { deep(depth, func() { wantAnswers(t, v) }) })
		wg.Go(func() {
			err := c.With(func(b *cuda.Bound) (err error) {
				deep(depth, func() { err = wantBoundAnswers(t, b) })
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
}

func wantAnswers(t *testing.T, v *cuda.Device) {
	if n, err := v.Granularity(); n != slab || err != nil {
		t.Errorf("granularity %d, %v", n, err)
	}
	if n, err := v.Attribute(cuda.FileHandles); n != 1 || err != nil {
		t.Errorf("attribute %d, %v", n, err)
	}
}

func wantBoundAnswers(t *testing.T, b *cuda.Bound) error {
	free, total, err := b.MemInfo()
	if free != fakeMemory || total != fakeMemory || err != nil {
		t.Errorf("%d of %d free, %v", free, total, err)
	}
	p, err := b.Reserve(slab, 0)
	if err != nil || p == 0 {
		t.Errorf("address %d, %v", p, err)
	}
	return b.FreeAddress(p, slab)
}

// TestBlockedCall waits in C for what another goroutine does, with one goroutine at a
// time: a call that stopped the others would wait for good.
func TestBlockedCall(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1))
	libc, err := purego.Dlopen("libc.so.6", purego.RTLD_NOW)
	if err != nil {
		t.Fatal(err)
	}
	read, err := purego.Dlsym(libc, "eventfd_read")
	if err != nil {
		t.Fatal(err)
	}
	fd, err := unix.Eventfd(0, unix.EFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(fd) }()
	calling, done := make(chan bool), make(chan cuda.Result)
	var value uint64
	go func() {
		close(calling)
		done <- cuda.CallAt(read, fd, &value)
	}()
	<-calling
	for range 100 {
		runtime.Gosched()
	}
	if _, err := unix.Write(fd, []byte{1, 0, 0, 0, 0, 0, 0, 0}); err != nil {
		t.Fatal(err)
	}
	if r := <-done; r != 0 || value != 1 {
		t.Errorf("the call returned %d and wrote %d", int32(r), value)
	}
}
