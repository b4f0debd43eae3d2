//go:build linux

package mover_test

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/cuda/cudatest"
	"github.com/ingot-ml/ingot/nodecache/internal/mover"
)

const (
	kib = 1 << 10
	mib = 1 << 20
)

// world is a fake driver, the agent's end of one device of it, and a mover.
type world struct {
	testing.TB
	fake   *cudatest.State
	gpu    *cuda.Device
	mover  *mover.Mover
	memory map[uint64]*memory
	slabs  map[uint64]cuda.Handle
	sizes  map[uint64]int64
}

// memory is a segment.
type memory struct {
	file *os.File
	data []byte
}

func newWorld(t testing.TB, o cudatest.Options) *world {
	t.Helper()
	w := &world{
		TB: t, fake: cudatest.Use(t, o),
		memory: map[uint64]*memory{}, slabs: map[uint64]cuda.Handle{}, sizes: map[uint64]int64{},
	}
	driver, err := cuda.Open("")
	if err != nil {
		t.Fatal(err)
	}
	w.gpu = driver.Devices()[0]
	t.Cleanup(w.end)
	return w
}

// config is that of a mover which is this test's binary.
func (w *world) config() mover.Config {
	self, err := os.Executable()
	if err != nil {
		w.Fatal(err)
	}
	return mover.Config{
		Command: []string{self, "mover"}, UUID: w.gpu.UUID(),
		Env:    []string{"GORACE=atexit_sleep_ms=0"}, // a mover ends at once
		Logger: slog.New(slog.NewTextHandler(&logged{w.TB}, nil)),
	}
}

func (w *world) start() *mover.Mover {
	w.Helper()
	return w.startAs(w.config())
}

func (w *world) startAs(c mover.Config) *mover.Mover {
	w.Helper()
	m, err := mover.Start(c)
	if err != nil {
		w.Fatal(err)
	}
	w.mover = m
	return m
}

// end closes all, and checks that the driver has nothing left.
func (w *world) end() {
	w.close()
	for id := range w.slabs {
		w.releaseSlab(id)
	}
	for _, p := range w.fake.Live() {
		if !p.Empty() {
			w.Errorf("at the end process %+v holds something", p)
		}
		if p.PID != os.Getpid() {
			w.Errorf("at the end process %d lives", p.PID)
		}
	}
	for _, m := range w.memory {
		_ = unix.Munmap(m.data)
		_ = m.file.Close()
	}
	if used := w.fake.Used(0); used != 0 {
		w.Errorf("at the end %d bytes of the device are in use", used)
	}
}

