//go:build linux && (amd64 || arm64)

package cuda_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"testing"

	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/cuda/ptx"
)

// random returns bytes that are the same for a seed.
func random(seed uint64, n int) []byte {
	source := rand.NewChaCha8([32]byte{0: byte(seed)})
	b := make([]byte, n)
	_, _ = source.Read(b) // never fails
	return b
}

// TestFakeCopies has bytes go up, across, be set, and down again, from memory that is
// registered and from memory that is not.
func TestFakeCopies(t *testing.T) {
	v, c, f := oneDevice(t)
	pinned := shared(t, slab)
	copy(pinned, random(1, slab))
	loose := random(2, 4096)
	got := make([]byte, 2*slab)
	within(t, c, func(b *cuda.Bound) error {
		p, release, err := mapped(b, v, 2*slab)
		if err != nil {
			return err
		}
		s, err := b.NewStream()
		if err != nil {
			return err
		}
		return errors.Join(
			b.Register(pinned, cuda.RegisterPortable),
			b.HtoD(p, pinned, s),
			b.HtoD(p+4096, loose, s),
			b.DtoD(p+slab, p, slab, s),
			b.Memset(p+slab+100, 0x5a, 50, s),
			b.DtoH(got, p, s),
			b.Synchronize(s),
			b.Unregister(pinned),
			b.DestroyStream(s),
			release(),
		)
	})
	want := bytes.Clone(pinned)
	copy(want[4096:], loose)
	want = append(want, want...)
	copy(want[slab+100:], bytes.Repeat([]byte{0x5a}, 50))
	if !bytes.Equal(got, want) {
		t.Error("what came down is not what went up")
	}
	if used := f.Used(0); used != 0 {
		t.Errorf("%d bytes of the device are left in use", used)
	}
}

func TestFakeEmptyCopies(t *testing.T) {
	_, c, f := oneDevice(t)
	within(t, c, func(b *cuda.Bound) error {
		return errors.Join(b.HtoD(1, nil, 0), b.DtoH(nil, 1, 0))
	})
	if n := f.Calls("cuMemcpyHtoDAsync_v2") + f.Calls("cuMemcpyDtoHAsync_v2"); n != 0 {
		t.Errorf("%d calls copied nothing", n)
	}
}

// TestFakeNonsense asks for sizes that the driver would misread.
func TestFakeNonsense(t *testing.T) {
	v, c, f := oneDevice(t)
	var asked map[string]error
	within(t, c, func(b *cuda.Bound) error {
		_, created := v.Create(-1)
		_, reserved := b.Reserve(-slab, 0)
		asked = map[string]error{
			"cuMemCreate": created, "cuMemAddressReserve": reserved, "cuMemAddressFree": b.FreeAddress(1, 0),
			"cuMemMap": b.Map(1, -1, 1), "cuMemUnmap": b.Unmap(1, 0), "cuMemSetAccess": b.SetAccess(1, -1, true),
			"cuMemHostRegister_v2": b.Register(nil, 0), "cuMemHostUnregister": b.Unregister([]byte{}),
			"cuMemcpyDtoDAsync_v2": b.DtoD(1, 2, -1, 0), "cuMemsetD8Async": b.Memset(1, 0, -1, 0),
		}
		return nil
	})
	for call, err := range asked {
		wantRefused(t, err, call, cuda.InvalidValue)
		if f.Calls(call) != 0 {
			t.Errorf("%s was called", call)
		}
	}
}

// TestFakeFull takes more memory than there is, and as much as there is when some is
// given back.
func TestFakeFull(t *testing.T) {
	v, c, f := oneDevice(t)
	h, err := v.Create(fakeMemory - slab)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Create(2 * slab); !errors.Is(err, cuda.ErrOutOfMemory) {
		t.Errorf("a full device: %v", err)
	}
	within(t, c, func(b *cuda.Bound) error {
		free, total, err := b.MemInfo()
		if free != slab || total != fakeMemory {
			t.Errorf("%d of %d free", free, total)
		}
		return err
	})
	if err := v.Release(h); err != nil {
		t.Fatal(err)
	}
	if h, err = v.Create(fakeMemory); err != nil {
		t.Fatal(err)
	}
	if err := v.Release(h); err != nil || f.Used(0) != 0 {
		t.Errorf("%d bytes in use, %v", f.Used(0), err)
	}
}

