package mover

import (
	"fmt"

	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/openapi/leaseconn"
)

// control does what is asked in passing, in order, on a thread of its own.
func (s *server) control() {
	err := s.device.context.With(func(b *cuda.Bound) error {
		for r := range s.asked {
			m, err := s.pass(b, r)
			leaseconn.CloseAll(r.files)
			m.ID = r.ID
			s.answer(m, err)
			if fatal(err) {
				return err
			}
		}
		return nil
	})
	s.end(fmt.Errorf("do what is asked in passing: %w", err))
}

// pass does one request.
func (s *server) pass(b *cuda.Bound, r request) (m message, err error) {
	d := s.device
	switch r.Type {
	case askSegment:
		err = d.addSegment(r.Memory, r.Size, r.files)
	case askForget:
		err = d.forget(b, r.Memory)
	case askPin:
		err = d.pin(b, r.Memory, r.Offset, r.Length)
	case askUnpin:
		err = d.unpin(b, r.Memory, r.Offset, r.Length)
	case askSlab:
		err = d.addSlab(b, r.Memory, r.Size, r.files)
	case askDrop:
		err = d.drop(b, r.Memory)
	case askMemory:
		m.Free, m.Total, err = b.MemInfo()
	}
	return m, err
}
