package hub_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

const cache = "../../.cache" // filled by "make tools"

// raced and plain make the program once: with the race detector, and as people have it.
var (
	raced = sync.OnceValues(func() (string, error) { return compile("raced", "1", "-race") })
	plain = sync.OnceValues(func() (string, error) { return compile("plain", "0", "-trimpath") })
)

func compile(name, cgo string, flags ...string) (string, error) {
	path, err := filepath.Abs(filepath.Join(cache, "test", "hub", name, "ingot"))
	if err != nil {
		return "", err
	}
	cmd := exec.Command("go", append(append([]string{"build", "-o", path}, flags...), "../../cmd/ingot")...)
	cmd.Env = append(os.Environ(), "CGO_ENABLED="+cgo)
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build ingot: %w\n%s", err, out)
	}
	return path, nil
}

// program returns the path of the program. The tests of contracts, which ask for
// everything once, hunt races with it; to clients, who ask for much, it is plain.
func program(t testing.TB) string {
	t.Helper()
	build := plain
	if strings.Contains(t.Name(), "Contract") {
		build = raced
	}
	path, err := build()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// server is a running "ingot serve" or "ingot agent".
type server struct {
	t    testing.TB
	url  string
	home string // of the program: its folders
	data string // of a registry
	// admin is the token that a registry has told, if it asks for tokens.
	admin string
	cmd   *exec.Cmd
	done  chan struct{} // closed when cmd has ended
	log   bytes.Buffer  // what it said; read it after kill
}

// serve starts a registry on an empty folder.
func serve(t testing.TB, args ...string) *server {
	t.Helper()
	s := newServer(t)
	s.data = filepath.Join(s.home, "data")
	s.start(append([]string{"serve", "--json", "--data", s.data, "--listen", "127.0.0.1:0"}, args...)...)
	return s
}

func newServer(t testing.TB) *server {
	t.Helper()
	// The path of a socket is short, and those of tests may be long.
	home, err := os.MkdirTemp("", "ingot")
	if err != nil {
		t.Fatal(err)
	}
	s := &server{t: t, home: home}
	t.Cleanup(func() {
		s.kill()
		if t.Failed() {
			t.Logf("the server at %s said:\n%s", s.url, s.log.String())
		}
		if err := os.RemoveAll(home); err != nil {
			t.Error(err)
		}
	})
	return s
}

// start runs the program and returns when it has said where it listens. It ends with
// the test, also when the test binary is killed.
func (s *server) start(args ...string) {
	s.t.Helper()
	s.cmd = exec.Command(program(s.t), args...)
	s.cmd.Env = environ(s.home)
	s.cmd.Stderr = &s.log
	s.cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	said, err := s.cmd.StdoutPipe()
	if err != nil {
		s.t.Fatal(err)
	}
	started := make(chan error)
	s.done = make(chan struct{})
	read := make(chan struct{})
	go func() {
		// The process dies with the thread that started it, so nothing else may use the
		// thread, or end it.
		runtime.LockOSThread()
		defer close(s.done)
		err := s.cmd.Start()
		started <- err
		if err == nil {
			<-read
			_ = s.cmd.Wait() // it is killed in the end
		}
	}()
	if err := <-started; err != nil {
		s.t.Fatalf("start ingot: %v", err)
	}
	var ready struct {
		Address string
		Admin   string `json:"admin_token"`
	}
	err = json.NewDecoder(said).Decode(&ready)
	close(read)
	if err != nil {
		s.kill()
		s.t.Fatalf("ingot %q is not ready: %v\n%s", args, err, s.log.String())
	}
	s.url, s.admin = "http://"+ready.Address, ready.Admin
}

// kill ends the program without giving it notice.
func (s *server) kill() {
	if s.cmd == nil {
		return
	}
	if err := s.cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		s.t.Error(err)
	}
	<-s.done
	s.cmd = nil
}

// ingot runs the program as a client of the registry, decoding what it prints.
func (s *server) ingot(t testing.TB, into any, args ...string) {
	t.Helper()
	cmd := exec.Command(program(t), append(args, "--json")...)
	cmd.Env = append(environ(s.home), "INGOT_REGISTRY="+s.url)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("ingot %q: %v\n%s%s", args, err, out, said.Bytes())
	}
	if into == nil {
		return
	}
	if err := json.Unmarshal(out, into); err != nil {
		t.Fatalf("ingot %q printed %s: %v", args, out, err)
	}
}

// push pushes a folder and returns the commit that clients of the Hub know it by.
func (s *server) push(t testing.TB, dir, ref string) string {
	t.Helper()
	var got struct{ Digest string }
	s.ingot(t, &got, "push", dir, ref)
	return got.Digest[:40]
}

// environ is the whole environment of a program: nothing of a user's is in it.
func environ(home string, more ...string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + home, "TMPDIR=" + os.TempDir(), "GORACE=" + os.Getenv("GORACE"),
		"XDG_CACHE_HOME=" + filepath.Join(home, "cache"), "XDG_DATA_HOME=" + filepath.Join(home, "share")}, more...)
}