// TestFakeEvents tells what is done from what is not.
func TestFakeEvents(t *testing.T) {
	v, c, _ := oneDevice(t)
	within(t, c, func(b *cuda.Bound) error {
		p, release, err := mapped(b, v, slab)
		if err != nil {
			return err
		}
		s, err := b.NewStream()
		if err != nil {
			return err
		}
		other, err := b.NewStream()
		if err != nil {
			return err
		}
		from, err := b.NewEvent()
		if err != nil {
			return err
		}
		to, err := b.NewEvent()
		if err != nil {
			return err
		}
		err = errors.Join(b.Record(from, s), b.Memset(p, 1, slab, s), b.Record(to, s), b.Wait(other, to),
			b.Synchronize(other), b.SynchronizeEvent(to))
		if err != nil {
			return err
		}
		if took, err := b.Elapsed(from, to); err != nil || took < 0 {
			t.Errorf("elapsed: %v, %v", took, err)
		}
		for what, query := range map[string]func() (bool, error){
			"stream": func() (bool, error) { return b.Query(s) },
			"event":  func() (bool, error) { return b.QueryEvent(to) },
		} {
			if done, err := query(); !done || err != nil {
				t.Errorf("%s: done %v, %v", what, done, err)
			}
		}
		return errors.Join(b.DestroyEvent(from), b.DestroyEvent(to), b.DestroyStream(s), b.DestroyStream(other),
			b.SynchronizeContext(), release())
	})
}

// TestFakeNotReady has queries say that there is work.
func TestFakeNotReady(t *testing.T) {
	_, c, f := oneDevice(t)
	within(t, c, func(b *cuda.Bound) error {
		e, err := b.NewEvent()
		if err != nil {
			return err
		}
		f.Reset("cuStreamQuery:1=600,cuEventQuery:1=600")
		if done, err := b.Query(0); done || err != nil {
			t.Errorf("stream: done %v, %v", done, err)
		}
		if done, err := b.QueryEvent(e); done || err != nil {
			t.Errorf("event: done %v, %v", done, err)
		}
		return b.DestroyEvent(e)
	})
}

// TestFakeKernel launches a kernel, and has it count what its twin counts.
func TestFakeKernel(t *testing.T) {
	v, c, _ := oneDevice(t)
	const size = 12345
	data := random(3, size)
	got := make([]byte, 8)
	within(t, c, func(b *cuda.Bound) error {
		p, release, err := mapped(b, v, slab)
		if err != nil {
			return err
		}
		m, err := b.Load(ptx.Source())
		if err != nil {
			return err
		}
		sum, err := b.Function(m, ptx.NameSum64)
		if err != nil {
			return err
		}
		from := p + 4096
		return errors.Join(b.Memset(p, 0, 8, 0), b.HtoD(from, data, 0),
			b.Launch(sum, ptx.Grid(size/8), ptx.Block, 0, p, from, uint64(size)),
			b.DtoH(got, p, 0), b.Synchronize(0), b.Unload(m), release())
	})
	if n := binary.LittleEndian.Uint64(got); n != ptx.Sum64(data) {
		t.Errorf("the kernel says %#x, its twin %#x", n, ptx.Sum64(data))
	}
}

func TestFakeKernelMistakes(t *testing.T) {
	_, c, f := oneDevice(t)
	within(t, c, func(b *cuda.Bound) error {
		m, err := b.Load(ptx.Source())
		if err != nil {
			return err
		}
		_, err = b.Function(m, "ingot_nothing")
		wantRefused(t, err, "cuModuleGetFunction", cuda.NotFound)
		if err := b.Launch(1, 1, 1, 0, "text"); err == nil {
			t.Error("a text is an argument")
		}
		if err := b.Launch(1, 1, 1, 0, make([]any, 17)...); err == nil {
			t.Error("17 arguments fit")
		}
		return b.Unload(m)
	})
	if f.Calls("cuLaunchKernel") != 0 {
		t.Error("a kernel was launched")
	}
}
