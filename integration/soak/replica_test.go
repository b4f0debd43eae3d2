package soak_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ingot-ml/ingot/integration/faultproxy"
)

// process is a program that is started again whenever it ends.
type process struct {
	name    string
	command func() *exec.Cmd
	log     *os.File
	ended   func(said string) // when it ended and nobody had killed it

	mu     sync.Mutex
	cmd    *exec.Cmd // nil while it does not run
	killed bool
	closed bool
	runs   sync.WaitGroup
}

func newProcess(name, dir string, command func() *exec.Cmd, ended func(string)) (*process, error) {
	log, err := os.Create(filepath.Join(dir, name+".log"))
	if err != nil {
		return nil, err
	}
	p := &process{name: name, command: command, log: log, ended: ended}
	p.runs.Go(p.keep)
	return p, nil
}

// keep runs the program again and again until it is closed. A process dies with the
// thread that started it, so this goroutine has one to itself: then none outlives a
// test that is killed.
func (p *process) keep() {
	runtime.LockOSThread()
	for {
		cmd := p.start()
		if cmd == nil {
			return
		}
		from, _ := p.log.Seek(0, 2)
		err := cmd.Wait()
		p.mu.Lock()
		ours := p.killed
		p.cmd = nil
		p.mu.Unlock()
		if !ours {
			p.ended(fmt.Sprintf("%s: %v: %s", p.name, err, p.lastLine(from)))
			time.Sleep(200 * time.Millisecond) // what ended it may need a while to pass
		}
	}
}

// start starts the program, and returns nil if that is over.
func (p *process) start() *exec.Cmd {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil
	}
	cmd := p.command()
	cmd.Stdout, cmd.Stderr = p.log, p.log
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		p.ended(fmt.Sprintf("%s: start: %v", p.name, err))
		return nil
	}
	p.cmd, p.killed = cmd, false
	return cmd
}

// lastLine is what the program said last.
func (p *process) lastLine(from int64) string {
	b := make([]byte, 64<<10)
	if end, err := p.log.Seek(0, 2); err == nil {
		from = max(from, end-int64(len(b)))
	}
	n, _ := p.log.ReadAt(b, from)
	b = bytes.TrimSpace(b[:n])
	if at := bytes.Index(b, []byte("panic: ")); at >= 0 {
		return string(b[at:])
	}
	return string(b[bytes.LastIndexByte(b, '\n')+1:])
}

// signal sends a signal, and reports whether there was a process to get it.
func (p *process) signal(s syscall.Signal) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.cmd == nil {
		return false
	}
	if s == syscall.SIGKILL {
		p.killed = true
	}
	return p.cmd.Process.Signal(s) == nil
}

// close kills the program for good.
func (p *process) close() {
	p.mu.Lock()
	p.closed = true
	p.mu.Unlock()
	p.signal(syscall.SIGKILL)
	p.runs.Wait()
	_ = p.log.Close() // it was for reading while something fails
}

// replica is an "ingot serve" and the proxy that its clients go through.
type replica struct {
	*process
	addr  string // its own
	front *faultproxy.Proxy
}

// address finds a port below those that the system gives to connections: a replica
// must get it back after it was killed.
func address(r *rand.Rand) (string, error) {
	for range 200 {
		addr := fmt.Sprintf("127.0.0.1:%d", 12000+r.IntN(18000))
		l, err := net.Listen("tcp", addr)
		if err == nil {
			return addr, l.Close()
		}
	}
	return "", errors.New("no free port from 12000 to 30000")
}

// ready returns when the replica answers.
func (r *replica) ready(ctx context.Context) error {
	for {
		q, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+r.addr+"/healthz", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(q); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s does not answer: %w", r.name, ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// frontFaults are what happens between clients and a replica. What can come again
// later is only what no client sees the order of: chunks, and questions.
func frontFaults() []faultproxy.Rule {
	repeatable := func(c faultproxy.Call) bool {
		return !c.Write() || strings.HasSuffix(c.Path, "/missing") || strings.Contains(c.Path, "/chunks")
	}
	return []faultproxy.Rule{
		{Fault: faultproxy.Reset, PerMille: 8},
		{Fault: faultproxy.Lose, PerMille: 8},
		{Fault: faultproxy.Delay, PerMille: 10},
		{Fault: faultproxy.Late, PerMille: 4, Match: repeatable},
		{Fault: faultproxy.Twice, PerMille: 4, Match: repeatable},
		{Fault: faultproxy.Truncate, PerMille: 8, Match: func(c faultproxy.Call) bool { return !c.Write() }},
		{Fault: faultproxy.SlowDown, PerMille: 1},
	}
}

// chaos kills and pauses replicas and the store until ctx ends.
func (r *round) chaos(ctx context.Context) {
	random := r.random("chaos")
	for wait(ctx, time.Duration(random.ExpFloat64()*float64(r.pace))) {
		if random.IntN(12) == 0 {
			r.backend.strike(ctx, random, r.tally)
			continue
		}
		hit := r.replicas[random.IntN(len(r.replicas))]
		if random.IntN(4) == 0 {
			r.pause(ctx, hit, random)
			continue
		}
		if hit.signal(syscall.SIGKILL) {
			r.tally.strike("kill replica")
		}
		if random.IntN(8) == 0 {
			continue // perhaps the next hits it while it starts
		}
		up, cancel := context.WithTimeout(ctx, 20*time.Second)
		_ = hit.ready(up) // the store may be down; the checks want it up in the end
		cancel()
	}
}

// pause stops a replica for a while in the middle of whatever it does, and at times
// kills it then.
func (r *round) pause(ctx context.Context, hit *replica, random *rand.Rand) {
	if !hit.signal(syscall.SIGSTOP) {
		return
	}
	r.tally.strike("pause replica")
	long := time.Duration(random.ExpFloat64() * float64(time.Second))
	kill := random.IntN(4) == 0
	r.later.Go(func() { // others are struck meanwhile
		wait(ctx, min(long, 20*time.Second))
		if kill && hit.signal(syscall.SIGKILL) {
			r.tally.strike("kill replica, paused")
		}
		hit.signal(syscall.SIGCONT)
	})
}

// wait waits, and reports whether ctx is still alive.
func wait(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}
