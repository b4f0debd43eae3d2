//go:build !linux

package ram

import (
	"errors"
	"fmt"
	"runtime"
)

func mapSegment(int64, bool) (*segment, error) {
	return nil, fmt.Errorf("shared memory on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func (g *segment) unmap() error { return nil }

func populate([]byte) {}

func (g *segment) punch(int64, int64) {}
