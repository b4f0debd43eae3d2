package integration_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/openapi"
)

// node is a running "ingot agent", and a client of it.
type node struct {
	*agent.Agent
	registry *registry // whose programs it runs and whose models it has
	t        *testing.T
	dir      string
	args     []string
	cmd      *exec.Cmd
	log      *bytes.Buffer // what it said; read it after kill
}

// node starts an agent on an empty folder, with these flags. The file names the
// models that it keeps.
func (r *registry) node(file string, args ...string) *node {
	r.t.Helper()
	n := &node{registry: r, t: r.t, dir: r.t.TempDir(), args: args}
	if err := os.WriteFile(n.path("agent.yaml"), []byte(file), 0o666); err != nil {
		r.t.Fatal(err)
	}
	client, err := agent.New(n.path("agent.sock"), agent.Options{Client: "test"})
	if err != nil {
		r.t.Fatal(err)
	}
	n.Agent = client
	r.t.Cleanup(client.Close)
	r.t.Cleanup(n.kill)
	n.start()
	return n
}

// path is where the agent has something of that name.
func (n *node) path(name string) string { return filepath.Join(n.dir, name) }

// command prepares a run of the agent.
func (n *node) command() *exec.Cmd {
	return n.registry.command(append([]string{"agent", "--config", n.path("agent.yaml"), "--data", n.path("data"),
		"--socket", n.path("agent.sock"), "--heartbeat", "1s"}, n.args...)...)
}

// start runs the agent and returns when it takes work.
func (n *node) start() {
	n.t.Helper()
	n.log = &bytes.Buffer{}
	n.cmd = n.command()
	n.cmd.Stdout, n.cmd.Stderr = n.log, n.log
	if err := n.cmd.Start(); err != nil {
		n.t.Fatalf("start the agent: %v", err)
	}
	n.until("it takes work", func() error { return n.Ready(n.t.Context()) })
}

// kill ends the agent without giving it notice.
func (n *node) kill() {
	if n.cmd == nil {
		return
	}
	_, _ = n.cmd.Process.Kill(), n.cmd.Wait() // it was killed, so it failed
	n.cmd = nil
}

// stop ends the agent as a service manager does, and returns how it ended.
func (n *node) stop() error {
	n.t.Helper()
	if err := n.cmd.Process.Signal(os.Interrupt); err != nil {
		n.t.Fatal(err)
	}
	err := n.cmd.Wait()
	n.cmd = nil
	return err
}

// patience is how long until waits for what is only a matter of time.
const patience = 60 * time.Second

// until waits until check returns nil.
func (n *node) until(what string, check func() error) {
	n.t.Helper()
	deadline := time.Now().Add(patience)
	for {
		err := check()
		if err == nil {
			return
		}
		if time.Now().After(deadline) {
			n.kill()
			n.t.Fatalf("agent, until %s: %v\n%s", what, err, n.log)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// status returns what the agent says of itself.
func (n *node) status() openapi.NodeStatus {
	n.t.Helper()
	s, err := n.Status(n.t.Context())
	if err != nil {
		n.kill()
		n.t.Fatalf("status: %v\n%s", err, n.log)
	}
	return s
}

// model returns what the agent says of a reference, the zero value if it does not
// know it.
func (n *node) model(ref string) openapi.ModelStatus {
	n.t.Helper()
	for _, m := range n.status().Models {
		if m.Ref == ref {
			return m
		}
	}
	return openapi.ModelStatus{}
}

// untilServed waits until the agent serves ref from that version in that tier.
func (n *node) untilServed(ref, version string, from openapi.Tier) {
	n.t.Helper()
	n.until(ref+" is "+version, func() error {
		if m := n.model(ref); m.Version != version || m.Tier != from {
			return fmt.Errorf("it is %+v", m)
		}
		return nil
	})
}

// load brings a reference into a tier.
func (n *node) load(ref string, to openapi.Tier) openapi.LoadReceipt {
	n.t.Helper()
	got, err := n.Load(n.t.Context(), openapi.LoadRequest{Ref: ref, Tier: to})
	if err != nil {
		n.t.Fatalf("load %s: %v", ref, err)
	}
	return got
}

// lease leases a reference until the end of the test, or until it is closed.
func (n *node) lease(ref string) *agent.Lease {
	n.t.Helper()
	l, err := n.Lease(n.t.Context(), openapi.LeaseRequest{Ref: ref, Deadline: patience.Seconds()}, agent.LeaseOptions{})
	if err != nil {
		n.t.Fatalf("lease %s: %v", ref, err)
	}
	n.t.Cleanup(func() { _ = l.Close() }) // it may be closed already
	return l
}

// refused fails the test unless err is the agent's own, of that code, and says
// all of that.
func refused(t *testing.T, err error, code openapi.Code, says ...string) {
	t.Helper()
	sent, ok := errors.AsType[*openapi.Error](err)
	if !ok || sent.Code != code {
		t.Errorf("%v, want an error of code %s", err, code)
		return
	}
	for _, part := range says {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q does not say %q", err, part)
		}
	}
}
