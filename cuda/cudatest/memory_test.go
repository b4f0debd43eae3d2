//go:build linux

package cudatest_test

import (
	"errors"
	"os"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/cuda/cudatest"
	"github.com/ingot-ml/ingot/cuda/cudatest/fakecuda"
)

// TestFakeMemoryOfDeadProcesses takes memory in several processes, each holding it in
// another way, and kills them.
func TestFakeMemoryOfDeadProcesses(t *testing.T) {
	s := cudatest.Use(t, cudatest.Options{Memory: 64 * mib})
	runs := map[string]*run{}
	for i, how := range []string{"handle", "mapping", "descriptor"} {
		runs[how] = start(t, nil, "hold", how)
		if got := runs[how].line(); got != "ready" {
			t.Fatal(got)
		}
		if got, want := s.Used(0), int64(i+1)*slab; got != want {
			t.Errorf("%d bytes taken with a %s more, want %d", got, how, want)
		}
	}
	if got := len(s.Live()); got != 3 {
		t.Errorf("%d processes, want 3", got)
	}
	for i, how := range []string{"mapping", "descriptor", "handle"} {
		runs[how].kill()
		if got, want := s.Used(0), int64(2-i)*slab; got != want {
			t.Errorf("%d bytes taken after the %s died, want %d", got, how, want)
		}
	}
	if got := s.Live(); len(got) != 0 {
		t.Errorf("dead processes are live: %+v", got)
	}
}

// TestFakeMemoryOfDescriptors keeps memory alive by a descriptor in a process that has
// never used the driver, and hands it to another process.
func TestFakeMemoryOfDescriptors(t *testing.T) {
	s := cudatest.Use(t, cudatest.Options{Devices: 2, Memory: 64 * mib})
	holder := start(t, nil, "hold", "descriptor")
	if got := holder.line(); got != "ready" {
		t.Fatal(got)
	}
	file := descriptorOf(t, holder.cmd.Process.Pid)
	holder.kill()
	if got := s.Used(0); got != slab {
		t.Fatalf("%d bytes taken while a descriptor is open, want %d", got, slab)
	}
	blind := startWith(t, []string{"CUDA_VISIBLE_DEVICES=1"}, file, "importer_refused")
	blind.exits(t, 0)
	importer := startWith(t, []string{"CUDA_VISIBLE_DEVICES=1,0"}, file, "importer", "1")
	if got := importer.line(); got != "165" {
		t.Fatalf("the first byte of new memory is %s, want the poison", got)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if got := s.Used(0); got != slab {
		t.Errorf("%d bytes taken while a mapping is there, want %d", got, slab)
	}
	if got := s.Used(1); got != 0 {
		t.Errorf("%d bytes of the other device taken", got)
	}
	if text, err := importer.wait(); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if got := s.Used(0); got != 0 {
		t.Errorf("%d bytes taken by nobody", got)
	}
}

// descriptorOf gets the descriptor of device memory out of a process, so that it is
// held here as if it had come through a socket.
func descriptorOf(t *testing.T, pid int) *os.File {
	t.Helper()
	pidfd, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = unix.Close(pidfd) }()
	for fd := 3; fd < 64; fd++ {
		name, err := os.Readlink("/proc/" + strconv.Itoa(pid) + "/fd/" + strconv.Itoa(fd))
		if err != nil || name != "/memfd:fakecuda-memory-0 (deleted)" {
			continue
		}
		got, err := unix.PidfdGetfd(pidfd, fd, 0)
		if err != nil {
			t.Fatal(err)
		}
		return os.NewFile(uintptr(got), name)
	}
	t.Fatal("the process has no descriptor of device memory")
	return nil
}

func TestFakeOccupy(t *testing.T) {
	s := cudatest.Use(t, cudatest.Options{Devices: 2, Memory: 32 * mib})
	release := s.Occupy(0, 31*mib)
	if _, err := s.State.Occupy(0, slab); !errors.Is(err, fakecuda.ErrFull) {
		t.Errorf("%v, want %v", err, fakecuda.ErrFull)
	}
	start(t, nil, "hold", "handle").exits(t, 1)
	if got := s.Used(0); got != 31*mib {
		t.Errorf("%d bytes taken, want %d", got, 31*mib)
	}
	release()
	if got := s.Used(0); got != 0 {
		t.Errorf("%d bytes taken after release", got)
	}
	start(t, nil, "hold", "handle").exits(t, 0)
}

// exits lets a run go on to its end and wants it to exit with a code.
func (r *run) exits(t *testing.T, code int) {
	t.Helper()
	text, _ := r.wait()
	if got := r.cmd.ProcessState.ExitCode(); got != code {
		t.Errorf("exit code %d, want %d: %s", got, code, text)
	}
}

