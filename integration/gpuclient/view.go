package gpuclient

import (
	"fmt"

	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/openapi"
)

// View is an image as it is mapped.
type View struct {
	Image *openapi.LeaseImage
	image *mapped
}

// Tensor copies a tensor out of the GPU.
func (v *View) Tensor(t openapi.ImageTensor) ([]byte, error) {
	b := make([]byte, t.Bytes)
	if len(b) == 0 {
		return b, nil
	}
	m := v.image
	m.reads.Lock()
	defer m.reads.Unlock()
	err := m.context.With(func(bound *cuda.Bound) (err error) {
		if m.stream == 0 {
			if m.stream, err = bound.NewStream(); err != nil {
				return err
			}
		}
		if err := bound.DtoH(b, m.base+cuda.Ptr(t.Offset), m.stream); err != nil {
			return err
		}
		return bound.Synchronize(m.stream)
	})
	if err != nil {
		return nil, fmt.Errorf("read tensor %s: %w", t.Name, err)
	}
	return b, nil
}

// Address is where the image begins.
func (v *View) Address() uint64 { return v.image.address() }
