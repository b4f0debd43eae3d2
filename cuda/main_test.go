//go:build linux && (amd64 || arm64)

package cuda_test

import (
	"errors"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/cuda/cudatest"
)

const (
	slab       = 2 << 20
	fakeMemory = 64 << 20
)

func TestMain(m *testing.M) {
	if os.Getenv(roleOfChild) != "" {
		os.Exit(child())
	}
	os.Exit(m.Run())
}

// fakeOf makes the driver the fake, with some devices.
func fakeOf(t testing.TB, devices int) *cudatest.State {
	t.Helper()
	return cudatest.Use(t, cudatest.Options{Devices: devices, Memory: fakeMemory})
}

func open(t testing.TB) *cuda.Driver {
	t.Helper()
	d, err := cuda.Open("")
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// oneDevice returns the only device of the fake and its context.
func oneDevice(t testing.TB) (*cuda.Device, *cuda.Context, *cudatest.State) {
	t.Helper()
	f := fakeOf(t, 1)
	v := open(t).Devices()[0]
	return v, retain(t, v), f
}

func retain(t testing.TB, v *cuda.Device) *cuda.Context {
	t.Helper()
	c, err := v.Retain()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
	})
	return c
}

// within runs f with the context, and fails the test if it fails.
func within(t testing.TB, c *cuda.Context, f func(b *cuda.Bound) error) {
	t.Helper()
	if err := c.With(f); err != nil {
		t.Fatal(err)
	}
}

func wantRefused(t *testing.T, err error, call string, code cuda.Result) {
	t.Helper()
	var refused *cuda.Error
	if !errors.As(err, &refused) {
		t.Errorf("%s: %v, want an error of the driver", call, err)
		return
	}
	if refused.Call != call || refused.Code != code || refused.Name != code.String() {
		t.Errorf("%v, want %s to say %d", err, call, code)
	}
}

// shared returns mapped memory, as the RAM tier has it.
func shared(t testing.TB, size int) []byte {
	t.Helper()
	mem, err := unix.Mmap(-1, 0, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_ANONYMOUS)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(mem) })
	return mem
}

// mapped returns memory of the device at an address where it can be written, and what
// gives it back.
func mapped(b *cuda.Bound, v *cuda.Device, size int64) (cuda.Ptr, func() error, error) {
	h, err := v.Create(size)
	if err != nil {
		return 0, nil, err
	}
	p, err := place(b, h, size, true)
	if err != nil {
		return 0, nil, errors.Join(err, v.Release(h))
	}
	return p, func() error {
		return errors.Join(b.Unmap(p, size), b.FreeAddress(p, size), v.Release(h))
	}, nil
}

// place maps a handle at addresses of its own.
func place(b *cuda.Bound, h cuda.Handle, size int64, write bool) (cuda.Ptr, error) {
	p, err := b.Reserve(size, 0)
	if err != nil {
		return 0, err
	}
	if err := b.Map(p, size, h); err != nil {
		return 0, err
	}
	return p, b.SetAccess(p, size, write)
}
