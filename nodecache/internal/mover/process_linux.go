package mover

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/openapi/leaseconn"
)

// process is a mover that runs.
type process struct {
	cmd    *exec.Cmd
	exited chan struct{}
	words  *words
}

// spawn starts a process, and a session with it. It is called on the thread whose end
// would end the process.
func (m *Mover) spawn() (*process, *session, error) {
	ours, theirs, err := socketPair()
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", errStart, err)
	}
	defer func() { _ = theirs.Close() }() // the child has its own
	p := &process{exited: make(chan struct{}), words: &words{log: m.config.Logger}}
	args := append(m.config.Command[1:len(m.config.Command):len(m.config.Command)], "--device", m.config.UUID.String())
	p.cmd = exec.Command(m.config.Command[0], args...)
	p.cmd.Env = append(os.Environ(), m.config.Env...)
	p.cmd.ExtraFiles = []*os.File{theirs}
	p.cmd.Stderr = p.words
	p.cmd.WaitDelay = time.Second // for what it may have started itself
	// A signal from the terminal is for the agent, which ends the mover when it is
	// done with it.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		_ = ours.Close() // nobody is there
		return nil, nil, fmt.Errorf("%w: %w", errStart, err)
	}
	go func() {
		defer close(p.exited)
		_ = p.cmd.Wait() // ProcessState says the same
	}()
	return p, newSession(leaseconn.New[message](ours, maxFrame), m.config.Patience, p.kill), nil
}

// kill ends the process at once.
func (p *process) kill() { _ = p.cmd.Process.Kill() } // it may have ended

// end waits for the end of the process, which has so much time, and says how it was.
func (p *process) end(most time.Duration) string {
	timer := time.NewTimer(most)
	defer timer.Stop()
	select {
	case <-p.exited:
	case <-timer.C:
		p.kill()
		<-p.exited
	}
	how := p.cmd.ProcessState.String()
	if last := p.words.last(); last != "" {
		how += ": " + last
	}
	return how
}

// socketPair returns two ends of a connection, which no other program inherits.
func socketPair() (ours *net.UnixConn, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("socket pair: %w", err)
	}
	theirs = os.NewFile(uintptr(fds[1]), "mover")
	f := os.NewFile(uintptr(fds[0]), "mover")
	defer func() { _ = f.Close() }() // the connection has its own
	c, err := net.FileConn(f)
	if err != nil {
		_ = theirs.Close() // nothing is in it
		return nil, nil, fmt.Errorf("socket pair: %w", err)
	}
	return c.(*net.UnixConn), theirs, nil
}

// words logs what the process says on its standard error, line by line, and keeps
// the last.
type words struct {
	log *slog.Logger

	mu   sync.Mutex
	line []byte // that has not ended
	said string
}

const maxLine = 4 << 10

func (w *words) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := len(b)
	for len(b) > 0 {
		head, rest, ended := bytes.Cut(b, []byte{'\n'})
		w.line = append(w.line, head[:min(len(head), maxLine-len(w.line))]...)
		if b = rest; ended {
			w.end()
		}
	}
	return n, nil
}

// end ends a line. w.mu is held.
func (w *words) end() {
	if line := string(bytes.TrimSpace(w.line)); line != "" {
		w.said = line
		w.log.Warn("a mover says", "line", line)
	}
	w.line = w.line[:0]
}

func (w *words) last() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.end()
	return w.said
}
