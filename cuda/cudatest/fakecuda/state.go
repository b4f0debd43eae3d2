package fakecuda

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unsafe"
)

// Options describe the machine that the driver pretends to be.
type Options struct {
	Devices int    // 0 is one; less is none: cuInit gives NO_DEVICE
	Memory  int64  // of each device, 0 is 1 GiB
	Context int64  // memory that each context of a process takes of its device
	Fail    string // faults, see State.Reset
	GBps    float64
	// Lazy makes streams begin only when somebody waits or asks: what was not waited
	// for has then surely not been done.
	Lazy bool
	// NoReadOnlyRegister makes registrations with READ_ONLY unsupported, attribute 113.
	NoReadOnlyRegister bool
	Version            int // of CUDA that the driver is for, as it says it; 0 is 13000
}

// Kind is a kind of copies.
type Kind int

// The kinds, by where bytes come from and go to; Set is what memset writes.
const (
	H2D Kind = iota
	D2H
	D2D
	Set
	kinds
)

// State is what all processes share that use the driver with it: they have the
// variables of Env.
type State struct {
	library string
	path    string
	file    *os.File
	data    []byte
	shared  *layout

	lock sync.Mutex // goes before the lock of the file
}

// Open makes a state in dir for processes that load the library at a path.
func Open(dir, library string, o Options) (*State, error) {
	if err := checkFaults(o.Fail); err != nil {
		return nil, err
	}
	if o.Devices > deviceMost {
		return nil, fmt.Errorf("%d devices, more than %d", o.Devices, deviceMost)
	}
	s := &State{library: library, path: filepath.Join(dir, "fakecuda.state")}
	file, err := os.OpenFile(s.path, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	s.file = file
	if s.data, err = mapFile(file, int(unsafe.Sizeof(layout{}))); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	s.shared = (*layout)(unsafe.Pointer(&s.data[0]))
	s.fill(o)
	return s, nil
}

func (s *State) fill(o Options) {
	l := s.shared
	l.size = uint64(unsafe.Sizeof(layout{}))
	l.devices = 1
	if o.Devices != 0 {
		l.devices = uint64(max(o.Devices, 0))
	}
	l.memory = 1 << 30
	if o.Memory > 0 {
		l.memory = uint64(o.Memory)
	}
	l.context = uint64(o.Context)
	if !o.NoReadOnlyRegister {
		l.readOnlyRegister = 1
	}
	if o.Lazy {
		l.lazy = 1
	}
	l.version = 13000
	if o.Version > 0 {
		l.version = uint64(o.Version)
	}
	l.gbps = o.GBps
	copy(l.spec[:], o.Fail)
	l.specGeneration.Store(1)
	l.magic = magic
}

// Close lets go of the state. Processes that use it go on.
func (s *State) Close() error {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.data == nil {
		return nil
	}
	err := unmap(s.data)
	s.data, s.shared = nil, nil
	return errors.Join(err, s.file.Close())
}

// Library returns the path of the library.
func (s *State) Library() string { return s.library }

// Env returns the variables that make a process use the driver with this state. One
// with a role can be singled out for faults: FAKECUDA_ROLE, or else the first word
// after the program's name.
func (s *State) Env() []string {
	return []string{"INGOT_LIBCUDA=" + s.library, "FAKECUDA_STATE=" + s.path}
}

// UUID returns the name of a device, as it is written.
func UUID(device int) string {
	return fmt.Sprintf("GPU-1f90face-0d0e-4a11-8bad-c0de000000%02x", device)
}

// UUID returns the name of a device, as it is written.
func (s *State) UUID(device int) string { return UUID(device) }

// Memory returns how many bytes each device has.
func (s *State) Memory() int64 { return int64(s.shared.memory) }

// Calls returns how often a function was called, whether it failed or not.
func (s *State) Calls(name string) int {
	number, ok := calls()[name]
	if !ok {
		panic(name + " is no function of the fake driver")
	}
	return int(s.shared.calls[number].Load())
}

// TotalCalls returns how many calls there were of all functions that can fail.
func (s *State) TotalCalls() int { return int(s.shared.total.Load()) }

// RoleCalls returns how many calls there were by processes of a role, the dead
// included.
func (s *State) RoleCalls(role string) (n int) {
	for i := range s.shared.processes {
		if p := &s.shared.processes[i]; text(p.role[:]) == role {
			n += int(p.calls.Load())
		}
	}
	return n
}

// Copies returns how many copies of a kind were asked for, those of batches one by one.
func (s *State) Copies(k Kind) int { return int(s.shared.copies[k].Load()) }

// Bytes returns how many bytes copies of a kind had.
func (s *State) Bytes(k Kind) int64 { return int64(s.shared.bytes[k].Load()) }

// Violations returns how many processes the driver has ended for what a driver
// cannot refuse, and says on stderr. Asking counts them as seen.
func (s *State) Violations() int { return int(s.shared.violations.Swap(0)) }

// Reset sets the counters to zero, and what shall fail from now on. Calls that failed
// for a dead context work again, as if their process had been started anew. A fault is
//
//	[@role:]function:N=CODE   the Nth call of a function, over all processes
//	[@role:]#N=CODE           the Nth call of all
//	[@role:]work:N=CODE       the Nth copy, fill or kernel, as a stream begins it
//
// and N+ is every one from the Nth on. CODE is a result, "kill" (the process ends
// there, by SIGKILL), "hang" (the call does not return) or, of work, "corrupt" (one
// byte of what it writes is wrong, and nobody is told). With a role only processes
// count that have it. Several faults have commas between them.
func (s *State) Reset(fail string) error {
	if err := checkFaults(fail); err != nil {
		return err
	}
	return s.locked(func(l *layout) {
		l.total.Store(0)
		l.violations.Store(0)
		for _, counters := range [][]atomic.Uint64{l.copies[:], l.bytes[:], l.calls[:]} {
			for i := range counters {
				counters[i].Store(0)
			}
		}
		for i := range l.processes {
			l.processes[i].calls.Store(0)
		}
		clear(l.spec[:])
		copy(l.spec[:], fail)
		l.specGeneration.Add(1)
	})
}

// locked does something while no other process changes the state.
func (s *State) locked(do func(*layout)) error {
	s.lock.Lock()
	defer s.lock.Unlock()
	if s.shared == nil {
		return os.ErrClosed
	}
	if err := lockFile(s.file); err != nil {
		return fmt.Errorf("lock %s: %w", s.path, err)
	}
	defer unlockFile(s.file)
	do(s.shared)
	return nil
}

func names[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }

// text returns what stands before the zero byte.
func text(b []byte) string {
	before, _, _ := strings.Cut(string(b), "\x00")
	return before
}
