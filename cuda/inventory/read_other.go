//go:build !(cgo && linux)

package inventory

import "context"

// Read returns what NVML tells about the GPUs of this machine: nothing, in this build.
func Read(context.Context) (Report, error) {
	return Report{State: NotBuilt, Message: "this program was built without cgo"}, nil
}
