package cuda

import (
	"fmt"
	"os"
)

// Handle is memory of a device that has no address yet. It lives as long as anything
// holds it: a handle, a mapping or a descriptor, in whatever process.
type Handle uint64

// Attribute is a property of a device, by its number in cuda.h.
type Attribute int32

// The attributes that matter here.
const (
	AsyncEngineCount       Attribute = 40
	ComputeCapabilityMajor Attribute = 75
	ComputeCapabilityMinor Attribute = 76
	HostRegisterSupported  Attribute = 99
	HostPageTables         Attribute = 100 // the device reads pageable memory through the host's page tables
	VirtualMemory          Attribute = 102
	FileHandles            Attribute = 103
	ReadOnlyRegister       Attribute = 113 // RegisterReadOnly works
	HostNUMANode           Attribute = 134
)

// Device is a GPU. Its methods need no context: they may be called from any
// goroutine, and take no memory of the device but what they are asked for.
type Device struct {
	driver  *Driver
	ordinal int
	handle  int32
	uuid    UUID
	name    string
	memory  int64
}

// open asks what a device is.
func (d *Driver) open(ordinal int) (*Device, error) {
	v := &Device{driver: d, ordinal: ordinal}
	var err error
	if v.handle, err = d.out32(cuDeviceGet, uintptr(ordinal)); err != nil {
		return nil, err
	}
	if v.uuid, err = d.deviceUUID(v.handle); err != nil {
		return nil, err
	}
	if v.name, err = d.deviceName(v.handle); err != nil {
		return nil, err
	}
	memory, err := d.out64(cuDeviceTotalMem, uintptr(v.handle))
	if err != nil {
		return nil, err
	}
	v.memory = int64(memory)
	return v, nil
}

// UUID returns what the device is known by in every process.
func (v *Device) UUID() UUID { return v.uuid }

// Name returns the name of the model.
func (v *Device) Name() string { return v.name }

// Ordinal returns the number that the device has in this process.
func (v *Device) Ordinal() int { return v.ordinal }

// TotalMemory returns the bytes of memory that the device has.
func (v *Device) TotalMemory() int64 { return v.memory }

// Attribute returns a property of the device.
func (v *Device) Attribute(a Attribute) (int, error) {
	n, err := v.driver.out32(cuDeviceGetAttribute, uintptr(a), uintptr(v.handle))
	return int(n), err
}

// Granularity returns what sizes and addresses of memory must be a multiple of.
func (v *Device) Granularity() (int64, error) { return v.driver.memGranularity(v.handle) }

// Create takes memory of the device. It is not zeroed for the caller, and cannot be
// used before it is mapped.
func (v *Device) Create(size int64) (Handle, error) {
	if size <= 0 {
		return 0, v.driver.refuse(cuMemCreate, InvalidValue)
	}
	return v.driver.memCreate(v.handle, size)
}

// Release gives a handle up. The memory is free when nothing else holds it.
func (v *Device) Release(h Handle) error { return v.driver.call(cuMemRelease, uintptr(h)) }

// Export returns a descriptor of memory that another process can import. It holds
// the memory until it is closed.
func (v *Device) Export(h Handle) (*os.File, error) {
	fd, err := v.driver.export(h)
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), fmt.Sprintf("memory of %s", v.uuid)), nil
}

// Import returns a handle of the memory that a descriptor stands for, which another
// process has exported. The descriptor may be closed then.
func (v *Device) Import(f *os.File) (Handle, error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return 0, fmt.Errorf("import memory: %w", err)
	}
	var h uint64
	var refused error
	err = raw.Control(func(fd uintptr) {
		h, refused = v.driver.out64(cuMemImport, fd, handleFile)
	})
	if err != nil {
		return 0, fmt.Errorf("import memory: %w", err)
	}
	return Handle(h), refused
}
