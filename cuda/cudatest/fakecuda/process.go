package fakecuda

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Process is what one process holds.
type Process struct {
	PID    int
	Role   string // its FAKECUDA_ROLE, or else the first word after the program's name
	Sticky int    // the result that all its calls give since a context died, 0 if none

	Contexts, Handles, Mappings, Reservations int
	Streams, Events, Modules                  int
	Registrations                             int
	Allocations                               int // of cuMemAlloc
	Writable                                  int // mappings that it may write through, allocations too
	Registered                                int64
	// Descriptors of device memory that are open, beside those of the driver itself: of
	// what was exported, or came from another process.
	Descriptors int
}

// Empty tells that it holds nothing but contexts.
func (p Process) Empty() bool {
	return p.Descriptors+p.Handles+p.Mappings+p.Reservations+p.Streams+p.Events+p.Modules+p.Registrations+p.Allocations == 0
}

// Live returns what each living process holds that has used the driver with this
// state.
func (s *State) Live() []Process {
	var all []Process
	for i := range s.shared.processes {
		p := &s.shared.processes[i]
		if alive(p) {
			all = append(all, p.process())
		}
	}
	return all
}

// Registered returns how many bytes living processes have registered for a device.
func (s *State) Registered(device int) int64 {
	var sum int64
	for i := range s.shared.processes {
		if p := &s.shared.processes[i]; alive(p) {
			sum += p.registered[device].Load()
		}
	}
	return sum
}

func (p *process) process() Process {
	n := func(i int) int { return int(p.live[i].Load()) }
	var registered int64
	for i := range p.registered {
		registered += p.registered[i].Load()
	}
	pid := int(p.pid.Load())
	return Process{
		Descriptors: max(openMemory(pid)-n(10), 0), // 0 if it ends meanwhile
		PID:         pid, Role: text(p.role[:]), Sticky: int(p.sticky.Load()),
		Contexts: n(0), Handles: n(1), Mappings: n(2), Reservations: n(3), Streams: n(4), Events: n(5),
		Modules: n(6), Registrations: n(7), Allocations: n(8), Writable: n(9), Registered: registered,
	}
}

// openMemory counts the descriptors of a process that are device memory.
func openMemory(pid int) int {
	dir := fmt.Sprintf("/proc/%d/fd", pid)
	entries, _ := os.ReadDir(dir) // it may have ended
	n := 0
	for _, e := range entries {
		name, _ := os.Readlink(filepath.Join(dir, e.Name()))
		if strings.HasPrefix(name, "/memfd:fakecuda-memory-") {
			n++
		}
	}
	return n
}

// alive tells that a place belongs to a process which still runs. Pids come again, so
// it is known by when it started, too.
func alive(p *process) bool {
	pid := p.pid.Load()
	if pid == 0 {
		return false
	}
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return false
	}
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	if len(fields) < 20 || fields[0] == "Z" || fields[0] == "X" {
		return false
	}
	started, err := strconv.ParseUint(fields[19], 10, 64)
	return err == nil && started == p.started
}
