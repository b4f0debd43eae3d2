//go:build !linux

package ram

import (
	"errors"
	"fmt"
	"os"
	"runtime"
)

type source struct{}

func openSource(bool) source { return source{} }

func (source) close() error { return nil }

func (source) mapSegment(int64) (*segment, error) {
	return nil, fmt.Errorf("shared memory on %s: %w", runtime.GOOS, errors.ErrUnsupported)
}

func duplicate(*os.File) (*os.File, error) { return nil, errors.ErrUnsupported }

func (g *segment) unmap() error { return nil }

func wantHuge([]byte, bool) {}

func populate([]byte) {}

func (g *segment) punch(int64, int64) {}

func (g *segment) resident() int64 { return 0 }
