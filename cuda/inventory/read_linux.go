//go:build cgo && linux

package inventory

import (
	"context"
	"sync"

	"github.com/NVIDIA/go-nvml/pkg/nvml"

	"github.com/ingot-ml/ingot/cuda"
)

// node is the inventory of this machine.
var node = sync.OnceValue(func() *source {
	var libs []nvml.Interface
	for _, path := range cuda.Libraries("libnvidia-ml.so.1") {
		libs = append(libs, nvml.New(nvml.WithLibraryPath(path)))
	}
	return newSource(libs...)
})

// Read returns what NVML tells about the GPUs of this machine.
func Read(ctx context.Context) (Report, error) { return node().read(ctx) }

// source is NVML, in the first of some libraries that is there.
type source struct {
	libs []nvml.Interface
	// busy holds a token while NVML is asked: a GPU that has failed can keep it waiting
	// for good, and then only one of us.
	busy chan struct{}
	// open is the library that has been initialized, which can take seconds. It stays so
	// as long as it answers. Who holds the token has it.
	open nvml.Interface
}

func newSource(libs ...nvml.Interface) *source {
	return &source{libs: libs, busy: make(chan struct{}, 1)}
}

// read asks, and gives up on it when ctx is done.
func (s *source) read(ctx context.Context) (Report, error) {
	select {
	case s.busy <- struct{}{}:
	case <-ctx.Done():
		return Report{}, ctx.Err()
	}
	answer := make(chan Report, 1)
	go func() {
		defer func() { <-s.busy }()
		answer <- s.ask()
	}()
	select {
	case r := <-answer:
		return r, nil
	case <-ctx.Done():
		return Report{}, ctx.Err()
	}
}

// ask asks the library that is open, or the first that opens.
func (s *source) ask() Report {
	if s.open != nil {
		if r := ask(s.open); r.State == Ready {
			return r
		}
		s.close() // the driver may have been exchanged
	}
	var first Report
	for i, lib := range s.libs {
		r := s.start(lib)
		if r.State != NoLibrary {
			return r
		}
		if i == 0 {
			first = r
		}
	}
	return first
}

// start opens a library and asks it.
func (s *source) start(lib nvml.Interface) Report {
	if ret := lib.Init(); ret != nvml.SUCCESS {
		return Report{State: stateOf(ret), Message: "nvmlInit: " + lib.ErrorString(ret)}
	}
	s.open = lib
	r := ask(lib)
	if r.State != Ready {
		s.close()
	}
	return r
}

// close lets go of the driver, so that it can be unloaded.
func (s *source) close() {
	_ = s.open.Shutdown() // what could not be asked has been told
	s.open = nil
}
