//go:build !linux

package mover

import (
	"errors"
	"fmt"
	"time"
)

type process struct{}

func (m *Mover) spawn() (*process, *session, error) {
	return nil, nil, fmt.Errorf("%w: %w", errStart, errors.ErrUnsupported)
}

func (p *process) end(time.Duration) string { return "" }
