package cudatest_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/cuda/cudatest"
)

// The rules are tested by a client in C, testdata/client, of which every run is a
// process of its own: that is where a driver's mistakes are, and some end the process.

var client struct {
	once sync.Once
	dir  string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if client.dir != "" {
		_ = os.RemoveAll(client.dir) // in the system's folder for such
	}
	os.Exit(code)
}

// clientPath compiles the client, for the driver that tests use.
func clientPath(t testing.TB) string {
	t.Helper()
	library := cudatest.Library(t)
	client.once.Do(func() {
		if client.dir, client.err = os.MkdirTemp("", "fakecuda-client-"); client.err != nil {
			return
		}
		client.err = compileClient(filepath.Join(client.dir, "client"), library, "-O1")
	})
	if client.err != nil {
		t.Fatal(client.err)
	}
	return filepath.Join(client.dir, "client")
}

func compileClient(out, library string, flags ...string) error {
	files, err := filepath.Glob("testdata/client/*.c")
	if err != nil {
		return err
	}
	args := append([]string{"-std=gnu11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-pthread", "-o", out}, flags...)
	args = append(append(args, files...), library, "-Wl,-rpath,"+filepath.Dir(library))
	if text, err := exec.Command("cc", args...).CombinedOutput(); err != nil {
		return fmt.Errorf("compile the client: %w\n%s", err, text)
	}
	return nil
}

// run is a run of the client.
type run struct {
	t      testing.TB
	cmd    *exec.Cmd
	in     io.WriteCloser
	out    *bufio.Reader
	stderr bytes.Buffer
}

func start(t testing.TB, env []string, scenario string, args ...string) *run {
	t.Helper()
	return startWith(t, env, nil, scenario, args...)
}

func startWith(t testing.TB, env []string, file *os.File, scenario string, args ...string) *run {
	t.Helper()
	r := &run{t: t, cmd: exec.Command(clientPath(t), append([]string{scenario}, args...)...)}
	r.cmd.Env = append(os.Environ(), env...)
	r.cmd.Stderr = &r.stderr
	if file != nil {
		r.cmd.ExtraFiles = []*os.File{file}
	}
	out, err := r.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	r.out = bufio.NewReader(out)
	if r.in, err = r.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.cmd.Process.Kill() })
	return r
}

// line returns the next line that it prints.
func (r *run) line() string {
	r.t.Helper()
	text, err := r.out.ReadString('\n')
	if err != nil {
		r.t.Fatalf("%v, after %q, on stderr: %s", err, text, r.stderr.String())
	}
	return strings.TrimSuffix(text, "\n")
}

// wait lets it go on to its end, and returns what else it printed.
func (r *run) wait() (string, error) {
	_ = r.in.Close() // it may be gone
	text, _ := io.ReadAll(r.out)
	err := r.cmd.Wait()
	return string(text), err
}

// kill kills it with SIGKILL, and waits until it is gone.
func (r *run) kill() {
	r.t.Helper()
	if err := r.cmd.Process.Kill(); err != nil {
		r.t.Fatal(err)
	}
	_ = r.cmd.Wait()
}

// fine runs a scenario that must find everything as it should be.
func fine(t testing.TB, scenario string, args ...string) string {
	t.Helper()
	r := start(t, nil, scenario, args...)
	text, err := r.wait()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", scenario, err, text, r.stderr.String())
	}
	return text
}
