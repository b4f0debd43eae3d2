package cudatest_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/ingot-ml/ingot/cuda/cudatest"
	"github.com/ingot-ml/ingot/cuda/cudatest/fakecuda"
	"github.com/ingot-ml/ingot/cuda/ptx"
	"github.com/ingot-ml/ingot/integration/needtest"
)

const (
	mib  = 1 << 20
	slab = 2 * mib
)

// TestFakeRules runs scenarios that break each rule, and want the result that a driver
// gives, and that keep it, and want none.
func TestFakeRules(t *testing.T) {
	kernels := filepath.Join(t.TempDir(), "kernels.ptx")
	if err := os.WriteFile(kernels, ptx.Source(), 0o600); err != nil {
		t.Fatal(err)
	}
	small := cudatest.Options{Memory: 32 * mib}
	two := cudatest.Options{Memory: 32 * mib, Devices: 2}
	lazy := cudatest.Options{Memory: 32 * mib, Devices: 2, Lazy: true}
	with := func(o cudatest.Options, fail string) cudatest.Options {
		o.Fail = fail
		return o
	}
	for _, c := range []struct {
		scenario string
		o        cudatest.Options
		args     []string
	}{
		{"contexts", small, nil},
		{"ended_context", small, nil},
		{"forks", small, nil},
		{"devices", two, nil},
		{"contextmem", cudatest.Options{Memory: 32 * mib, Context: 8 * mib}, nil},
		{"sticky", with(small, "cuStreamSynchronize:1=719"), nil},
		{"noctx_sticky", with(small, "cuMemCreate:1=719"), nil},
		{"creation", small, nil},
		{"maps", small, nil},
		{"access", small, nil},
		{"read_only_copy", small, nil},
		{"peers", two, nil},
		{"lifetime", small, nil},
		{"descriptors", small, nil},
		{"agentlike", small, nil},
		{"plain", small, nil},
		{"read_only_register", small, nil},
		{"straddle", small, nil},
		{"staging", lazy, nil},
		{"busy_unmap", lazy, nil},
		{"busy_unregister", lazy, nil},
		{"busy_source", lazy, nil},
		{"busy_kernel", lazy, []string{kernels}},
		{"nothing", small, nil},
		{"numbers", small, nil},
		{"ranges", small, nil},
		{"stale_unmap", lazy, nil},
		{"pointers", small, nil},
		{"order", lazy, nil},
		{"legacy", lazy, nil},
		{"order", small, nil},
		{"legacy", small, nil},
		{"handles", lazy, nil},
		{"events", lazy, nil},
		{"batch", lazy, nil},
		{"callback", lazy, nil},
		{"modules", small, []string{kernels}},
		{"old_driver", cudatest.Options{Memory: 32 * mib, Version: 12040}, nil},
		{"kernels", lazy, []string{kernels}},
		{"kernel_bounds", small, []string{kernels}},
		{"misaligned", small, []string{kernels}},
	} {
		t.Run(c.scenario, func(t *testing.T) {
			cudatest.Use(t, c.o)
			fine(t, c.scenario, c.args...)
		})
	}
}

