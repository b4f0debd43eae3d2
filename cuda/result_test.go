package cuda_test

import (
	"errors"
	"fmt"
	"testing"

	"github.com/ingot-ml/ingot/cuda"
)

var classes = map[string]error{
	"ErrNoLibrary": cuda.ErrNoLibrary, "ErrNoDriver": cuda.ErrNoDriver, "ErrNoDevice": cuda.ErrNoDevice,
	"ErrOutOfMemory": cuda.ErrOutOfMemory, "ErrSticky": cuda.ErrSticky, "ErrUnsupported": cuda.ErrUnsupported,
	"ErrUnbound": cuda.ErrUnbound, "ErrClosed": cuda.ErrClosed,
}

// classOf returns the name of the one class that an error has, "" if it has none.
func classOf(t *testing.T, err error) string {
	t.Helper()
	found := ""
	for name, class := range classes {
		if errors.Is(err, class) {
			if found != "" {
				t.Errorf("%v is %s and %s", err, found, name)
			}
			found = name
		}
	}
	return found
}

func TestErrorClasses(t *testing.T) {
	for _, c := range []struct {
		call string
		code cuda.Result
		want string
	}{
		{"cuMemCreate", cuda.OutOfMemory, "ErrOutOfMemory"},
		{"cuInit", cuda.OutOfMemory, "ErrOutOfMemory"},
		{"cuInit", cuda.NoDevice, "ErrNoDevice"},
		{"cuInit", cuda.InvalidDevice, "ErrNoDevice"},
		{"cuInit", cuda.NotInitialized, "ErrNoDriver"},
		{"cuInit", cuda.StubLibrary, "ErrNoDriver"},
		{"cuInit", cuda.InsufficientDriver, "ErrNoDriver"},
		{"cuInit", cuda.OperatingSystem, "ErrNoDriver"},
		{"cuInit", cuda.SystemNotReady, "ErrNoDriver"},
		{"cuInit", cuda.DriverMismatch, "ErrNoDriver"},
		{"cuInit", cuda.CompatNotSupported, "ErrNoDriver"},
		{"cuInit", cuda.Unknown, "ErrNoDriver"},
		{"cuInit", cuda.NotSupported, "ErrNoDriver"},
		{"cuInit", 12345, "ErrNoDriver"},
		{"cuDeviceGet", cuda.NoDevice, "ErrNoDevice"},
		{"cuDeviceGet", cuda.InvalidDevice, "ErrNoDevice"},
		{"cuDeviceGetCount", cuda.NotInitialized, "ErrNoDriver"},
		{"cuDevicePrimaryCtxRetain", cuda.DeviceUnavailable, "ErrNoDevice"},
		{"cuMemHostRegister_v2", cuda.NotSupported, "ErrUnsupported"},
		{"cuStreamSynchronize", cuda.Unknown, "ErrSticky"},
		{"cuStreamSynchronize", cuda.IllegalAddress, "ErrSticky"},
		{"cuStreamSynchronize", cuda.LaunchTimeout, "ErrSticky"},
		{"cuStreamSynchronize", cuda.InvalidPC, "ErrSticky"},
		{"cuStreamSynchronize", cuda.LaunchFailed, "ErrSticky"},
		{"cuStreamSynchronize", cuda.ECCUncorrectable, "ErrSticky"},
		{"cuStreamSynchronize", cuda.Contained, "ErrSticky"},
		{"cuStreamSynchronize", cuda.Deinitialized, "ErrSticky"},
		{"cuStreamSynchronize", cuda.ContextIsDestroyed, "ErrSticky"},
		{"cuStreamQuery", cuda.NotReady, ""},
		{"cuMemMap", cuda.InvalidValue, ""},
		{"cuMemHostRegister_v2", cuda.AlreadyRegistered, ""},
		{"cuMemGetInfo_v2", cuda.InvalidContext, ""},
		{"cuMemMap", 12345, ""},
	} {
		err := fmt.Errorf("wrapped: %w", &cuda.Error{Call: c.call, Code: c.code, Name: c.code.String()})
		if got := classOf(t, err); got != c.want {
			t.Errorf("%v: class %q, want %q", err, got, c.want)
		}
	}
}

func TestErrorText(t *testing.T) {
	err := error(&cuda.Error{Call: "cuMemCreate", Code: cuda.OutOfMemory, Name: "CUDA_ERROR_OUT_OF_MEMORY"})
	if got, want := err.Error(), "cuMemCreate: CUDA_ERROR_OUT_OF_MEMORY (2)"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	for code, want := range map[cuda.Result]string{
		cuda.Success: "CUDA_SUCCESS", cuda.Unknown: "CUDA_ERROR_UNKNOWN",
		cuda.DriverMismatch: "CUDA_ERROR_SYSTEM_DRIVER_MISMATCH", 4242: "CUDA_ERROR_4242",
	} {
		if code.String() != want {
			t.Errorf("%d is %s, want %s", int32(code), code, want)
		}
	}
}

func TestUUID(t *testing.T) {
	want := cuda.UUID{0x8f, 0x0c, 0x1b, 0x1e, 0x5d, 0x2a, 0x4a, 0x5c, 0x9d, 0x0e, 0x1f, 0x2a, 0x3b, 0x4c, 0x5d, 0x6e}
	const text = "8f0c1b1e-5d2a-4a5c-9d0e-1f2a3b4c5d6e"
	for _, s := range []string{text, "GPU-" + text, "MIG-" + text, "GPU-8F0C1B1E-5D2A-4A5C-9D0E-1F2A3B4C5D6E"} {
		if u, err := cuda.ParseUUID(s); err != nil || u != want {
			t.Errorf("%s: %v, %v", s, u, err)
		}
	}
	if got := want.String(); got != "GPU-"+text {
		t.Errorf("%s", got)
	}
	for _, s := range []string{"", "0", "GPU-", "GPU-" + text[1:], text + "0", "GPU-8f0c1b1e5d2a4a5c9d0e1f2a3b4c5d6e",
		"GPU-8f0c1b1e-5d2a-4a5c-9d0e-1f2a3b4c5d6g", "gpu-" + text, "8f0c1b1e-5d2a-4a5c-9d0e1-f2a3b4c5d6e"} {
		if u, err := cuda.ParseUUID(s); err == nil {
			t.Errorf("%q was read as %v", s, u)
		}
	}
}
