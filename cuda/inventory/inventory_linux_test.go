//go:build cgo && linux

package inventory

import (
	"context"
	"debug/elf"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"github.com/NVIDIA/go-nvml/pkg/nvml"
	"github.com/NVIDIA/go-nvml/pkg/nvml/mock"

	"github.com/ingot-ml/ingot/cuda"
)

const (
	uuidText  = "GPU-8f0c1b1e-5d2a-4a5c-9d0e-1f2a3b4c5d6e"
	otherText = "GPU-00000000-0000-0000-0000-000000000001"
)

func uuidOf(t *testing.T, text string) cuda.UUID {
	t.Helper()
	u, err := cuda.ParseUUID(text)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// library returns NVML with some GPUs.
func library(devices ...nvml.Device) *mock.Interface {
	return &mock.Interface{
		InitFunc:                   func() nvml.Return { return nvml.SUCCESS },
		ShutdownFunc:               func() nvml.Return { return nvml.SUCCESS },
		ErrorStringFunc:            func(r nvml.Return) string { return r.Error() },
		SystemGetDriverVersionFunc: func() (string, nvml.Return) { return "580.159", nvml.SUCCESS },
		DeviceGetCountFunc:         func() (int, nvml.Return) { return len(devices), nvml.SUCCESS },
		DeviceGetHandleByIndexFunc: func(i int) (nvml.Device, nvml.Return) {
			if devices[i] == nil {
				return nil, nvml.ERROR_GPU_IS_LOST
			}
			return devices[i], nvml.SUCCESS
		},
	}
}

func number(n int, r nvml.Return) func() (int, nvml.Return) {
	return func() (int, nvml.Return) { return n, r }
}

// h200 is a GPU that tells everything.
func h200() *mock.Device {
	return &mock.Device{
		GetUUIDFunc: func() (string, nvml.Return) { return uuidText, nvml.SUCCESS },
		GetNameFunc: func() (string, nvml.Return) { return "NVIDIA H200", nvml.SUCCESS },
		GetMemoryInfoFunc: func() (nvml.Memory, nvml.Return) {
			return nvml.Memory{Total: 141 << 30, Free: 100 << 30, Used: 41 << 30}, nvml.SUCCESS
		},
		GetCurrPcieLinkGenerationFunc: number(1, nvml.SUCCESS),
		GetCurrPcieLinkWidthFunc:      number(8, nvml.SUCCESS),
		GetMaxPcieLinkGenerationFunc:  number(5, nvml.SUCCESS),
		GetMaxPcieLinkWidthFunc:       number(16, nvml.SUCCESS),
		GetNumaNodeIdFunc:             number(0, nvml.SUCCESS),
		GetMigModeFunc:                func() (int, int, nvml.Return) { return nvml.DEVICE_MIG_ENABLE, 0, nvml.SUCCESS },
		GetComputeRunningProcessesFunc: func() ([]nvml.ProcessInfo, nvml.Return) {
			return []nvml.ProcessInfo{{Pid: 7, UsedGpuMemory: 3 << 30}, {Pid: 8, UsedGpuMemory: ^uint64(0)}}, nvml.SUCCESS
		},
	}
}

// silent is an old GPU of another process' user: it tells its name.
func silent() *mock.Device {
	d := h200()
	d.GetUUIDFunc = func() (string, nvml.Return) { return otherText, nvml.SUCCESS }
	d.GetMemoryInfoFunc = func() (nvml.Memory, nvml.Return) { return nvml.Memory{Total: 1}, nvml.ERROR_NOT_SUPPORTED }
	d.GetCurrPcieLinkGenerationFunc = number(9, nvml.ERROR_NOT_SUPPORTED)
	d.GetCurrPcieLinkWidthFunc = number(9, nvml.ERROR_NOT_SUPPORTED)
	d.GetMaxPcieLinkGenerationFunc = number(9, nvml.ERROR_NOT_SUPPORTED)
	d.GetMaxPcieLinkWidthFunc = number(9, nvml.ERROR_NOT_SUPPORTED)
	d.GetNumaNodeIdFunc = number(9, nvml.ERROR_FUNCTION_NOT_FOUND)
	d.GetMigModeFunc = func() (int, int, nvml.Return) { return 1, 1, nvml.ERROR_NOT_SUPPORTED }
	d.GetComputeRunningProcessesFunc = func() ([]nvml.ProcessInfo, nvml.Return) {
		return []nvml.ProcessInfo{{}}, nvml.ERROR_NO_PERMISSION
	}
	return d
}

func TestRead(t *testing.T) {
	lib := library(h200(), silent(), nil)
	s := newSource(lib)
	r, err := s.read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	want := Report{State: Ready, Driver: "580.159", GPUs: []GPU{
		{
			UUID: uuidOf(t, uuidText), Name: "NVIDIA H200", Memory: 141 << 30, Used: 41 << 30,
			PCIe: Link{1, 8}, PCIeMost: Link{5, 16}, MIG: true, Processes: []Process{{7, 3 << 30}, {8, 0}},
		},
		{UUID: uuidOf(t, otherText), Name: "NVIDIA H200", NUMANode: -1},
		{NUMANode: -1, Message: "GPU 2: " + nvml.ERROR_GPU_IS_LOST.Error()},
	}}
	if !reflect.DeepEqual(r, want) {
		t.Errorf("%+v\nwant %+v", r, want)
	}
	if again, err := s.read(t.Context()); err != nil || !reflect.DeepEqual(again, want) {
		t.Errorf("again: %+v, %v", again, err)
	}
	wantOpened(t, lib, 1, 0)
}

func wantOpened(t *testing.T, lib *mock.Interface, opened, closed int) {
	t.Helper()
	if o, c := len(lib.InitCalls()), len(lib.ShutdownCalls()); o != opened || c != closed {
		t.Errorf("the library was opened %d times and closed %d times, want %d and %d", o, c, opened, closed)
	}
}

// TestReadAfterFailure opens the library anew when it has stopped to answer, and when
// it does again.
func TestReadAfterFailure(t *testing.T) {
	lib := library(h200())
	s := newSource(lib)
	answers := lib.DeviceGetCountFunc
	for _, c := range []struct {
		count          func() (int, nvml.Return)
		state          State
		opened, closed int
	}{
		{answers, Ready, 1, 0},
		{number(0, nvml.ERROR_UNINITIALIZED), NoDriver, 2, 2},
		{number(0, nvml.ERROR_UNINITIALIZED), NoDriver, 3, 3},
		{answers, Ready, 4, 3},
	} {
		lib.DeviceGetCountFunc = c.count
		if r, err := s.read(t.Context()); err != nil || r.State != c.state {
			t.Errorf("%+v, %v, want %s", r, err, c.state)
		}
		wantOpened(t, lib, c.opened, c.closed)
	}
}

// TestReadFailing has a GPU fall off the bus after its name was told.
func TestReadFailing(t *testing.T) {
	d := h200()
	d.GetMemoryInfoFunc = func() (nvml.Memory, nvml.Return) { return nvml.Memory{}, nvml.ERROR_GPU_IS_LOST }
	d.GetMaxPcieLinkWidthFunc = number(0, nvml.ERROR_UNKNOWN)
	r, err := newSource(library(d)).read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	g := r.GPUs[0]
	if r.State != Ready || g.Name == "" || !strings.HasPrefix(g.Message, "memory: ") {
		t.Errorf("%+v", r)
	}
}

func TestReadStates(t *testing.T) {
	for ret, want := range map[nvml.Return]State{
		nvml.ERROR_LIBRARY_NOT_FOUND:       NoLibrary,
		nvml.ERROR_DRIVER_NOT_LOADED:       NoDriver,
		nvml.ERROR_LIB_RM_VERSION_MISMATCH: NoDriver,
		nvml.ERROR_UNKNOWN:                 NoDriver,
		nvml.ERROR_NOT_FOUND:               NoDevice,
		nvml.ERROR_NO_PERMISSION:           NoDevice,
	} {
		first, later := library(h200()), library(h200())
		first.InitFunc = func() nvml.Return { return ret }
		later.DeviceGetCountFunc = number(1, ret)
		for _, lib := range []*mock.Interface{first, later} {
			r, err := newSource(lib).read(t.Context())
			if err != nil || r.State != want || !strings.Contains(r.Message, ret.Error()) || r.GPUs != nil {
				t.Errorf("%v: %+v, %v", ret, r, err)
			}
		}
		wantOpened(t, first, 1, 0)
		wantOpened(t, later, 1, 1)
	}
	if r, err := newSource(library()).read(t.Context()); err != nil || r.State != NoDevice {
		t.Errorf("no GPU: %+v, %v", r, err)
	}
}

// TestReadHangs gives up on a GPU that does not answer, and asks again when it has.
func TestReadHangs(t *testing.T) {
	hang := make(chan bool)
	entered := make(chan bool)
	lib := library(h200())
	lib.InitFunc = func() nvml.Return { close(entered); <-hang; return nvml.SUCCESS }
	ctx, cancel := context.WithCancel(t.Context())
	go func() { <-entered; cancel() }()
	s := newSource(lib)
	if _, err := s.read(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("a library that hangs: %v", err)
	}
	if _, err := s.read(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("while it hangs: %v", err)
	}
	wantOpened(t, lib, 1, 0)
	close(hang)
	if r, err := s.read(t.Context()); err != nil || r.State != Ready {
		t.Errorf("later: %+v, %v", r, err)
	}
}

// TestReadHere asks the library of this machine, if it has one, and one that is not there.
func TestReadHere(t *testing.T) {
	r, err := Read(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if r.State == NotBuilt || (r.State == Ready) != (len(r.GPUs) > 0) || (r.State == Ready) != (r.Message == "") {
		t.Errorf("%+v", r)
	}
	missing := filepath.Join(t.TempDir(), "libnvidia-ml.so.1")
	r, err = newSource(nvml.New(nvml.WithLibraryPath(missing))).read(t.Context())
	if err != nil || r.State != NoLibrary || r.Message == "" {
		t.Errorf("no library: %+v, %v", r, err)
	}
	r, err = newSource(nvml.New(nvml.WithLibraryPath(missing)), library(h200()), library()).read(t.Context())
	if err != nil || r.State != Ready {
		t.Errorf("a second library: %+v, %v", r, err)
	}
}

// TestLinkedLazily sees that this program binds functions when it calls them: else it
// would not have started on a machine without the library.
func TestLinkedLazily(t *testing.T) {
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	program, err := elf.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = program.Close() }()
	for tag, now := range map[elf.DynTag]uint64{
		elf.DT_BIND_NOW: ^uint64(0), elf.DT_FLAGS: uint64(elf.DF_BIND_NOW), elf.DT_FLAGS_1: uint64(elf.DF_1_NOW),
	} {
		values, err := program.DynValue(tag)
		if err != nil {
			t.Fatal(err)
		}
		for _, v := range values {
			if v&now != 0 || tag == elf.DT_BIND_NOW {
				t.Errorf("%v is %#x: build with CGO_LDFLAGS=-Wl,-z,lazy", tag, v)
			}
		}
	}
}
