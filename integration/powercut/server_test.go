package powercut_test

import (
	"bytes"
	"errors"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/client"
)

// build makes the program as people have it, once.
var build = sync.OnceValues(func() (string, error) { return compile("ingot-powercut") })

func compile(name string, flags ...string) (string, error) {
	path, err := filepath.Abs(filepath.Join("../../.cache/test", name))
	if err != nil {
		return "", err
	}
	args := append([]string{"build", "-trimpath", "-o", path}, flags...)
	cmd := exec.Command("go", append(args, "../../cmd/ingot")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
}

func program(t *testing.T) string {
	t.Helper()
	path, err := build()
	if err != nil {
		t.Fatalf("build ingot: %v", err)
	}
	return path
}

// server is an "ingot serve" on a folder.
type server struct {
	t       *testing.T
	program string
	data    string
	home    string
	addr    string
	before  []string // a program that runs it, and what that is told
	cmd     *exec.Cmd
	ended   chan error    // gets how it ended
	log     *bytes.Buffer // what it said; read it after it ended
}

func newServer(t *testing.T, program, data string) *server {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, program: program, data: data, home: t.TempDir(), addr: l.Addr().String()}
	t.Cleanup(s.kill) // before its disk is unmounted
	return s
}

// start runs the server and returns when it answers.
func (s *server) start() {
	s.t.Helper()
	if err := s.tryStart(); err != nil {
		s.t.Fatalf("start the registry: %v\n%s", err, s.log)
	}
}

func (s *server) tryStart() error {
	args := append(s.before, s.program, "serve", "--data", s.data, "--listen", s.addr, "--log-level", "warn")
	s.log = &bytes.Buffer{}
	s.cmd = exec.Command(args[0], args[1:]...)
	s.cmd.Stdout, s.cmd.Stderr, s.cmd.Env = s.log, s.log, s.environ()
	if err := s.cmd.Start(); err != nil {
		s.cmd = nil
		return err
	}
	s.ended = make(chan error, 1)
	go func(cmd *exec.Cmd, ended chan<- error) { ended <- cmd.Wait() }(s.cmd, s.ended)
	deadline := time.After(time.Minute)
	for !s.healthy() {
		select {
		case err := <-s.ended:
			s.cmd = nil
			return errors.Join(errors.New("it ended"), err)
		case <-deadline:
			s.kill()
			return errors.New("it does not answer")
		case <-time.After(10 * time.Millisecond):
		}
	}
	return nil
}

func (s *server) healthy() bool {
	resp, err := http.Get("http://" + s.addr + "/healthz")
	if err != nil {
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}

// kill ends the server without giving it notice.
func (s *server) kill() {
	if s.cmd == nil {
		return
	}
	_, _ = s.cmd.Process.Kill(), <-s.ended // it was killed, so it failed
	s.cmd = nil
}

// end waits until the server has ended by itself.
func (s *server) end() error {
	s.t.Helper()
	select {
	case err := <-s.ended:
		s.cmd = nil
		return err
	case <-time.After(time.Minute):
		s.kill()
		s.t.Fatalf("the registry did not end\n%s", s.log)
		return nil
	}
}

func (s *server) environ() []string {
	return append(os.Environ(), "INGOT_REGISTRY=http://"+s.addr, "HOME="+s.home,
		"XDG_CACHE_HOME="+filepath.Join(s.home, "cache"), "XDG_DATA_HOME="+filepath.Join(s.home, "data"))
}

// client returns a client that gives up soon.
func (s *server) client() *client.Registry {
	s.t.Helper()
	r, err := client.New("http://"+s.addr, client.Options{Patience: time.Millisecond})
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(r.Close)
	return r
}
