package cuda

import (
	"runtime"
	"unsafe"
)

// All that is unsafe is in this file. A function that is given the address of
// something for C carries go:uintptrescapes, and the conversion to uintptr stands in
// the call itself: otherwise what it points to may lie on the stack of a goroutine,
// which can move before C writes there, or be collected.

// call calls a function of the driver, and returns what it refuses.
//
//go:uintptrescapes
func (d *Driver) call(s symbol, args ...uintptr) error {
	entry := d.entry[s]
	if entry == 0 {
		return d.refuse(s, NotSupported)
	}
	if code := invoke(entry, args...); code != Success {
		return d.refuse(s, code)
	}
	return nil
}

// to is call for functions whose first argument says where they write.
//
//go:uintptrescapes
func (d *Driver) to(s symbol, out uintptr, args ...uintptr) error {
	var all [8]uintptr
	all[0] = out
	return d.call(s, all[:1+copy(all[1:], args)]...)
}

// out32 returns the 32 bits that a function writes to where its first argument points.
//
//go:uintptrescapes
func (d *Driver) out32(s symbol, args ...uintptr) (int32, error) {
	var v int32
	err := d.to(s, uintptr(unsafe.Pointer(&v)), args...)
	return v, err
}

// out64 returns the 64 bits that a function writes to where its first argument points.
//
//go:uintptrescapes
func (d *Driver) out64(s symbol, args ...uintptr) (uint64, error) {
	var v uint64
	err := d.to(s, uintptr(unsafe.Pointer(&v)), args...)
	return v, err
}

// nameOf returns the name of a code: the driver's, which may know more of them than
// the table here.
func (d *Driver) nameOf(code Result) string {
	entry := d.entry[cuGetErrorName]
	if entry == 0 {
		return code.String()
	}
	var text *byte
	if invoke(entry, uintptr(code), uintptr(unsafe.Pointer(&text))) != Success || text == nil {
		return code.String()
	}
	return goString(unsafe.Slice(text, longestName))
}

const longestName = 64

// goString returns the text before the first zero.
func goString(c []byte) string {
	for i := range c {
		if c[i] == 0 {
			return string(c[:i])
		}
	}
	return string(c)
}

// deviceName returns the name of a device.
func (d *Driver) deviceName(device int32) (string, error) {
	var text [256]byte
	err := d.call(cuDeviceGetName, uintptr(unsafe.Pointer(&text)), uintptr(len(text)), uintptr(device))
	return goString(text[:]), err
}

// deviceUUID returns the UUID of a device.
func (d *Driver) deviceUUID(device int32) (u UUID, err error) {
	err = d.call(cuDeviceGetUUID, uintptr(unsafe.Pointer(&u)), uintptr(device))
	return u, err
}

// The structures of cuda.h, the same since CUDA 10.2.
type (
	memLocation struct {
		kind int32
		id   int32
	}
	memAllocationProp struct {
		kind        uint32
		handleTypes uint32
		location    memLocation
		win32       uintptr
		compression uint8
		rdma        uint8
		usage       uint16
		_           [4]uint8
	}
	memAccessDesc struct {
		location memLocation
		flags    int32
	}
)

const (
	locationDevice   = 1
	allocationPinned = 1
	handleFile       = 1 // a POSIX descriptor
	accessRead       = 1
	accessReadWrite  = 3
)

// shareable is what all memory here is: on one device, and of a kind that can be
// handed to other processes.
func shareable(device int32) memAllocationProp {
	return memAllocationProp{
		kind:        allocationPinned,
		handleTypes: handleFile,
		location:    memLocation{locationDevice, device},
	}
}

func (d *Driver) memGranularity(device int32) (int64, error) {
	prop := shareable(device)
	n, err := d.out64(cuMemGetGranularity, uintptr(unsafe.Pointer(&prop)), 0)
	return int64(n), err
}

func (d *Driver) memCreate(device int32, size int64) (Handle, error) {
	prop := shareable(device)
	h, err := d.out64(cuMemCreate, uintptr(size), uintptr(unsafe.Pointer(&prop)), 0)
	return Handle(h), err
}

func (d *Driver) memSetAccess(device int32, p Ptr, size int64, flags int32) error {
	access := memAccessDesc{memLocation{locationDevice, device}, flags}
	return d.call(cuMemSetAccess, uintptr(p), uintptr(size), uintptr(unsafe.Pointer(&access)), 1)
}

func (d *Driver) memGetInfo() (free, total uint64, err error) {
	err = d.call(cuMemGetInfo, uintptr(unsafe.Pointer(&free)), uintptr(unsafe.Pointer(&total)))
	return free, total, err
}

func (d *Driver) hostRegister(b []byte, flags uint) error {
	return d.call(cuMemHostRegister, uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)), uintptr(flags))
}

func (d *Driver) hostUnregister(b []byte) error {
	return d.call(cuMemHostUnregister, uintptr(unsafe.Pointer(unsafe.SliceData(b))))
}

func (d *Driver) htod(dst Ptr, src []byte, s Stream) error {
	return d.call(cuMemcpyHtoD, uintptr(dst), uintptr(unsafe.Pointer(unsafe.SliceData(src))), uintptr(len(src)), uintptr(s))
}

func (d *Driver) dtoh(dst []byte, src Ptr, s Stream) error {
	return d.call(cuMemcpyDtoH, uintptr(unsafe.Pointer(unsafe.SliceData(dst))), uintptr(src), uintptr(len(dst)), uintptr(s))
}

func (d *Driver) elapsed(from, to Event) (ms float32, err error) {
	err = d.call(cuEventElapsedTime, uintptr(unsafe.Pointer(&ms)), uintptr(from), uintptr(to))
	return ms, err
}

// moduleLoad loads text that ends with a zero.
func (d *Driver) moduleLoad(text []byte) (Module, error) {
	m, err := d.out64(cuModuleLoadData, uintptr(unsafe.Pointer(unsafe.SliceData(text))))
	return Module(m), err
}

// moduleFunction looks up a name that ends with a zero.
func (d *Driver) moduleFunction(m Module, name []byte) (Function, error) {
	f, err := d.out64(cuModuleGetFunction, uintptr(m), uintptr(unsafe.Pointer(unsafe.SliceData(name))))
	return Function(f), err
}

const mostParams = 16

// params are the values of a kernel's parameters, and where each of them lies.
type params struct {
	values [mostParams]uint64
	at     [mostParams]unsafe.Pointer
}

// launch starts a kernel. The driver has copied the parameters when it returns.
func (d *Driver) launch(f Function, grid, block uint32, s Stream, values []uint64) error {
	p := new(params)
	copy(p.values[:], values)
	for i := range values {
		p.at[i] = unsafe.Pointer(&p.values[i])
	}
	var pin runtime.Pinner // C reads addresses of Go's memory from Go's memory
	pin.Pin(p)
	defer pin.Unpin()
	return d.call(cuLaunchKernel, uintptr(f), uintptr(grid), 1, 1, uintptr(block), 1, 1, 0, uintptr(s),
		uintptr(unsafe.Pointer(&p.at)), 0)
}
