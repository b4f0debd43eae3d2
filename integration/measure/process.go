package measure

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Usage is what a process has used: its own time on all processors, and the most
// memory it ever had resident.
type Usage struct {
	CPU  time.Duration
	Peak float64 // MiB
}

// Run runs a command to its end and returns what it used. The peak is looked up
// while it runs, every 20 ms: what the system reports at the end counts the
// memory that the parent had when it forked.
func Run(cmd *exec.Cmd) (Usage, error) {
	if err := cmd.Start(); err != nil {
		return Usage{}, err
	}
	done, peak := make(chan struct{}), make(chan float64)
	go func() { peak <- watch(cmd.Process.Pid, done) }()
	err := cmd.Wait()
	close(done)
	return Usage{CPU: cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime(), Peak: <-peak}, err
}

// watch returns the last peak that it sees before done.
func watch(pid int, done <-chan struct{}) (peak float64) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return peak
		case <-tick.C:
			if u, err := Running(pid); err == nil { // it may have ended
				peak = max(peak, u.Peak)
			}
		}
	}
}

// Running returns the usage of a process that runs.
func Running(pid int) (Usage, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return Usage{}, fmt.Errorf("ask for the usage of process %d: %w", pid, err)
	}
	// The name in brackets may hold anything; the fields behind it are numbers.
	fields := strings.Fields(string(stat[strings.LastIndexByte(string(stat), ')')+1:]))
	const userTime, systemTime, ticks = 11, 12, 100
	var cpu time.Duration
	for _, i := range []int{userTime, systemTime} {
		n, err := strconv.ParseInt(fields[i], 10, 64)
		if err != nil {
			return Usage{}, fmt.Errorf("read the usage of process %d: %w", pid, err)
		}
		cpu += time.Duration(n) * time.Second / ticks
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Usage{}, fmt.Errorf("ask for the memory of process %d: %w", pid, err)
	}
	u := Usage{CPU: cpu}
	for line := range strings.Lines(string(status)) {
		if kib, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseFloat(strings.Fields(kib)[0], 64)
			if err != nil {
				return Usage{}, fmt.Errorf("read the memory of process %d: %w", pid, err)
			}
			u.Peak = n / 1024
		}
	}
	return u, nil
}

// Memcpy returns the processor time to copy that many bytes once, from memory to
// memory, in pieces of a chunk's length that do not fit a cache together.
func Memcpy(bytes int64) time.Duration {
	const piece, pieces = 2 << 20, 64
	src, dst := make([]byte, piece*pieces), make([]byte, piece*pieces)
	for i := range src {
		src[i] = byte(i * 7)
	}
	copy(dst, src) // backs the pages
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	const rounds = 8
	begin := threadTime()
	for range rounds {
		for at := 0; at < len(src); at += piece {
			copy(dst[at:at+piece], src[at:at+piece])
		}
	}
	perByte := float64(threadTime()-begin) / float64(rounds*len(src))
	return time.Duration(perByte * float64(bytes))
}

// threadTime is the processor time of this thread: what others take does not
// count.
func threadTime() time.Duration {
	var r syscall.Rusage
	const thread = 1 // RUSAGE_THREAD
	if err := syscall.Getrusage(thread, &r); err != nil {
		return 0
	}
	return time.Duration(r.Utime.Nano() + r.Stime.Nano())
}
