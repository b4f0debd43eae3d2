package stream

import (
	"sync"

	"github.com/ingot-ml/ingot/registry/manifest"
)

// rooms are memory for chunks, which readers would make anew for each.
var rooms = sync.Pool{New: func() any { b := make([]byte, 0, manifest.MaxChunk); return &b }}

// Room returns memory of no bytes for the longest chunk, and what gives it back, once.
func Room() (room []byte, release func()) {
	b := rooms.Get().(*[]byte)
	return (*b)[:0], func() { rooms.Put(b) }
}