// TestFakeManyPieces has more pieces than one reading of /proc/locks lists at once.
func TestFakeManyPieces(t *testing.T) {
	s := cudatest.Use(t, cudatest.Options{Memory: 1 << 40})
	var all []func()
	for range 300 {
		all = append(all, s.Occupy(0, slab))
	}
	for i, release := range all {
		if i%3 == 0 {
			release()
		}
	}
	if got, want := s.Used(0), int64(200*slab); got != want {
		t.Errorf("%d bytes taken, want %d", got, want)
	}
	for _, release := range all {
		release()
	}
	if got := s.Used(0); got != 0 {
		t.Errorf("%d bytes taken after release", got)
	}
}

// TestFakeStress wants nothing left after threads did everything at once.
func TestFakeStress(t *testing.T) {
	s := cudatest.Use(t, cudatest.Options{Memory: 64 * mib})
	r := start(t, nil, "stress")
	if got := r.line(); got != "ready" {
		t.Fatal(got)
	}
	live := s.Live()
	if len(live) != 1 || !live[0].Empty() || live[0].Contexts != 1 {
		t.Errorf("left: %+v", live)
	}
	if got := s.Used(0); got != 0 {
		t.Errorf("%d bytes taken", got)
	}
	if text, err := r.wait(); err != nil {
		t.Errorf("%v: %s%s", err, text, r.stderr.String())
	}
	if got := s.Bytes(cudatest.H2D); got != 8*40*slab {
		t.Errorf("%d bytes copied, want %d", got, 8*40*slab)
	}
}

// TestFakeOpenDescriptors sees a descriptor that a process has not closed.
func TestFakeOpenDescriptors(t *testing.T) {
	s := cudatest.Use(t, cudatest.Options{Memory: 32 * mib})
	for how, want := range map[string]int{"handle": 0, "mapping": 0, "descriptor": 1} {
		r := start(t, nil, "hold", how)
		r.line()
		live := s.Live()
		if len(live) != 1 || live[0].Descriptors != want || live[0].Empty() {
			t.Errorf("with a %s: %+v", how, live)
		}
		r.kill()
	}
}

// TestFakeBudgetOfAll has processes take all that they get, at the same time, and be
// killed: never do they have more than there is, and afterwards all of it is free.
func TestFakeBudgetOfAll(t *testing.T) {
	s := cudatest.Use(t, cudatest.Options{Memory: 32 * mib})
	for range 3 {
		var runs []*run
		for range 3 {
			runs = append(runs, start(t, nil, "grab"))
		}
		slabs := 0
		for _, r := range runs {
			n, err := strconv.Atoi(r.line())
			if err != nil {
				t.Fatal(err)
			}
			slabs += n
		}
		if slabs != 16 || s.Used(0) != 32*mib {
			t.Errorf("%d slabs, %d bytes are taken of 16 slabs", slabs, s.Used(0))
		}
		for _, r := range runs {
			r.kill()
		}
		if got := s.Used(0); got != 0 {
			t.Errorf("%d bytes taken by dead processes", got)
		}
	}
}

// TestFakeKilledAnywhere kills a process that does everything at once, at some moment.
func TestFakeKilledAnywhere(t *testing.T) {
	s := cudatest.Use(t, cudatest.Options{Memory: 32 * mib})
	for i := range 6 {
		s.Reset("#" + strconv.Itoa(100+400*i) + "=kill")
		r := start(t, nil, "stress")
		if _, err := r.wait(); err == nil {
			t.Errorf("run %d was not killed", i)
		}
		if got := s.Used(0); got != 0 {
			t.Errorf("run %d: %d bytes taken by nobody", i, got)
		}
		fine(t, "creation")
	}
}

// TestFakeLeaks counts what a process holds, of each kind.
func TestFakeLeaks(t *testing.T) {
	s := cudatest.Use(t, cudatest.Options{Memory: 64 * mib})
	r := start(t, []string{"FAKECUDA_ROLE=engine"}, "ended_context")
	if got := r.line(); got != "ready" {
		t.Fatal(got)
	}
	want := cudatest.Process{PID: r.cmd.Process.Pid, Role: "engine", Contexts: 1, Mappings: 1, Reservations: 1, Writable: 1}
	if got := s.Live(); len(got) != 1 || got[0] != want || got[0].Empty() {
		t.Errorf("live %+v, want %+v", got, want)
	}
	if _, err := r.wait(); err != nil {
		t.Error(err)
	}
}
