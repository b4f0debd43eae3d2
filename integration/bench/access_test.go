package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/integration/measure"
)

// BenchmarkAccess pushes and pulls a model through a registry that wants tokens and
// through one that does not, in turn, so that both see the same machine. It reports how
// much longer the first takes, as a part of the second: at most 0.03 is wanted. In
// processor time of client and registry it does not mind what else runs.
// INGOT_BENCH_MIB (256) is the size of the model; -benchtime 10x takes ten pairs.
func BenchmarkAccess(b *testing.B) {
	mib, err := strconv.ParseInt(env("INGOT_BENCH_MIB", "256"), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	p := &pairs{b: b, work: b.TempDir()}
	p.model = filepath.Join(p.work, "model")
	if err := synth.Write(b.Context(), p.model, synth.ForSize(mib<<20)); err != nil {
		b.Fatal(err)
	}
	over := map[string][]float64{}
	p.round("open") // warms what both use
	for i := 0; b.Loop(); i++ {
		order := []string{"open", "tokens"}
		if i%2 == 1 {
			order = []string{"tokens", "open"}
		}
		got := map[string]took{}
		for _, access := range order {
			got[access] = p.round(access)
		}
		with, without := got["tokens"], got["open"]
		b.Logf("open: push %v, pull %v; tokens: push %v, pull %v", without.push, without.pull, with.push, with.pull)
		for name, v := range map[string]float64{
			"push-over": ratio(with.push.wall, without.push.wall), "push-over-cpu": ratio(with.push.cpu, without.push.cpu),
			"pull-over": ratio(with.pull.wall, without.pull.wall), "pull-over-cpu": ratio(with.pull.cpu, without.pull.cpu),
		} {
			over[name] = append(over[name], v-1)
		}
	}
	for name, values := range over {
		b.ReportMetric(measure.Median(values), name)
	}
	b.ReportMetric(0, "ns/op") // of a pair of rounds it says nothing
}

// pairs is what the rounds have in common.
type pairs struct {
	b           *testing.B
	work, model string
}

// round runs a new registry with that access, pushes the model, and pulls it.
func (p *pairs) round(access string) (t took) {
	p.b.Helper()
	server, environ := p.serve(access)
	pulled := filepath.Join(p.work, "pulled")
	defer func() {
		_, _ = server.Process.Kill(), server.Wait() // it is of no use any more
		for _, dir := range []string{"data", "home", "pulled"} {
			if err := os.RemoveAll(filepath.Join(p.work, dir)); err != nil {
				p.b.Error(err)
			}
		}
	}()
	t.push = p.clock(server, environ, "push", p.model, "bench/model:base", "--quiet")
	t.pull = p.clock(server, environ, "pull", "bench/model:base", pulled, "--no-cache", "--quiet")
	return t
}

// serve runs a registry, and returns what its clients are told.
func (p *pairs) serve(access string) (server *exec.Cmd, environ []string) {
	p.b.Helper()
	environ = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(p.work, "home")}
	server = exec.Command(p.program(), "serve", "--listen", "127.0.0.1:0", "--data", filepath.Join(p.work, "data"),
		"--access", access, "--json", "--log-level", "error", "--gc-every", "none", "--scrub-every", "none", "--compact-every", "none")
	server.Env = environ
	server.Stderr = os.Stderr
	out, err := server.StdoutPipe()
	if err != nil {
		p.b.Fatal(err)
	}
	if err := server.Start(); err != nil {
		p.b.Fatalf("start the registry (make build makes it): %v", err)
	}
	var ready struct {
		Address string `json:"address"`
		Token   string `json:"admin_token"`
	}
	if err := json.NewDecoder(out).Decode(&ready); err != nil {
		p.b.Fatal(err)
	}
	if (ready.Token != "") != (access == "tokens") {
		p.b.Fatalf("with access %s the registry has made the token %q", access, ready.Token)
	}
	return server, append(environ, "INGOT_REGISTRY=http://"+ready.Address, "INGOT_TOKEN="+ready.Token)
}

func (p *pairs) program() string {
	p.b.Helper()
	path, err := filepath.Abs("../../bin/ingot")
	if err != nil {
		p.b.Fatal(err)
	}
	return path
}

// clock returns what a command costs, and what the registry spends on it.
func (p *pairs) clock(server *exec.Cmd, environ []string, args ...string) (c cost) {
	p.b.Helper()
	if err := measure.Shell(nil, "sync"); err != nil {
		p.b.Fatal(err)
	}
	cmd := exec.Command(p.program(), args...)
	cmd.Env = environ
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	before, err := measure.Running(server.Process.Pid)
	if err != nil {
		p.b.Fatal(err)
	}
	began := time.Now()
	if err := cmd.Run(); err != nil {
		p.b.Fatalf("ingot %q: %v\n%s", args, err, said.String())
	}
	c.wall = time.Since(began)
	after, err := measure.Running(server.Process.Pid)
	if err != nil {
		p.b.Fatal(err)
	}
	used, ok := cmd.ProcessState.SysUsage().(*syscall.Rusage)
	if !ok {
		p.b.Fatal(fmt.Errorf("no usage of ingot %q", args))
	}
	c.cpu = after.CPU - before.CPU + time.Duration(used.Utime.Nano()+used.Stime.Nano())
	return c
}

func (c cost) String() string {
	return fmt.Sprintf("%.2f s (%.2f s of processors)", c.wall.Seconds(), c.cpu.Seconds())
}
