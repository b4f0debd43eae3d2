//go:build !unix

package cuda

func (d *Driver) export(Handle) (int, error) { return -1, d.refuse(cuMemExport, NotSupported) }
