package hub_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/integration/needtest"
)

// token is of the shape that every client here takes: llama.cpp drops others.
const token = "hf_" + "ingotIngotIngotIngotIngotIngotIngot"

// story is what a run of a client tells of itself.
type story struct {
	Version  string   // of the client
	Ran      []string // what it has run and held to what it should do
	Snapshot string   // the folder where it has put a model
	Commit   string
}

// python is an environment with a version of huggingface_hub.
type python struct {
	venv string
	vars []string
}

// interpreter returns the path of a program of the environment.
func (p python) program(t testing.TB, name string) string {
	t.Helper()
	at := filepath.Join(cache, "venv-"+p.venv)
	// The stamp is written when everything is installed.
	if _, err := os.Stat(filepath.Join(at, "requirements.sha256")); err != nil {
		needtest.Skip(t, "hub", fmt.Errorf("run make tools: %w", err))
	}
	path, err := filepath.Abs(filepath.Join(at, "bin", name))
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// version returns what the environment has of a package, "" for none.
func (p python) version(t testing.TB, pkg string) string {
	t.Helper()
	code := "import importlib.metadata as m, sys\ntry: print(m.version(sys.argv[1]))\nexcept m.PackageNotFoundError: pass"
	out, err := exec.Command(p.program(t, "python"), "-c", code, pkg).Output()
	if err != nil {
		t.Fatalf("ask for the version of %s: %v", pkg, err)
	}
	return strings.TrimSpace(string(out))
}

// run runs a script of this folder against a server.
func (p python) run(t testing.TB, url, script string, args ...string) story {
	t.Helper()
	return run(t, p.command(t, url, p.program(t, "python"), append([]string{filepath.Join("clients", script)}, args...)...))
}

// command prepares a run of a program of the environment.
func (p python) command(t testing.TB, url, path string, args ...string) *exec.Cmd {
	home := t.TempDir()
	cmd := exec.Command(path, args...)
	cmd.Env = append(environ(home, "HF_ENDPOINT="+url, "HF_HOME="+filepath.Join(home, "hf"), "HF_HUB_DISABLE_TELEMETRY=1",
		"HF_HUB_DISABLE_PROGRESS_BARS=1", "HF_HUB_DISABLE_UPDATE_CHECK=1", "PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH=clients", "NO_COLOR=1"), p.vars...)
	if err := os.MkdirAll(filepath.Join(home, "hf"), 0o777); err != nil {
		t.Fatal(err)
	}
	return cmd
}

// javascript runs a script of this folder with Node.
func javascript(t testing.TB, url, script string, args ...string) story {
	t.Helper()
	modules, err := filepath.Abs(filepath.Join(cache, "js", "node_modules"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(modules); err != nil {
		needtest.Skip(t, "js", fmt.Errorf("run make tools: %w", err))
	}
	path, err := exec.LookPath("node")
	if err != nil {
		needtest.Skip(t, "js", err)
	}
	cmd := exec.Command(path, append([]string{filepath.Join("clients", script)}, args...)...)
	cmd.Env = environ(t.TempDir(), "HF_ENDPOINT="+url, "HF_TOKEN="+token, "NODE_PATH="+modules)
	return run(t, cmd)
}

func run(t testing.TB, cmd *exec.Cmd) (s story) {
	t.Helper()
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s: %v\n%s%s", strings.Join(cmd.Args, " "), err, out, said.Bytes())
	}
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatalf("%s printed %s: %v", strings.Join(cmd.Args, " "), out, err)
	}
	return s
}
