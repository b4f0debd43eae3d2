package cuda

import (
	"errors"
	"fmt"
	"os"
	"slices"
)

// Driver is a libcuda that has been opened and initialized. It stays so until the
// process ends.
type Driver struct {
	path    string
	entry   [symbolCount]uintptr
	version int
	devices []*Device
}

// Open opens the driver's library, which has to be at path. If that is empty it is
// the one that INGOT_LIBCUDA names, or else the first that works of those which the
// dynamic linker finds and of the places where containers and distributions put it.
//
// It fails with ErrNoLibrary, ErrNoDriver or ErrNoDevice on a machine without a GPU.
func Open(path string) (*Driver, error) {
	if path == "" {
		path = os.Getenv("INGOT_LIBCUDA")
	}
	if path != "" {
		return openFirst([]string{path})
	}
	d, err := openFirst(Libraries(soname))
	return d, lookAtKernel(err, kernelHas)
}

// lookAtKernel tells a kernel without a driver from one whose driver has no device:
// the library says the same of both. A library that somebody named is taken at its word.
func lookAtKernel(err error, driver func() bool) error {
	if !errors.Is(err, ErrNoDevice) || driver() {
		return err
	}
	return fmt.Errorf("%w: the kernel has none: %v", ErrNoDriver, err)
}

// openFirst opens the first library that works, or returns why the most promising
// one does not.
func openFirst(candidates []string) (*Driver, error) {
	var failure error
	for _, candidate := range candidates {
		d, err := load(candidate)
		if err == nil {
			err = d.start()
		}
		if err == nil {
			return d, nil
		}
		if failure == nil || errors.Is(failure, ErrNoLibrary) || !replaceable(err) {
			failure = err
		}
		if !replaceable(err) {
			break
		}
	}
	return nil, failure
}

// replaceable tells whether it may be the library's fault: images of containers come
// with stubs, and with libraries that do not belong to the kernel's driver, in front
// of the one that does.
func replaceable(err error) bool {
	var refused *Error
	if !errors.As(err, &refused) {
		return true
	}
	switch refused.Code {
	case StubLibrary, InsufficientDriver, DriverMismatch, CompatNotSupported:
		return true
	}
	return false
}

// start initializes the driver and finds its devices.
func (d *Driver) start() error {
	if err := d.call(cuInit, 0); err != nil {
		return err
	}
	version, err := d.out32(cuDriverGetVersion)
	if err != nil {
		return err
	}
	d.version = int(version)
	count, err := d.out32(cuDeviceGetCount)
	if err != nil {
		return err
	}
	if count == 0 {
		return d.refuse(cuDeviceGetCount, NoDevice)
	}
	for ordinal := range int(count) {
		device, err := d.open(ordinal)
		if err != nil {
			return fmt.Errorf("device %d: %w", ordinal, err)
		}
		d.devices = append(d.devices, device)
	}
	return nil
}

// Version returns the CUDA version of the driver: 13000 is 13.0.
func (d *Driver) Version() int { return d.version }

// Path returns what the library was opened by.
func (d *Driver) Path() string { return d.path }

// Devices returns the GPUs that this process may use.
func (d *Driver) Devices() []*Device { return slices.Clone(d.devices) }

// Device returns the GPU of that UUID.
func (d *Driver) Device(u UUID) (*Device, error) {
	for _, device := range d.devices {
		if device.uuid == u {
			return device, nil
		}
	}
	return nil, fmt.Errorf("%s: %w", u, ErrNoDevice)
}

// refuse returns the error of a call.
func (d *Driver) refuse(s symbol, code Result) error {
	return &Error{Call: symbols[s], Code: code, Name: d.nameOf(code)}
}
