//go:build unix

package cuda

import "syscall"

// export returns a descriptor of memory, which no program that is started inherits.
// Nothing promises that the driver sees to that.
func (d *Driver) export(h Handle) (int, error) {
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	fd, err := d.out32(cuMemExport, uintptr(h), handleFile, 0)
	if err != nil {
		return -1, err
	}
	syscall.CloseOnExec(int(fd))
	return int(fd), nil
}
