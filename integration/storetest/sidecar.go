package storetest

import (
	"os"
	"path/filepath"
	"testing"
)

// sidecar is versitygw with ETags in files of their own, as on a file system without
// extended attributes. There it replaces the ETag before the object, so that a read
// in between gives an old body the ETag of the new one.
var sidecar = kind{
	name: versity.name,
	args: func(folder, addr string) ([]string, error) {
		beside := filepath.Join(folder, "sidecar")
		return []string{
			"--quiet", "--port", addr, "--access", accessKey, "--secret", secretKey,
			"posix", "--sidecar", beside, filepath.Join(folder, "data"),
		}, os.MkdirAll(beside, 0o700)
	},
	env: versity.env,
}

// VersitySidecar starts a versitygw that keeps ETags beside objects, for one test. Who
// reads, counts and writes over loses updates on it, although every answer is right.
func VersitySidecar(t testing.TB) *Store { return own(t, sidecar) }
