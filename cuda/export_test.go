//go:build linux && (amd64 || arm64)

package cuda

import (
	"slices"
	"unsafe"
)

// RawMemInfo asks for the memory without looking whether a context is bound.
func (d *Driver) RawMemInfo() error {
	_, _, err := d.memGetInfo()
	return err
}

// Symbols returns the names of all functions that are looked up.
func Symbols() []string { return slices.Clone(symbols[:]) }

// Forget makes a function one that the library has not.
func (d *Driver) Forget(name string) { d.entry[slices.Index(symbols[:], name)] = 0 }

// Redirect makes calls of one function go to another.
func (d *Driver) Redirect(name, to string) {
	d.entry[slices.Index(symbols[:], name)] = d.entry[slices.Index(symbols[:], to)]
}

// Start initializes the driver once more.
func (d *Driver) Start() error { return d.start() }

// CallAt calls a C function at an address, as those of the driver are called, which
// takes a descriptor and where to write to.
func CallAt(entry uintptr, fd int, to *uint64) Result {
	return invoke(entry, uintptr(fd), uintptr(unsafe.Pointer(to)))
}

// LookAtKernel is what Open makes of an error where the kernel has a driver, or has not.
func LookAtKernel(err error, has bool) error {
	return lookAtKernel(err, func() bool { return has })
}

// LibrariesIn is Libraries for other folders.
func LibrariesIn(folders []string, name string) []string { return librariesIn(folders, name) }

// Works tells whether a sign of a driver is one.
func Works(path string) bool { return works(path) }

// OpenFirst is Open for candidates.
func OpenFirst(candidates ...string) (*Driver, error) { return openFirst(candidates) }
