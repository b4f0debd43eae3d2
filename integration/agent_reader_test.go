package integration_test

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/openapi"
)

// readerVariable makes a run of the tests a reader: its value is the socket of the
// agent and the folder that knows what versions hold, with a space between.
const readerVariable = "INGOT_TEST_READER"

// reader is a process that leases versions, and reads all that it has leased again
// and again. It ends at the first wrong byte.
type reader struct {
	t       *testing.T
	cmd     *exec.Cmd
	ask     io.WriteCloser
	answers *bufio.Scanner
	said    *strings.Builder
	leases  int
}

// reader starts a reader of n.
func (n *node) reader(known string) *reader {
	n.t.Helper()
	r := &reader{t: n.t, said: &strings.Builder{}, cmd: exec.Command(os.Args[0], "-test.run", "^TestAgentReader$")}
	r.cmd.Env = append(os.Environ(), readerVariable+"="+n.path("agent.sock")+" "+known)
	r.cmd.Stderr = r.said
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		n.t.Fatal(err)
	}
	r.answers = bufio.NewScanner(out)
	if r.ask, err = r.cmd.StdinPipe(); err == nil {
		err = r.cmd.Start()
	}
	if err != nil {
		n.t.Fatal(err)
	}
	n.t.Cleanup(r.kill)
	return r
}

// kill ends a reader as a crash would.
func (r *reader) kill() {
	if r.cmd == nil {
		return
	}
	_, _ = r.cmd.Process.Kill(), r.cmd.Wait() // it was killed, so it failed
	r.cmd, r.leases = nil, 0
}

// do has the reader do something, and returns what it says of it.
func (r *reader) do(command string) string {
	r.t.Helper()
	_, err := fmt.Fprintln(r.ask, command)
	if err == nil && r.answers.Scan() {
		return r.answers.Text()
	}
	r.kill()
	r.t.Fatalf("a reader has ended: %v\n%s", cmp.Or(err, r.answers.Err()), r.said)
	return ""
}

// lease has the reader lease ref, and returns the version, or why it got none.
func (r *reader) lease(ref string) (version, reason string) {
	r.t.Helper()
	answer := r.do("lease " + ref)
	if version, ok := strings.CutPrefix(answer, "leased "); ok {
		r.leases++
		return version, ""
	}
	return "", answer
}

// closeOldest has the reader let go what it has leased first.
func (r *reader) closeOldest() {
	r.t.Helper()
	if r.leases > 0 {
		r.do("close")
		r.leases--
	}
}

// check has the reader read everything now, which must be right.
func (r *reader) check() {
	r.t.Helper()
	if answer := r.do("check"); answer != "right" {
		r.t.Errorf("a reader with %d leases says %q", r.leases, answer)
	}
}

// remember keeps what a version holds, for readers.
func remember(t *testing.T, known, version string, s sums) {
	t.Helper()
	content, err := json.Marshal(s)
	if err == nil {
		err = os.WriteFile(filepath.Join(known, version), content, 0o666)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// TestAgentReader is a reader, where reader has started it, and no test.
func TestAgentReader(t *testing.T) {
	socket, known, ok := strings.Cut(os.Getenv(readerVariable), " ")
	if !ok {
		t.Skip("is run by other tests, as a process of its own")
	}
	a, err := agent.New(socket, agent.Options{Client: "reader"})
	if err != nil {
		t.Fatal(err)
	}
	p := &reading{agent: a, known: known, sums: map[string]sums{}}
	go p.always()
	for commands := bufio.NewScanner(os.Stdin); commands.Scan(); {
		command, argument, _ := strings.Cut(commands.Text(), " ")
		fmt.Println(p.obey(command, argument))
	}
	os.Exit(0) // nothing that a test would say is read
}

// reading is the inside of a reader.
type reading struct {
	agent *agent.Agent
	known string

	mu     sync.Mutex // protects what follows; held while bytes are read
	leases []*agent.Lease
	sums   map[string]sums // by version, as far as they were needed
}

// obey does what a command says.
func (p *reading) obey(command, argument string) string {
	switch command {
	case "lease":
		return p.lease(argument)
	case "close":
		p.mu.Lock()
		defer p.mu.Unlock()
		_ = p.leases[0].Close() // its agent may be gone
		p.leases = p.leases[1:]
		return "closed"
	case "check":
		p.check()
		return "right"
	}
	return "what is " + command
}

func (p *reading) lease(ref string) string {
	ctx, cancel := context.WithTimeout(context.Background(), patience/2)
	defer cancel()
	l, err := p.agent.Lease(ctx, openapi.LeaseRequest{Ref: ref, Deadline: 2}, agent.LeaseOptions{})
	if err != nil {
		return strings.ReplaceAll(err.Error(), "\n", " ")
	}
	p.mu.Lock()
	p.leases = append(p.leases, l)
	p.mu.Unlock()
	p.check()
	return "leased " + l.Version().String()
}

// always reads everything over and over.
func (p *reading) always() {
	for {
		p.check()
		time.Sleep(300 * time.Millisecond)
	}
}

// check reads everything that is leased, and ends the process if it is wrong.
func (p *reading) check() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.leases {
		s, err := p.sumsOf(l.Version().String())
		if err := errors.Join(err, s.check(context.Background(), l)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// sumsOf returns what a version has to hold. p.mu is held.
func (p *reading) sumsOf(version string) (s sums, err error) {
	if s, ok := p.sums[version]; ok {
		return s, nil
	}
	content, err := os.ReadFile(filepath.Join(p.known, version))
	if err == nil {
		err = json.Unmarshal(content, &s)
	}
	p.sums[version] = s
	return s, err
}
