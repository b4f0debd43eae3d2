//go:build !linux || !(amd64 || arm64) || nogpu

package cuda

import (
	"fmt"
	"runtime"
)

func kernelHas() bool { return false }

func load(string) (*Driver, error) {
	return nil, fmt.Errorf("%w: this program is not built for GPUs of %s/%s", ErrNoLibrary, runtime.GOOS, runtime.GOARCH)
}

//go:uintptrescapes
func invoke(uintptr, ...uintptr) Result { return NotSupported }
