package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"
)

// process is ingot as a process of its own, that said it is ready.
type process struct {
	cmd   *exec.Cmd
	log   bytes.Buffer
	ready map[string]string // what it said
}

// startProcess starts ingot in a folder, and waits until it is ready.
func startProcess(dir string, env []string, args ...string) (*process, error) {
	p := &process{cmd: exec.Command("ingot", append(args, "--json")...)}
	p.cmd.Dir, p.cmd.Env, p.cmd.Stderr = dir, env, &p.log
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	if err := json.NewDecoder(out).Decode(&p.ready); err != nil {
		_, _ = p.cmd.Process.Kill(), p.cmd.Wait() // it was killed, so it failed
		return nil, fmt.Errorf("%v is not ready: %w\n%s", args, err, &p.log)
	}
	return p, nil
}

// stop tells the process to end, which is no failure, and returns its log.
func (p *process) stop() (log string, err error) {
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		return "", err
	}
	if err := p.cmd.Wait(); err != nil {
		return "", fmt.Errorf("told to end, it ended with %w\n%s", err, &p.log)
	}
	return p.log.String(), nil
}

// agentKey is where a script keeps its agent.
type agentKey struct{}

type scriptAgent struct{ running *process }

// agent ARGS... runs an agent beside a script, which INGOT_AGENT names. agent stop
// ends it, and fails if it does not end well.
func runAgent(ts *testscript.TestScript, neg bool, args []string) {
	if neg {
		ts.Fatalf("usage: agent ARGS... | agent stop")
	}
	a := ts.Value(agentKey{}).(*scriptAgent)
	if len(args) == 1 && args[0] == "stop" {
		log, err := a.running.stop()
		a.running = nil
		ts.Logf("%s", log)
		ts.Check(err)
		return
	}
	var env []string
	for _, name := range []string{"PATH", "HOME", "XDG_RUNTIME_DIR", "INGOT_REGISTRY"} {
		env = append(env, name+"="+ts.Getenv(name))
	}
	p, err := startProcess(ts.MkAbs("."), env, append([]string{"agent"}, args...)...)
	ts.Check(err)
	a.running = p
	ts.Setenv("INGOT_AGENT", p.ready["socket"])
	ts.Defer(func() {
		if a.running == p { // the script has failed
			log, err := p.stop()
			ts.Logf("%s%v", log, err)
		}
	})
}

// TestGate runs the program as an operator does: a service that needs a model, an
// agent that has to fetch it, and a gate between.
func TestGate(t *testing.T) {
	registry, stopRegistry, err := startRegistry(filepath.Join(t.TempDir(), "registry"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stopRegistry(); err != nil {
			t.Error(err)
		}
	})
	home := t.TempDir()
	env := map[string]string{"HOME": home, "INGOT_REGISTRY": registry, "INGOT_AGENT": filepath.Join(home, "agent.sock")}
	if got := call(t.Context(), env, "push", "serve_test.go", "acme/file"); got.code != exitDone {
		t.Fatalf("push: %+v", got)
	}
	agent, err := startProcess(home, environ(env), "agent", "--socket", env["INGOT_AGENT"], "--ram", "16MiB", "--disk", "16MiB")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if log, err := agent.stop(); err != nil || t.Failed() {
			t.Errorf("agent: %v\n%s", err, log)
		}
	})
	service := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) { fmt.Fprint(w, q.URL.Path) }))
	defer service.Close()
	for model, want := range map[string]struct {
		code   int
		body   string
		leased bool
	}{
		"acme/file": {http.StatusOK, "/v1/x", true},
		"acme/none": {http.StatusServiceUnavailable, "acme/none:main: not found", false},
	} {
		g, err := startProcess(home, environ(env), "gate", "--listen", "127.0.0.1:0", "--metrics", "127.0.0.1:0", "--upstream", service.URL, "--model", model)
		if err != nil {
			t.Fatal(err)
		}
		code, body := fetch(t, "http://"+g.ready["address"]+"/v1/x")
		if code != want.code || !strings.Contains(body, want.body) {
			t.Errorf("%s: %d %s", model, code, body)
		}
		if got := call(t.Context(), env, "status", "--json"); want.leased && !strings.Contains(got.stdout, `"leases": 1`) {
			t.Errorf("%s: while the gate holds it, the agent says %+v", model, got)
		}
		if code, body := fetch(t, g.ready["metrics"]); code != http.StatusOK || !strings.Contains(body, "ingot_gate_waiting 0") {
			t.Errorf("%s: metrics: %d %s", model, code, body)
		}
		if _, err := g.stop(); err != nil {
			t.Error(err)
		}
	}
}

// fetch returns the answer to a GET.
func fetch(t *testing.T, url string) (code int, body string) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	text, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r.StatusCode, string(text)
}
