package cuda

// The flags of Register.
const (
	RegisterPortable uint = 1 // for all contexts of the process
	RegisterReadOnly uint = 8 // memory that the process may not write; needs the attribute ReadOnlyRegister
)

// MemInfo returns how much of the device's memory is free for whoever asks first, and
// how much there is.
func (b *Bound) MemInfo() (free, total int64, err error) {
	if err := b.ready(cuMemGetInfo); err != nil {
		return 0, 0, err
	}
	f, t, err := b.driver.memGetInfo()
	return int64(f), int64(t), err
}

// Register pins memory, so that the device can read it itself. It must be mapped
// memory, not Go's own, from the start of a page on. A copy may not go over the edge
// of what one call has registered.
func (b *Bound) Register(mem []byte, flags uint) error {
	if err := b.fit(cuMemHostRegister, int64(len(mem))); err != nil {
		return err
	}
	return b.driver.hostRegister(mem, flags)
}

// Unregister takes back what Register did for the memory that begins there.
func (b *Bound) Unregister(mem []byte) error {
	if err := b.fit(cuMemHostUnregister, int64(len(mem))); err != nil {
		return err
	}
	return b.driver.hostUnregister(mem)
}

// Reserve takes addresses of the device, aligned to align, or as the driver likes if
// that is 0.
func (b *Bound) Reserve(size, align int64) (Ptr, error) {
	if err := b.fit(cuMemAddressReserve, size); err != nil {
		return 0, err
	}
	p, err := b.driver.out64(cuMemAddressReserve, uintptr(size), uintptr(align), 0, 0)
	return Ptr(p), err
}

// FreeAddress gives addresses back, all that one Reserve gave, when nothing is mapped there.
func (b *Bound) FreeAddress(p Ptr, size int64) error {
	return b.sized(cuMemAddressFree, size, uintptr(p), uintptr(size))
}

// Map puts memory at addresses, all of it. It can be used after SetAccess.
func (b *Bound) Map(p Ptr, size int64, h Handle) error {
	return b.sized(cuMemMap, size, uintptr(p), uintptr(size), 0, uintptr(h), 0)
}

// Unmap takes the memory at addresses away from there, whole mappings only.
func (b *Bound) Unmap(p Ptr, size int64) error {
	return b.sized(cuMemUnmap, size, uintptr(p), uintptr(size))
}

// SetAccess allows this device to read what is mapped at addresses, and to write it.
// One call may be for many mappings side by side.
func (b *Bound) SetAccess(p Ptr, size int64, write bool) error {
	if err := b.fit(cuMemSetAccess, size); err != nil {
		return err
	}
	flags := int32(accessRead)
	if write {
		flags = accessReadWrite
	}
	return b.driver.memSetAccess(b.context.device.handle, p, size, flags)
}

// HtoD copies memory of the host to the device, when what s was given before is done.
// Where src is registered it is read while the copy runs; else it has been read when
// HtoD returns, which is slow.
func (b *Bound) HtoD(dst Ptr, src []byte, s Stream) error {
	if len(src) == 0 {
		return b.ready(cuMemcpyHtoD)
	}
	if err := b.ready(cuMemcpyHtoD); err != nil {
		return err
	}
	return b.driver.htod(dst, src, s)
}

// DtoH copies memory of the device to the host, when what s was given before is done.
func (b *Bound) DtoH(dst []byte, src Ptr, s Stream) error {
	if len(dst) == 0 {
		return b.ready(cuMemcpyDtoH)
	}
	if err := b.ready(cuMemcpyDtoH); err != nil {
		return err
	}
	return b.driver.dtoh(dst, src, s)
}

// DtoD copies n bytes within the device, when what s was given before is done.
func (b *Bound) DtoD(dst, src Ptr, n int64, s Stream) error {
	return b.sized(cuMemcpyDtoD, n, uintptr(dst), uintptr(src), uintptr(n), uintptr(s))
}

// Memset sets n bytes to a value, when what s was given before is done.
func (b *Bound) Memset(dst Ptr, value byte, n int64, s Stream) error {
	return b.sized(cuMemset, n, uintptr(dst), uintptr(value), uintptr(n), uintptr(s))
}
