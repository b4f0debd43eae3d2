//go:build linux && (amd64 || arm64) && !nogpu

package cuda

import (
	"errors"
	"fmt"
	"os"
	"slices"

	"github.com/ebitengine/purego"
)

// signs are what there is where the kernel has a driver: of Linux, or of the Windows
// below it. The library makes the second one itself, so it must be one that opens.
var signs = []string{"/proc/driver/nvidia", "/dev/nvidiactl", "/dev/dxg"}

// kernelHas tells whether the kernel has a driver.
func kernelHas() bool { return slices.ContainsFunc(signs, works) }

// works tells whether something is there, and something behind it if it is a device.
func works(path string) bool {
	f, err := os.Open(path)
	if err == nil {
		_ = f.Close() // nothing was written
	}
	return err == nil || errors.Is(err, os.ErrPermission)
}

// load opens a library and finds its functions. It is never closed: a driver that
// has started threads cannot be unloaded.
func load(path string) (*Driver, error) {
	library, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, fmt.Errorf("%w: %v", ErrNoLibrary, err)
	}
	d := &Driver{path: path}
	for s, name := range symbols {
		d.entry[s], err = purego.Dlsym(library, name)
		if err != nil && !symbol(s).optional() {
			return nil, fmt.Errorf("%w: %s has no %s: it is older than CUDA 11.4", ErrNoDriver, path, name)
		}
	}
	return d, nil
}

// invoke calls a function of the library.
//
//go:uintptrescapes
func invoke(entry uintptr, args ...uintptr) Result {
	r, _, _ := purego.SyscallN(entry, args...)
	return Result(int32(r))
}
