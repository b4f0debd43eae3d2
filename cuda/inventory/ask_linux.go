//go:build cgo && linux

package inventory

import (
	"fmt"
	"slices"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/ingot-ml/ingot/cuda"
)

// ask asks a library that is open about everything.
func ask(lib nvml.Interface) Report {
	r := Report{State: Ready}
	r.Driver, _ = lib.SystemGetDriverVersion()
	count, ret := lib.DeviceGetCount()
	if ret != nvml.SUCCESS {
		return Report{State: stateOf(ret), Message: "nvmlDeviceGetCount: " + lib.ErrorString(ret), Driver: r.Driver}
	}
	for i := range count {
		r.GPUs = append(r.GPUs, gpu(lib, i))
	}
	if count == 0 {
		r.State, r.Message = NoDevice, "the driver has no GPU"
	}
	return r
}

// stateOf returns what it means that NVML does not start.
func stateOf(ret nvml.Return) State {
	switch ret {
	case nvml.ERROR_LIBRARY_NOT_FOUND, nvml.ERROR_FUNCTION_NOT_FOUND:
		return NoLibrary
	case nvml.ERROR_NOT_FOUND, nvml.ERROR_GPU_IS_LOST, nvml.ERROR_NO_PERMISSION:
		return NoDevice
	}
	return NoDriver
}

// gpu returns what is told about one GPU.
func gpu(lib nvml.Interface, index int) GPU {
	device, ret := lib.DeviceGetHandleByIndex(index)
	if ret != nvml.SUCCESS {
		return GPU{NUMANode: -1, Message: fmt.Sprintf("GPU %d: %s", index, lib.ErrorString(ret))}
	}
	a := asker{lib: lib}
	g := GPU{NUMANode: -1}
	text, ret := device.GetUUID()
	if a.told("UUID", ret) {
		g.UUID = a.uuid(text)
	}
	if name, ret := device.GetName(); a.told("name", ret) {
		g.Name = name
	}
	if m, ret := device.GetMemoryInfo(); a.told("memory", ret) {
		g.Memory, g.Used = int64(m.Total), int64(m.Used)
	}
	a.links(device, &g)
	if node, ret := device.GetNumaNodeId(); a.told("NUMA node", ret) {
		g.NUMANode = node
	}
	if mode, _, ret := device.GetMigMode(); a.told("MIG mode", ret) {
		g.MIG = mode == nvml.DEVICE_MIG_ENABLE
	}
	a.processes(device, &g)
	g.Message = a.failure
	return g
}

// asker remembers the first thing that could not be asked.
type asker struct {
	lib     nvml.Interface
	failure string
}

// told tells whether NVML has answered. That a GPU does not know a thing is no failure.
func (a *asker) told(what string, ret nvml.Return) bool {
	silent := []nvml.Return{nvml.SUCCESS, nvml.ERROR_NOT_SUPPORTED, nvml.ERROR_FUNCTION_NOT_FOUND,
		nvml.ERROR_NO_PERMISSION, nvml.ERROR_NOT_FOUND, nvml.ERROR_ARGUMENT_VERSION_MISMATCH}
	if !slices.Contains(silent, ret) && a.failure == "" {
		a.failure = what + ": " + a.lib.ErrorString(ret)
	}
	return ret == nvml.SUCCESS
}

func (a *asker) uuid(text string) cuda.UUID {
	u, err := cuda.ParseUUID(text)
	if err != nil && a.failure == "" {
		a.failure = err.Error()
	}
	return u
}

// links asks how the GPU is connected.
func (a *asker) links(device nvml.Device, g *GPU) {
	for _, q := range []struct {
		what string
		ask  func() (int, nvml.Return)
		to   *int
	}{
		{"PCIe generation", device.GetCurrPcieLinkGeneration, &g.PCIe.Generation},
		{"PCIe width", device.GetCurrPcieLinkWidth, &g.PCIe.Width},
		{"most PCIe generation", device.GetMaxPcieLinkGeneration, &g.PCIeMost.Generation},
		{"most PCIe width", device.GetMaxPcieLinkWidth, &g.PCIeMost.Width},
	} {
		if n, ret := q.ask(); a.told(q.what, ret) {
			*q.to = n
		}
	}
}

// processes asks who uses the GPU.
func (a *asker) processes(device nvml.Device, g *GPU) {
	list, ret := device.GetComputeRunningProcesses()
	if !a.told("processes", ret) {
		return
	}
	for _, p := range list {
		used := int64(p.UsedGpuMemory)
		if used == nvml.VALUE_NOT_AVAILABLE {
			used = 0
		}
		g.Processes = append(g.Processes, Process{PID: int(p.Pid), Bytes: used})
	}
}
