package cudatest_test

import (
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/cuda/cudatest"
)

func TestFakeFaultsOverProcesses(t *testing.T) {
	s := cudatest.Use(t, cudatest.Options{Fail: "cuDeviceGetCount:5=2,cuDeviceGetCount:7+=3"})
	if got := fine(t, "count", "3"); got != "0 0 0 " {
		t.Errorf("first process: %s", got)
	}
	if got := fine(t, "count", "5"); got != "0 2 0 3 3 " {
		t.Errorf("second process: %s", got)
	}
	if got := s.Calls("cuDeviceGetCount"); got != 8 {
		t.Errorf("%d calls, want 8", got)
	}
	if got := s.TotalCalls(); got != 10 {
		t.Errorf("%d calls of all, want 10", got)
	}
	s.Reset("#3=999")
	if got := s.TotalCalls(); got != 0 {
		t.Errorf("%d calls after a reset", got)
	}
	if got := fine(t, "count", "3"); got != "0 999 0 " { // cuInit is the first
		t.Errorf("third process: %s", got)
	}
}

// TestFakeFaultHitsOnce has two processes race for the same fault.
func TestFakeFaultHitsOnce(t *testing.T) {
	cudatest.Use(t, cudatest.Options{Fail: "cuDeviceGetCount:5000=2"})
	var group sync.WaitGroup
	results := make([]string, 2)
	for i := range results {
		r := start(t, nil, "count", "4000")
		group.Go(func() { results[i], _ = r.wait() })
	}
	group.Wait()
	if got := strings.Count(strings.Join(results, ""), "2 "); got != 1 {
		t.Errorf("the fault came %d times, want once", got)
	}
}

func TestFakeFaultOfRole(t *testing.T) {
	cudatest.Use(t, cudatest.Options{Fail: "@mover:cuDeviceGetCount:1=700,@other:#1+=1"})
	if got := fine(t, "role"); got != "0" {
		t.Errorf("a process without a role gets %s", got)
	}
	t.Setenv("FAKECUDA_ROLE", "mover")
	if got := fine(t, "role"); got != "700" {
		t.Errorf("a mover gets %s", got)
	}
	if got := fine(t, "role"); got != "0" {
		t.Errorf("the next mover gets %s", got)
	}
}

// TestFakeRoles counts calls by what processes are for, those that failed too.
func TestFakeRoles(t *testing.T) {
	s := cudatest.Use(t, cudatest.Options{Fail: "@count:#3=2,@engine:cuInit:1=kill"})
	if got := fine(t, "count", "4"); got != "0 2 0 0 " {
		t.Errorf("the first word of a command as its role: %s", got)
	}
	fine(t, "count", "2")
	if _, err := start(t, []string{"FAKECUDA_ROLE=engine"}, "count", "1").wait(); err == nil {
		t.Error("the engine was not killed")
	}
	for role, want := range map[string]int{"count": 8, "engine": 1, "mover": 0} {
		if got := s.RoleCalls(role); got != want {
			t.Errorf("%d calls by %s, want %d", got, role, want)
		}
	}
	s.Reset("")
	if got := s.RoleCalls("count"); got != 0 {
		t.Errorf("%d calls after a reset", got)
	}
}

func TestFakeFaultKills(t *testing.T) {
	s := cudatest.Use(t, cudatest.Options{Fail: "cuDeviceGetCount:2=kill"})
	r := start(t, nil, "count", "5")
	text, _ := r.wait()
	if status := r.cmd.ProcessState.Sys().(syscall.WaitStatus); text != "" || status.Signal() != syscall.SIGKILL {
		t.Errorf("printed %q, ended by %v, want SIGKILL", text, status.Signal())
	}
	if got := fine(t, "count", "2"); got != "0 0 " {
		t.Errorf("the next process: %s", got)
	}
	if got := s.Calls("cuDeviceGetCount"); got != 4 {
		t.Errorf("%d calls, want 4", got)
	}
}

func TestFakeFaultHangs(t *testing.T) {
	s := cudatest.Use(t, cudatest.Options{Fail: "cuDeviceGetCount:1=hang"})
	r := start(t, nil, "hang")
	if got := r.line(); got != "ready" {
		t.Fatal(got)
	}
	for s.Calls("cuDeviceGetCount") == 0 {
		time.Sleep(time.Millisecond)
	}
	r.kill()
	if got := fine(t, "count", "1"); got != "0 " {
		t.Errorf("the next process: %s", got)
	}
}

// TestFakeFaultOfWork lets a copy fail as it runs: the call that asked for it had
// succeeded, and the next wait says so.
func TestFakeFaultOfWork(t *testing.T) {
	s := cudatest.Use(t, cudatest.Options{Lazy: true, Fail: "work:2=719"})
	r := start(t, nil, "copies")
	text, err := r.wait()
	if err == nil || !strings.Contains(text, "gives 719, want 0") {
		t.Errorf("%v: %s", err, text)
	}
	if got := s.Copies(cudatest.H2D); got != 2 {
		t.Errorf("%d copies asked for, want 2", got)
	}
}

