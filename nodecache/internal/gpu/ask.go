package gpu

import "github.com/ingot-ml/ingot/openapi"

// Ask is what the holder of a lease is told, in order. Exactly one of Image,
// Pause, Detached, Lost and Denied is set.
type Ask struct {
	// Image is what it has now; ID is that of the pause that this ends, 0 for none.
	Image *openapi.LeaseImage
	ID    uint64
	// Pause asks it to stop using slabs, and to say so.
	Pause *openapi.LeasePause
	// Detached answers Detach: an image that was asked before is void.
	Detached bool
	// Lost says that the image is gone, and why: it has nothing now.
	Lost error
	// Denied answers Acquire: it has nothing still.
	Denied error
}
