package nodeapi

import (
	"context"

	"github.com/ingot-ml/ingot/openapi"
)

// stream sends every tensor when it is there.
func (s *session) stream(mode string) error {
	m := s.lease.Manifest()
	known := make([]starts, len(m.Files))
	left := make([]int, len(m.Files))
	for i := range m.Files {
		left[i] = len(m.Files[i].Tensors)
	}
	for at, err := range s.lease.Arrivals(s.ctx) {
		if err != nil {
			return err
		}
		f := &m.Files[at.File]
		if known[at.File] == nil {
			known[at.File] = newStarts(m, f)
		}
		t, err := s.place(at, known[at.File])
		if err != nil {
			return err
		}
		if err := s.segments(t.Runs); err != nil {
			return err
		}
		if err := s.write(openapi.LeaseFrame{Type: openapi.FrameTensor, File: f.Path, Tensor: &t}); err != nil {
			return err
		}
		if left[at.File]--; left[at.File] > 0 {
			continue
		}
		if err := s.write(openapi.LeaseFrame{Type: openapi.FrameFile, File: f.Path}); err != nil {
			return err
		}
	}
	if s.ctx.Err() != nil {
		return context.Cause(s.ctx)
	}
	done := openapi.LeaseFrame{Type: openapi.FrameDone, Ref: s.lease.Ref().String(), Version: s.lease.Version().String()}
	if err := s.write(done); err != nil || mode == openapi.LeaseWindow {
		return err
	}
	return s.lease.Whole(s.ctx)
}
