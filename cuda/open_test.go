//go:build linux && (amd64 || arm64)

package cuda_test

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/cuda"
)

// noCUDA is a library that every Linux has, and that is no driver.
const noCUDA = "libm.so.6"

func TestOpenWithoutLibrary(t *testing.T) {
	dir := t.TempDir()
	text := filepath.Join(dir, "libcuda.so.1")
	if err := os.WriteFile(text, []byte("not a library\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(dir, "missing.so"), text, dir} {
		t.Run("path", func(t *testing.T) { wantNoLibrary(t, path, path) })
		t.Run("environment", func(t *testing.T) {
			t.Setenv("INGOT_LIBCUDA", path)
			wantNoLibrary(t, "", path)
		})
	}
}

func wantNoLibrary(t *testing.T, open, named string) {
	t.Helper()
	d, err := cuda.Open(open)
	if d != nil || classOf(t, err) != "ErrNoLibrary" {
		t.Fatalf("%v, %v", d, err)
	}
	if !strings.Contains(err.Error(), named) || strings.Contains(err.Error(), "\n") {
		t.Errorf("the error does not name %s in one line: %v", named, err)
	}
}

func TestOpenLibraryWithoutFunctions(t *testing.T) {
	_, err := cuda.Open(noCUDA)
	if classOf(t, err) != "ErrNoDriver" || !strings.Contains(err.Error(), "libm.so.6 has no cuInit") {
		t.Fatal(err)
	}
}

// TestFakeOpenStates has cuInit answer as it does on machines of all kinds.
func TestFakeOpenStates(t *testing.T) {
	for code, want := range map[string]string{
		"100=CUDA_ERROR_NO_DEVICE":                      "ErrNoDevice",
		"3=CUDA_ERROR_NOT_INITIALIZED":                  "ErrNoDriver",
		"34=CUDA_ERROR_STUB_LIBRARY":                    "ErrNoDriver",
		"35=CUDA_ERROR_":                                "ErrNoDriver",
		"802=CUDA_ERROR_SYSTEM_NOT_READY":               "ErrNoDriver",
		"803=CUDA_ERROR_SYSTEM_DRIVER_MISMATCH":         "ErrNoDriver",
		"804=CUDA_ERROR_COMPAT_NOT_SUPPORTED_ON_DEVICE": "ErrNoDriver",
		"999=CUDA_ERROR_UNKNOWN":                        "ErrNoDriver",
	} {
		t.Run(code, func(t *testing.T) {
			number, name, _ := strings.Cut(code, "=")
			f := fakeOf(t, 1)
			f.Reset("cuInit:1+=" + number)
			d, err := cuda.Open("")
			if d != nil || classOf(t, err) != want {
				t.Fatalf("%v, class %s, want %s", err, classOf(t, err), want)
			}
			if text := err.Error(); !strings.HasPrefix(text, "cuInit: "+name) || !strings.HasSuffix(text, "("+number+")") {
				t.Error(text)
			}
		})
	}
}

// TestOpenLooksAtKernel tells no driver from no device where the library does not.
func TestOpenLooksAtKernel(t *testing.T) {
	none := &cuda.Error{Call: "cuInit", Code: cuda.NoDevice, Name: cuda.NoDevice.String()}
	full := &cuda.Error{Call: "cuInit", Code: cuda.OutOfMemory, Name: cuda.OutOfMemory.String()}
	for _, c := range []struct {
		err    error
		driver bool
		want   string
	}{
		{none, true, "ErrNoDevice"}, {none, false, "ErrNoDriver"}, {full, false, "ErrOutOfMemory"},
		{cuda.ErrNoLibrary, false, "ErrNoLibrary"}, {nil, false, ""},
	} {
		if got := classOf(t, cuda.LookAtKernel(c.err, c.driver)); got != c.want {
			t.Errorf("%v, with a driver in the kernel %v: %s, want %s", c.err, c.driver, got, c.want)
		}
	}
	if err := cuda.LookAtKernel(none, false); !strings.Contains(err.Error(), none.Error()) {
		t.Errorf("it does not tell what the library said: %v", err)
	}
}

func TestLibraries(t *testing.T) {
	first, second := t.TempDir(), t.TempDir()
	file := filepath.Join(second, "libcuda.so.1")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if got, want := cuda.LibrariesIn([]string{first, second}, "libcuda.so.1"), []string{"libcuda.so.1", file}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// TestSignOfDriver does not take a device for a driver that has nothing behind it: it
// opens as a socket does.
func TestSignOfDriver(t *testing.T) {
	dir := t.TempDir()
	socket := filepath.Join(dir, "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	for path, want := range map[string]bool{dir: true, os.DevNull: true, socket: false, filepath.Join(dir, "missing"): false} {
		if cuda.Works(path) != want {
			t.Errorf("%s is a sign: want %v", path, want)
		}
	}
}

// TestFakeOpenCalls has every call fail that Open makes.
func TestFakeOpenCalls(t *testing.T) {
	f := fakeOf(t, 1)
	d := open(t)
	d.Redirect("cuDriverGetVersion", "cuMemRelease") // which has never heard of that handle
	wantRefused(t, d.Start(), "cuDriverGetVersion", cuda.InvalidValue)
	for _, call := range []string{"cuInit", "cuDeviceGetCount", "cuDeviceGet", "cuDeviceGetUuid_v2",
		"cuDeviceGetName", "cuDeviceTotalMem_v2"} {
		f.Reset(call + ":1=2")
		d, err := cuda.Open("")
		wantRefused(t, err, call, cuda.OutOfMemory)
		if d != nil {
			t.Errorf("%s fails, and there is a driver", call)
		}
	}
}

func TestFakeOpenWithoutDevices(t *testing.T) {
	fakeOf(t, -1)
	if _, err := cuda.Open(""); classOf(t, err) != "ErrNoDevice" {
		t.Fatal(err)
	}
}

// TestFakeOpenNextLibrary looks past libraries that do not belong to the driver, and
// not past a driver that has no device.
func TestFakeOpenNextLibrary(t *testing.T) {
	f := fakeOf(t, 1)
	first := os.Getenv("INGOT_LIBCUDA")
	second := copyOf(t, first)
	for fault, want := range map[string]string{
		"cuInit:1=803": "", "cuInit:1=34": "", "cuInit:1=804": "", "cuInit:1=100": "ErrNoDevice", "cuInit:1=999": "ErrNoDriver",
	} {
		f.Reset(fault)
		d, err := cuda.OpenFirst("missing.so", noCUDA, first, second)
		if got := classOf(t, err); got != want {
			t.Errorf("%s: %v, class %s, want %s", fault, err, got, want)
		}
		if want == "" && d.Path() != second {
			t.Errorf("%s: opened %s, want %s", fault, d.Path(), second)
		}
	}
	f.Reset("cuInit:1+=803")
	if _, err := cuda.OpenFirst("missing.so", first, second, "gone.so"); classOf(t, err) != "ErrNoDriver" {
		t.Errorf("of all that is wrong, it tells: %v", err)
	}
}

// copyOf returns a copy of a library, which the dynamic linker takes for another one.
func copyOf(t *testing.T, library string) string {
	t.Helper()
	content, err := os.ReadFile(library)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "libcuda.so.1")
	if err := os.WriteFile(path, content, 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestFakeDevices(t *testing.T) {
	fakeOf(t, 3)
	d := open(t)
	if d.Version() < 11040 || d.Path() != os.Getenv("INGOT_LIBCUDA") {
		t.Errorf("version %d of %s", d.Version(), d.Path())
	}
	devices := d.Devices()
	if len(devices) != 3 {
		t.Fatalf("%d devices", len(devices))
	}
	var seen []cuda.UUID
	for i, v := range devices {
		if v.Ordinal() != i || v.Name() == "" || v.TotalMemory() != fakeMemory {
			t.Errorf("device %d: %d %q %d", i, v.Ordinal(), v.Name(), v.TotalMemory())
		}
		if slices.Contains(seen, v.UUID()) {
			t.Errorf("%s is two devices", v.UUID())
		}
		seen = append(seen, v.UUID())
		if found, err := d.Device(v.UUID()); err != nil || found != v {
			t.Errorf("%s: %v, %v", v.UUID(), found, err)
		}
		if n, err := v.Attribute(cuda.FileHandles); err != nil || n != 1 {
			t.Errorf("descriptors: %d, %v", n, err)
		}
		if n, err := v.Granularity(); err != nil || n != 2<<20 {
			t.Errorf("granularity: %d, %v", n, err)
		}
	}
	devices[0] = nil
	if d.Devices()[0] == nil {
		t.Error("the caller's list is the driver's own")
	}
	if _, err := d.Device(cuda.UUID{1}); !errors.Is(err, cuda.ErrNoDevice) || !strings.Contains(err.Error(), "GPU-01000000-") {
		t.Errorf("an unknown device: %v", err)
	}
}
