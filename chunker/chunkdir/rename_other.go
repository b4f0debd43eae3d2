//go:build !linux

package chunkdir

// rename gives a file its name, or fails with fs.ErrExist when there is one.
func rename(from, to string) error { return relink(from, to) }