// TestFakeRegister registers memory of all kinds. The file must lie on a disk, where
// the sources are, and not among temporary files, which may be memory.
func TestFakeRegister(t *testing.T) {
	s := cudatest.Use(t, cudatest.Options{Devices: 2, Memory: 32 * mib})
	file, err := os.CreateTemp(".", "on-disk-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.Remove(file.Name()) })
	if _, err := file.Write(make([]byte, slab)); err != nil {
		t.Fatal(err)
	}
	r := start(t, nil, "register", file.Name())
	if got := r.line(); got != "ready" {
		t.Fatal(got)
	}
	if got := s.Registered(0); got != 3*slab {
		t.Errorf("%d bytes registered, want %d", got, 3*slab)
	}
	if got := s.Registered(1); got != 0 {
		t.Errorf("%d bytes registered for the other device", got)
	}
	if text, err := r.wait(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if got := s.Registered(0); got != 0 {
		t.Errorf("%d bytes registered by a process that has ended", got)
	}
}

func TestFakeReadOnlyRegisterUnsupported(t *testing.T) {
	cudatest.Use(t, cudatest.Options{NoReadOnlyRegister: true})
	if got := fine(t, "read_only_register"); got != "not supported\n" {
		t.Fatal(got)
	}
}

// TestFakeReplacedPages wants the process to end that has a device read registered
// memory whose pages were given back: a real one would get the old bytes.
func TestFakeReplacedPages(t *testing.T) {
	for _, scenario := range []string{"punched", "refilled", "punched_idle", "unmapped_host"} {
		t.Run(scenario, func(t *testing.T) {
			s := cudatest.Use(t, cudatest.Options{})
			r := start(t, nil, scenario)
			text, err := r.wait()
			if text != "alive\n" || err == nil {
				t.Fatalf("printed %q and ended with %v", text, err)
			}
			if status := r.cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGABRT {
				t.Errorf("ended by %v, want SIGABRT", status.Signal())
			}
			if !strings.Contains(r.stderr.String(), "was given back") {
				t.Errorf("on stderr: %q", r.stderr.String())
			}
			if got := s.Violations(); got != 1 {
				t.Errorf("%d violations, want 1", got)
			}
		})
	}
}

// TestFakeKernelsMatchTwins compares what a kernel gives through the driver with its
// twin in Go.
func TestFakeKernelsMatchTwins(t *testing.T) {
	kernels := filepath.Join(t.TempDir(), "kernels.ptx")
	if err := os.WriteFile(kernels, ptx.Source(), 0o600); err != nil {
		t.Fatal(err)
	}
	cudatest.Use(t, cudatest.Options{Lazy: true})
	merged := []byte{1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1, 2}
	want := ptx.Sum64(merged)
	got := strings.TrimSpace(fine(t, "kernels", kernels))
	if got != strconv.FormatUint(want, 10) {
		t.Errorf("sum %s, want %d", got, want)
	}
}

// TestFakeOrdinals has a process count devices as it likes: what is device 0 of it is
// another one elsewhere, which only the UUID tells.
func TestFakeOrdinals(t *testing.T) {
	s := cudatest.Use(t, cudatest.Options{Devices: 4, Memory: 32 * mib})
	for _, c := range []struct{ visible, want string }{
		{"2", "1 2"}, {"3,1", "2 3"}, {"1,9,2", "1 1"}, {s.UUID(3), "1 3"}, {"0,1,2,3", "4 0"},
	} {
		t.Setenv("CUDA_VISIBLE_DEVICES", c.visible)
		if got := strings.TrimSpace(fine(t, "devices")); got != c.want {
			t.Errorf("visible %s: devices and last byte %s, want %s", c.visible, got, c.want)
		}
	}
}

// TestFakeNames wants no function by a name without its version where the plain name
// is an older form of it: in a real driver that is another function.
func TestFakeNames(t *testing.T) {
	nm, err := exec.LookPath("nm")
	if err != nil {
		needtest.Skip(t, "cc", err) // nm comes with it
	}
	text, err := exec.Command(nm, "-D", "--defined-only", cudatest.Library(t)).Output()
	if err != nil {
		t.Fatal(err)
	}
	exported := map[string]bool{}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		exported[fields[len(fields)-1]] = true
	}
	for _, name := range fakecuda.Functions() {
		if !exported[name] {
			t.Errorf("%s is counted and not there", name)
		}
		delete(exported, name)
	}
	for name := range exported {
		t.Errorf("%s is there and not counted", name)
	}
	for _, name := range []string{"cuMemcpyHtoDAsync", "cuMemAlloc", "cuDeviceTotalMem", "cuStreamDestroy",
		"cuMemcpyBatchAsync", "cuDeviceGetUuid", "cuMemGetInfo", "cuMemHostRegister"} {
		if exported[name] {
			t.Errorf("%s is there", name)
		}
	}
}
