package cuda

import (
	"errors"
	"fmt"
)

// The classes of errors. The first three are the quiet states of a machine that has
// no GPU to use.
var (
	// ErrNoLibrary says that there is no libcuda on this machine.
	ErrNoLibrary = errors.New("no CUDA driver library")
	// ErrNoDriver says that the library does not work with what the kernel has: there
	// is no driver, or the wrong one.
	ErrNoDriver = errors.New("no usable CUDA driver")
	// ErrNoDevice says that there is a driver, and no GPU for this process.
	ErrNoDevice = errors.New("no CUDA device")
	// ErrOutOfMemory says that the device is full: make room and try again.
	ErrOutOfMemory = errors.New("out of device memory")
	// ErrSticky says that the process cannot use the device any more: every later call
	// fails too, until the process is gone.
	ErrSticky = errors.New("the CUDA context is lost")
	// ErrUnsupported says that this driver or device cannot do it.
	ErrUnsupported = errors.New("not supported by the CUDA driver or the device")
	// ErrUnbound says that a Bound was used outside of its With, or on another thread.
	ErrUnbound = errors.New("used outside of Context.With, or on another thread")
	// ErrClosed says that a context was used after its Close.
	ErrClosed = errors.New("the CUDA context is closed")
)

// Result is what a call of the driver returns.
type Result int32

// The results that something here or a caller decides by.
const (
	Success              Result = 0
	InvalidValue         Result = 1
	OutOfMemory          Result = 2
	NotInitialized       Result = 3
	Deinitialized        Result = 4
	StubLibrary          Result = 34
	InsufficientDriver   Result = 35
	DeviceUnavailable    Result = 46
	NoDevice             Result = 100
	InvalidDevice        Result = 101
	InvalidContext       Result = 201
	ECCUncorrectable     Result = 214
	NVLinkUncorrectable  Result = 220
	Contained            Result = 226
	OperatingSystem      Result = 304
	InvalidHandle        Result = 400
	NotFound             Result = 500
	NotReady             Result = 600
	IllegalAddress       Result = 700
	LaunchTimeout        Result = 702
	PrimaryContextActive Result = 708
	ContextIsDestroyed   Result = 709
	Assert               Result = 710
	AlreadyRegistered    Result = 712
	NotRegistered        Result = 713
	HardwareStackError   Result = 714
	IllegalInstruction   Result = 715
	MisalignedAddress    Result = 716
	InvalidAddressSpace  Result = 717
	InvalidPC            Result = 718
	LaunchFailed         Result = 719
	TensorMemoryLeak     Result = 721
	NotSupported         Result = 801
	SystemNotReady       Result = 802
	DriverMismatch       Result = 803
	CompatNotSupported   Result = 804
	MPSClientTerminated  Result = 810
	ExternalDevice       Result = 911
	Unknown              Result = 999
)

// names are for when the driver does not name a code.
var names = map[Result]string{
	Success: "SUCCESS", InvalidValue: "INVALID_VALUE", OutOfMemory: "OUT_OF_MEMORY",
	NotInitialized: "NOT_INITIALIZED", Deinitialized: "DEINITIALIZED", StubLibrary: "STUB_LIBRARY",
	InsufficientDriver: "INSUFFICIENT_DRIVER", DeviceUnavailable: "DEVICE_UNAVAILABLE", NoDevice: "NO_DEVICE",
	InvalidDevice: "INVALID_DEVICE", InvalidContext: "INVALID_CONTEXT", ECCUncorrectable: "ECC_UNCORRECTABLE",
	NVLinkUncorrectable: "NVLINK_UNCORRECTABLE", Contained: "CONTAINED", OperatingSystem: "OPERATING_SYSTEM",
	InvalidHandle: "INVALID_HANDLE", NotFound: "NOT_FOUND", NotReady: "NOT_READY",
	IllegalAddress: "ILLEGAL_ADDRESS", LaunchTimeout: "LAUNCH_TIMEOUT", PrimaryContextActive: "PRIMARY_CONTEXT_ACTIVE",
	ContextIsDestroyed: "CONTEXT_IS_DESTROYED", Assert: "ASSERT",
	AlreadyRegistered: "HOST_MEMORY_ALREADY_REGISTERED", NotRegistered: "HOST_MEMORY_NOT_REGISTERED",
	HardwareStackError: "HARDWARE_STACK_ERROR", IllegalInstruction: "ILLEGAL_INSTRUCTION",
	MisalignedAddress: "MISALIGNED_ADDRESS", InvalidAddressSpace: "INVALID_ADDRESS_SPACE", InvalidPC: "INVALID_PC",
	LaunchFailed: "LAUNCH_FAILED", TensorMemoryLeak: "TENSOR_MEMORY_LEAK", NotSupported: "NOT_SUPPORTED",
	SystemNotReady: "SYSTEM_NOT_READY", DriverMismatch: "SYSTEM_DRIVER_MISMATCH",
	CompatNotSupported:  "COMPAT_NOT_SUPPORTED_ON_DEVICE",
	MPSClientTerminated: "MPS_CLIENT_TERMINATED", ExternalDevice: "EXTERNAL_DEVICE", Unknown: "UNKNOWN",
}

// String returns the code's name as the driver's documentation has it.
func (r Result) String() string {
	name, known := names[r]
	switch {
	case r == Success:
		return "CUDA_SUCCESS"
	case known:
		return "CUDA_ERROR_" + name
	}
	return fmt.Sprintf("CUDA_ERROR_%d", int32(r))
}

// Sticky tells whether a process that got this result is lost for the device. The
// driver says so of these; of an unknown error it says nothing, but a GPU that has
// fallen off the bus answers with it.
func (r Result) Sticky() bool {
	switch r {
	case Deinitialized, ECCUncorrectable, NVLinkUncorrectable, Contained, IllegalAddress, LaunchTimeout,
		ContextIsDestroyed, Assert, HardwareStackError, IllegalInstruction, MisalignedAddress,
		InvalidAddressSpace, InvalidPC, LaunchFailed, TensorMemoryLeak, MPSClientTerminated, ExternalDevice, Unknown:
		return true
	}
	return false
}

// Error is a call that the driver refused, or that was not made because the driver
// would have to refuse it.
type Error struct {
	Call string
	Code Result
	Name string
}

func (e *Error) Error() string { return fmt.Sprintf("%s: %s (%d)", e.Call, e.Name, int32(e.Code)) }

// Is tells whether the error is of a class.
func (e *Error) Is(class error) bool { return class != nil && class == e.class() }

// class returns what to do about the error, nil if that depends. What cuInit says is
// about the machine, and not about a context: there is none yet.
func (e *Error) class() error {
	switch {
	case e.Code == OutOfMemory:
		return ErrOutOfMemory
	case e.Code == NoDevice, e.Code == InvalidDevice, e.Code == DeviceUnavailable:
		return ErrNoDevice
	case e.Call == symbols[cuInit]:
		return ErrNoDriver
	case e.Code.Sticky():
		return ErrSticky
	}
	switch e.Code {
	case NotSupported:
		return ErrUnsupported
	case NotInitialized, StubLibrary, InsufficientDriver, SystemNotReady, DriverMismatch, CompatNotSupported:
		return ErrNoDriver
	}
	return nil
}