// TestFakeFaultCorrupts has work of each kind write a wrong byte.
func TestFakeFaultCorrupts(t *testing.T) {
	s := cudatest.Use(t, cudatest.Options{Memory: 32 * mib})
	if got := fine(t, "spoiled"); got != "0 0 0 0\n" {
		t.Errorf("without a fault %s", got)
	}
	for i, want := range []string{"1 1 1 0\n", "0 1 1 0\n", "0 0 1 0\n", "0 0 0 1\n"} {
		s.Reset("work:" + strconv.Itoa(i+1) + "=corrupt")
		if got := fine(t, "spoiled"); got != want {
			t.Errorf("piece %d: %s, want %s", i+1, got, want)
		}
	}
}

func TestFakeFaultsNonsense(t *testing.T) {
	s := cudatest.Use(t, cudatest.Options{})
	for _, bad := range []string{"cuMemCreate", "cuMemCreate=2", "cuMemCreate:0=2", "cuNothing:1=2", "cuMemCreate:1=",
		"cuMemCreate:1=0", "cuMemCreate:1=die", "@mover:cuMemCreate:x=2", "@:cuMemCreate:1=2", "#=2", "cuMemCreate:1=2,,", "cuMemCreate:1=corrupt", "#1=corrupt",
		strings.Repeat("cuMemCreate:1=2,", 80) + "#1=2"} {
		if err := s.State.Reset(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
	for _, good := range []string{"", "cuMemCreate:12+=kill", "@mover:#3=hang,work:1=700,work:2=corrupt,@a-b.c:cuMemMap:2=1"} {
		if err := s.State.Reset(good); err != nil {
			t.Errorf("%q: %v", good, err)
		}
	}
}

// TestFakeFaultsNonsenseOfEnvironment ends a process that is told nonsense: a fault
// that never comes would let a test pass.
func TestFakeFaultsNonsenseOfEnvironment(t *testing.T) {
	cudatest.Library(t)
	for _, bad := range []string{"cuMemCreate", "cuMemCreate=2", "cuMemCreate:0=2", "cuMemCreate:x=2", "cuMemCreate:1-=2",
		"cuNothing:1=2", "cuMemCreate:1=0", "cuMemCreate:1=die", "cuMemCreate:1=2x", "cuMemCreate:1=corrupt", "@mover", strings.Repeat("#1=2,", 80),
		"@" + strings.Repeat("m", 40) + ":#1=2", strings.Repeat("x", 5000)} {
		r := start(t, []string{"FAKECUDA_STATE=", "FAKECUDA_FAIL=" + bad}, "count", "1")
		if _, err := r.wait(); err == nil || !strings.Contains(r.stderr.String(), "fault") && !strings.Contains(r.stderr.String(), "too long") {
			t.Errorf("%q: %v, on stderr %q", bad, err, r.stderr.String())
		}
	}
}

func TestFakeCounters(t *testing.T) {
	s := cudatest.Use(t, cudatest.Options{Memory: 32 * mib})
	fine(t, "copies")
	for _, c := range []struct {
		kind   cudatest.Kind
		copies int
		bytes  int64
	}{{cudatest.H2D, 2, 1024}, {cudatest.D2D, 1, 300}, {cudatest.D2H, 1, 50}, {cudatest.Set, 1, 7}} {
		if got := s.Copies(c.kind); got != c.copies {
			t.Errorf("kind %d: %d copies, want %d", c.kind, got, c.copies)
		}
		if got := s.Bytes(c.kind); got != c.bytes {
			t.Errorf("kind %d: %d bytes, want %d", c.kind, got, c.bytes)
		}
	}
	fine(t, "batch")
	if got, calls := s.Copies(cudatest.H2D), s.Calls("cuMemcpyBatchAsync_v2"); got != 5 || calls != 16 {
		t.Errorf("%d copies by %d calls, want 5 by 16", got, calls)
	}
	if got := s.TotalCalls(); got == 0 {
		t.Error("no calls in total")
	}
}

// TestFakeWithoutState is what a program has that is given the library alone.
func TestFakeWithoutState(t *testing.T) {
	cudatest.Library(t)
	t.Setenv("FAKECUDA_STATE", "")
	t.Setenv("FAKECUDA_MEM", "0x2000000")
	t.Setenv("FAKECUDA_DEVICES", "2")
	t.Setenv("FAKECUDA_FAIL", "cuDeviceGetCount:2=2")
	if got := fine(t, "count", "3"); got != "0 2 0 " {
		t.Error(got)
	}
	t.Setenv("FAKECUDA_FAIL", "")
	fine(t, "creation")
	fine(t, "peers")
}

// TestFakeStateOfEnvironment has the first process make the state, as a test does that
// is not written in Go.
func TestFakeStateOfEnvironment(t *testing.T) {
	cudatest.Library(t)
	t.Setenv("FAKECUDA_STATE", t.TempDir()+"/state")
	t.Setenv("FAKECUDA_FAIL", "cuDeviceGetCount:3=2")
	if got := fine(t, "count", "2"); got != "0 0 " {
		t.Error(got)
	}
	if got := fine(t, "count", "2"); got != "2 0 " {
		t.Error(got)
	}
}
