package chunkdir

import "os"

// SetFsync replaces what syncs a file or folder.
func (d *Dir) SetFsync(f func(*os.File) error) { d.fsync = f }

// Relink is the fallback of the rename.
var Relink = relink
