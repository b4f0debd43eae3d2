package integration_test

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/openapi"
)

// pythonUser is a Python program that uses a version on a GPU: env/gpu.py.
type pythonUser struct {
	t       *testing.T
	cmd     *exec.Cmd
	ask     io.Writer
	answers *bufio.Scanner
	said    *strings.Builder
}

// pythonAnswer is what it says.
type pythonAnswer struct {
	Version   string            `json:"version"`
	Addresses map[string]uint64 `json:"addresses"`
	Changes   []string          `json:"changes"`
	Parked    bool              `json:"parked"`
	Stale     bool              `json:"stale"`
}

func (g *gpuNode) pythonUser(interpreter, ref string) *pythonUser {
	g.t.Helper()
	u := &pythonUser{t: g.t, said: &strings.Builder{}}
	cmd := exec.Command(interpreter, "env/gpu.py", g.path("agent.sock"), g.known, ref, g.uuid)
	cmd.Env = append(os.Environ(), "PYTHONPATH=../python/src", "PYTHONDONTWRITEBYTECODE=1", "FAKECUDA_ROLE=client")
	cmd.Stderr = u.said
	in, err := cmd.StdinPipe()
	out, also := cmd.StdoutPipe()
	if err := errors.Join(err, also, cmd.Start()); err != nil {
		g.t.Fatal(err)
	}
	u.cmd, u.ask, u.answers = cmd, in, bufio.NewScanner(out)
	u.answers.Buffer(nil, 1<<20)
	g.t.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() }) // it was killed, so it failed
	return u
}

// do has the program do something, which has to go well.
func (u *pythonUser) do(what string) (a pythonAnswer) {
	u.t.Helper()
	_, err := fmt.Fprintln(u.ask, what)
	if err == nil && u.answers.Scan() {
		err = json.Unmarshal(u.answers.Bytes(), &a)
	} else {
		err = cmp.Or(err, u.answers.Err(), io.EOF)
	}
	if err != nil {
		u.t.Fatalf("the Python program at %q: %v\n%s", what, err, u.said)
	}
	return a
}

// close has the program end its lease, and itself.
func (u *pythonUser) close() {
	u.t.Helper()
	_, err := fmt.Fprintln(u.ask, "close")
	if err = cmp.Or(err, u.cmd.Wait()); err != nil {
		u.t.Errorf("the Python program ends: %v\n%s", err, u.said)
	}
}

// TestGPUPythonFake takes a version all the way to the tensors of a Python program,
// which has others in their place as it runs.
func TestGPUPythonFake(t *testing.T) {
	interpreter := python(t)
	g := fakeGPU(t, 512*mib, 400*mib, "")
	g.onto(modelA)
	u := g.pythonUser(interpreter, modelA)
	first := u.do("check")
	if first.Version != versionOf(modelA) {
		t.Errorf("what is attached: %+v", first)
	}
	u.do("keep")
	g.load(modelB, openapi.TierRAM)
	changed, all := differ(modelB, modelA)
	before := g.traffic()
	g.moved(g.swap(modelA, modelB), before, openapi.SwapReceipt{Kind: openapi.SwapInPlace, BytesUploaded: changed,
		BytesReused: all - changed, SlabsTotal: 3, SlabsShared: 2, SlabsInPlace: 1, Leases: 1})
	now := u.do("check")
	if now.Version != versionOf(modelB) || !maps.Equal(now.Addresses, first.Addresses) {
		t.Errorf("after a swap in place the version is %s, and its tensors are at %v; they were at %v", now.Version, now.Addresses, first.Addresses)
	}
	if u.do("stale").Stale {
		t.Error("a tensor that is where it was cannot be read")
	}
	g.load(other, openapi.TierRAM)
	g.swap(modelB, other)
	if now = u.do("check"); now.Version != versionOf(other) {
		t.Errorf("after a swap for another model: %+v", now)
	}
	if !u.do("stale").Stale {
		t.Error("a tensor of a model that is gone can be read")
	}
	u.do("detach")
	g.untilFreed(other)
	g.untilFreed(modelB)
	g.untilUsed(0)
	u.do("reattach")
	if now = u.do("check"); now.Version != versionOf(other) || now.Parked {
		t.Errorf("after it was attached again: %+v", now)
	}
	g.swap(other, modelA)
	if now = u.do("check"); now.Version != versionOf(modelA) || !maps.Equal(now.Addresses, first.Addresses) {
		t.Errorf("back at the first: %+v", now)
	}
	if want := []string{versionOf(modelB), versionOf(other), versionOf(modelA)}; !slices.Equal(now.Changes, want) {
		t.Errorf("it was told of %v, want %v", now.Changes, want)
	}
	u.close()
	g.ended()
}
