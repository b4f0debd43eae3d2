package cuda

import (
	"os"
	"path/filepath"
)

// soname is what the dynamic linker finds the library by.
const soname = "libcuda.so.1"

// folders are where containers and distributions put the driver's libraries, for when
// the dynamic linker does not know of them.
var folders = []string{
	"/usr/local/nvidia/lib64",
	"/usr/lib/x86_64-linux-gnu",
	"/usr/lib/aarch64-linux-gnu",
	"/usr/lib64",
	"/run/nvidia/driver/usr/lib/x86_64-linux-gnu",
	"/run/nvidia/driver/usr/lib/aarch64-linux-gnu",
}

// Libraries returns by what paths to try to open a library of the driver: the name,
// for the dynamic linker to find, and the files of that name where it may not look.
func Libraries(name string) []string { return librariesIn(folders, name) }

func librariesIn(folders []string, name string) []string {
	paths := []string{name}
	for _, dir := range folders {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err == nil {
			paths = append(paths, path)
		}
	}
	return paths
}
