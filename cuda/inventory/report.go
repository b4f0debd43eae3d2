package inventory

import "github.com/ingot-ml/ingot/cuda"

// State is what can be told about the GPUs of a machine.
type State string

// The states.
const (
	Ready     State = "ready"
	NoLibrary State = "no_library" // libnvidia-ml is not there
	NoDriver  State = "no_driver"  // the kernel has no driver, or another one than the library is for
	NoDevice  State = "no_device"  // there is a driver, and no GPU
	NotBuilt  State = "not_built"  // this program was built without cgo
)

// Report is what a machine has.
type Report struct {
	State   State
	Message string // why it is not ready
	Driver  string // version
	GPUs    []GPU
}

// GPU is one GPU. What the driver or the GPU does not tell is zero.
type GPU struct {
	UUID   cuda.UUID
	Name   string
	Memory int64 // bytes
	Used   int64 // bytes, by all processes and the driver

	// The link to the host. It slows down when nothing is copied.
	PCIe     Link
	PCIeMost Link

	NUMANode  int  // the node of the host's memory that is nearest, -1 if it is not known
	MIG       bool // the GPU is cut in slices
	Processes []Process

	Message string // what could not be asked because the GPU failed
}

// Link is a connection over PCIe.
type Link struct {
	Generation int
	Width      int // lanes
}

// Process is one that uses a GPU.
type Process struct {
	PID   int
	Bytes int64 // 0 if the driver does not tell
}
