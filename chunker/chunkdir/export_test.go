package chunkdir

import "os"

// SetFsync replaces what syncs a file or folder.
func (d *Dir) SetFsync(f func(*os.File) error) { d.fsync = f }

// OpenSyncs makes the root of a durable Dir and returns the folders that it syncs.
func OpenSyncs(path string) (synced []string, err error) {
	d := &Dir{path: path, durable: true}
	d.folders = newSyncer(func(f *os.File) error { synced = append(synced, f.Name()); return nil })
	return synced, d.makeRoot()
}

// Relink is the fallback of the rename.
var Relink = relink
