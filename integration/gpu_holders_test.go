package integration_test

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/openapi"
)

// holder is a process that leases a version on a GPU and reads all of it again and
// again. It ends at the first wrong byte.
type holder struct {
	t       *testing.T
	cmd     *exec.Cmd
	ask     io.WriteCloser
	answers *bufio.Scanner
	said    *strings.Builder
}

// holder starts a holder of n.
func (g *gpuNode) holder() *holder {
	g.t.Helper()
	h := &holder{t: g.t, said: &strings.Builder{}, cmd: exec.Command(os.Args[0], "-test.run", "^TestGPUHolder$")}
	h.cmd.Env = append(os.Environ(), holderVariable+"="+g.path("agent.sock")+" "+g.known, "FAKECUDA_ROLE=client")
	h.cmd.Stderr = h.said
	out, err := h.cmd.StdoutPipe()
	if err != nil {
		g.t.Fatal(err)
	}
	h.answers = bufio.NewScanner(out)
	h.answers.Buffer(nil, 1<<20)
	if h.ask, err = h.cmd.StdinPipe(); err == nil {
		err = h.cmd.Start()
	}
	if err != nil {
		g.t.Fatal(err)
	}
	g.t.Cleanup(h.kill)
	return h
}

// attached starts a holder that has this lease.
func (g *gpuNode) attached(q openapi.LeaseRequest) *holder {
	g.t.Helper()
	h := g.holder()
	h.must(order{Do: "attach", Lease: q})
	return h
}

// kill ends a holder as a crash would.
func (h *holder) kill() {
	if h.cmd == nil {
		return
	}
	_, _ = h.cmd.Process.Kill(), h.cmd.Wait() // it was killed, so it failed
	h.cmd = nil
}

// do has the holder do something, and returns what it says of it. A holder that does
// not answer has ended, which it does at a wrong byte.
func (h *holder) do(o order) (reply, error) {
	var a reply
	line, err := json.Marshal(o)
	if err == nil {
		_, err = h.ask.Write(append(line, '\n'))
	}
	if err == nil && h.answers.Scan() {
		if err = json.Unmarshal(h.answers.Bytes(), &a); err == nil {
			return a, nil
		}
	}
	return a, fmt.Errorf("a holder has ended at %q: %w, %q", o.Do, cmp.Or(err, h.answers.Err(), io.EOF), h.answers.Text())
}

// try has the holder do something, which may go wrong.
func (h *holder) try(o order) reply {
	h.t.Helper()
	a, err := h.do(o)
	return h.lives(a, err)
}

func (h *holder) lives(a reply, err error) reply {
	h.t.Helper()
	if err != nil {
		h.kill()
		h.t.Fatalf("%v\n%s", err, h.said)
	}
	return a
}

// begin has the holder do something, and returns what waits for what it says of it.
func (h *holder) begin(o order) (wait func() reply) {
	type result struct {
		reply
		err error
	}
	done := make(chan result, 1)
	go func() {
		a, err := h.do(o)
		done <- result{a, err}
	}()
	return func() reply {
		h.t.Helper()
		r := <-done
		return h.lives(r.reply, r.err)
	}
}

// must has the holder do something that has to go well.
func (h *holder) must(o order) reply {
	h.t.Helper()
	a := h.try(o)
	if a.Error != "" {
		h.t.Fatalf("a holder told to %s: %s\n%s", o.Do, a.Error, h.said)
	}
	return a
}

// ends waits until the holder has died of what it was told to do, by a signal.
func (h *holder) ends(o order) error {
	h.t.Helper()
	line, err := json.Marshal(o)
	if err == nil {
		_, err = h.ask.Write(append(line, '\n'))
	}
	if err != nil {
		h.t.Fatal(err)
	}
	if h.answers.Scan() {
		return errors.New("it lives, and says " + h.answers.Text())
	}
	err = h.cmd.Wait()
	h.cmd = nil
	if _, ok := errors.AsType[*exec.ExitError](err); !ok {
		return errors.New("it ended well")
	}
	return nil
}