// close ends the mover, and checks that nothing of it is left in this process.
func (w *world) close() {
	if w.mover == nil {
		return
	}
	if err := w.mover.Close(); err != nil {
		w.Error(err)
	}
	w.mover = nil
	stacks := make([]byte, 1<<20)
	var left string
	for range 100 { // one that has said that it ends may not have
		left = string(stacks[:runtime.Stack(stacks, true)])
		if !strings.Contains(left, "nodecache/internal/mover.") {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	w.Errorf("goroutines are left:\n%s", left)
}

// until waits for something that comes by itself.
func (w *world) until(what string, is func() bool) {
	w.Helper()
	for deadline := time.Now().Add(time.Minute); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(deadline) {
			state, why, n := w.mover.State()
			w.Fatalf("it does not come: %s; the mover is %s (%s), %d restarts", what, state, why, n)
		}
	}
}

func (w *world) isReady() bool {
	state, _, _ := w.mover.State()
	return state == mover.Ready
}

// pid is the process of the mover, 0 for none.
func (w *world) pid() int {
	for _, p := range w.fake.Live() {
		if p.PID != os.Getpid() {
			return p.PID
		}
	}
	return 0
}

// segment makes a segment with random bytes. Like the RAM tier's its descriptor
// cannot be written through.
func (w *world) segment(id uint64, size int) *memory {
	w.Helper()
	fd, err := unix.MemfdCreate("segment", unix.MFD_CLOEXEC)
	if err != nil {
		w.Fatal(err)
	}
	whole := os.NewFile(uintptr(fd), "segment")
	defer func() { _ = whole.Close() }()
	if err := whole.Truncate(int64(size)); err != nil {
		w.Fatal(err)
	}
	m := &memory{}
	if m.file, err = os.Open(fmt.Sprintf("/proc/self/fd/%d", fd)); err != nil {
		w.Fatal(err)
	}
	if m.data, err = unix.Mmap(fd, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED); err != nil {
		w.Fatal(err)
	}
	random := rand.New(rand.NewPCG(id, 1))
	for i := 0; i < len(m.data); i += 8 {
		binary.LittleEndian.PutUint64(m.data[i:], random.Uint64())
	}
	w.memory[id] = m
	return m
}

// addSegment makes one and tells the mover.
func (w *world) addSegment(id uint64, size int) *memory {
	w.Helper()
	m := w.segment(id, size)
	if err := w.mover.AddSegment(id, int64(size), m.file); err != nil {
		w.Fatal(err)
	}
	return m
}

// createSlab takes memory of the device, as the agent does.
func (w *world) createSlab(id uint64, size int64) func() (*os.File, error) {
	w.Helper()
	h, err := w.gpu.Create(size)
	if err != nil {
		w.Fatal(err)
	}
	w.slabs[id], w.sizes[id] = h, size
	return func() (*os.File, error) { return w.gpu.Export(h) }
}

func (w *world) addSlab(id uint64, size int64) {
	w.Helper()
	if err := w.mover.AddSlab(id, size, w.createSlab(id, size)); err != nil {
		w.Fatal(err)
	}
}

func (w *world) releaseSlab(id uint64) {
	if err := w.gpu.Release(w.slabs[id]); err != nil {
		w.Error(err)
	}
	delete(w.slabs, id)
}

// read returns what a slab holds, through a mapping of this process.
func (w *world) read(id uint64) []byte {
	w.Helper()
	size := w.sizes[id]
	got := make([]byte, size)
	context, err := w.gpu.Retain()
	if err != nil {
		w.Fatal(err)
	}
	defer func() {
		if err := context.Close(); err != nil {
			w.Error(err)
		}
	}()
	err = context.With(func(b *cuda.Bound) error {
		at, err := b.Reserve(size, 0)
		if err != nil {
			return err
		}
		s, err := b.NewStream()
		if err != nil {
			return err
		}
		for _, step := range []func() error{
			func() error { return b.Map(at, size, w.slabs[id]) },
			func() error { return b.SetAccess(at, size, false) },
			func() error { return b.DtoH(got, at, s) },
			func() error { return b.Synchronize(s) },
			func() error { return b.DestroyStream(s) },
			func() error { return b.Unmap(at, size) },
			func() error { return b.FreeAddress(at, size) },
		} {
			if err := step(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.Fatal(err)
	}
	return got
}

// holds checks what a slab has at an offset.
func (w *world) holds(id uint64, offset int64, want []byte) {
	w.Helper()
	if got := w.read(id)[offset:][:len(want)]; !bytes.Equal(got, want) {
		at := 0
		for got[at] == want[at] {
			at++
		}
		w.Errorf("slab %d differs from offset %d on: %x, want %x", id, offset+int64(at), got[at], want[at])
	}
}

// copies does copies, which must succeed.
func (w *world) copies(list ...mover.Copy) mover.Moved {
	w.Helper()
	moved, err := w.mover.Copy(w.Context(), list, nil)
	if err != nil {
		w.Fatal(err)
	}
	return moved
}

// logged passes what is logged to the test.
type logged struct{ t testing.TB }

func (l *logged) Write(b []byte) (int, error) {
	l.t.Logf("%s", bytes.TrimSpace(b))
	return len(b), nil
}
