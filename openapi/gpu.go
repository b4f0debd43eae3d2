package openapi

import "github.com/ingot-ml/ingot/chunker"

// SwapRequest has those who use a version on a GPU use another.
type SwapRequest struct {
	From string `json:"from"`
	To   string `json:"to"`
	// Device is the GPU's UUID; empty is the one that From is on, if that is one.
	Device string `json:"device,omitempty"`
	// Deadline in seconds bounds the wait for room and for those who use From to
	// pause; 0 is the node's default.
	Deadline float64 `json:"deadline,omitempty"`
	Priority int     `json:"priority,omitempty"`
}

// How a version came onto a GPU.
const (
	SwapResident = "resident" // it was there
	SwapLoad     = "load"     // beside what was there
	SwapInPlace  = "in_place" // its differences were written over the version before
	SwapRemap    = "remap"    // at the addresses of the version before
)

// SwapReceipt says what a load or swap moved onto a GPU. Its JSON is a contract:
// fields are added, never renamed.
type SwapReceipt struct {
	From        string         `json:"from,omitempty"`
	To          string         `json:"to"`
	FromVersion string         `json:"from_version,omitempty"`
	Version     chunker.Digest `json:"version"`
	Device      string         `json:"device"`
	Kind        string         `json:"kind"`
	BytesTotal  int64          `json:"bytes_total"` // of the tensors of the version

	BytesUploaded     int64 `json:"bytes_uploaded"`      // from RAM
	BytesDeviceCopied int64 `json:"bytes_device_copied"` // within the GPU
	BytesReused       int64 `json:"bytes_reused"`        // that were in place

	Copies       int `json:"copies"` // that the uploads and device copies took
	SlabsTotal   int `json:"slabs_total"`
	SlabsShared  int `json:"slabs_shared"`   // that other versions map too, or that stayed as they were
	SlabsInPlace int `json:"slabs_in_place"` // that were written over
	SlabsNew     int `json:"slabs_new"`
	Leases       int `json:"leases"` // that moved from one version to the other

	QueuedMS float64 `json:"queued_ms"` // for room, and for others who use the bus
	PausedMS float64 `json:"paused_ms"` // from the first request to pause until all may go on
	TotalMS  float64 `json:"total_ms"`
}

// The states of the GPU tier of a node. In all but GPUReady it holds nothing.
const (
	GPUOff       = "off"        // the node was not told to use a GPU
	GPUNoLibrary = "no_library" // libcuda is not on the machine
	GPUNoDriver  = "no_driver"  // the kernel has no driver for it, or one that does not fit
	GPUNoDevice  = "no_device"  // there is no GPU, or not the one that was named
	GPUReady     = "ready"
)

// GPUUsage is what the GPUs hold together, and each.
type GPUUsage struct {
	TierUsage
	State   string      `json:"state"`
	Message string      `json:"message,omitempty"` // more about the state, for people
	Devices []GPUDevice `json:"devices"`
}

// The states of a GPUDevice.
const (
	DeviceReady    = "ready"
	DeviceStarting = "starting" // its mover is about to work, at first or again
	DeviceFailed   = "failed"   // see Message; it is tried again
)

// GPUDevice is what one GPU holds, in bytes.
type GPUDevice struct {
	UUID    string `json:"uuid"`
	Name    string `json:"name"`
	Used    int64  `json:"used"`
	Budget  int64  `json:"budget"`
	Models  int    `json:"models"`
	Free    int64  `json:"free"`  // that nobody uses, as the driver says
	Total   int64  `json:"total"` // of the GPU
	State   string `json:"state"`
	Message string `json:"message,omitempty"`
	// Pinned is how much of the RAM tier the GPU can read by itself.
	Pinned   int64 `json:"pinned"`
	Restarts int   `json:"restarts"` // of its mover
	Waiting  int   `json:"waiting"`  // loads, swaps and leases
	// What the inventory knows; absent without.
	PCIeGeneration int  `json:"pcie_generation,omitempty"`
	PCIeWidth      int  `json:"pcie_width,omitempty"`
	NUMANode       *int `json:"numa_node,omitempty"`
	MIG            bool `json:"mig,omitempty"`
	Processes      int  `json:"processes,omitempty"` // that compute on it
}
