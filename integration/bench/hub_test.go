package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/integration/measure"
)

// BenchmarkHub has huggingface_hub download a model from a registry, from a node that
// has it in memory, and from Go's file server, which only has the files and says of
// them what the client needs. All three are run in turn, so that they see the same
// machine. It reports multiples of the time from the file server: at most 1.3 from a
// registry and 1.1 from a node are wanted. INGOT_BENCH_MIB (1024) is the size of the
// model, INGOT_BENCH_HUB (hub1) the environment of the client, with XET=1 as it is and
// else by plain HTTP.
func BenchmarkHub(b *testing.B) {
	mib, err := strconv.ParseInt(env("INGOT_BENCH_MIB", "1024"), 10, 64)
	if err != nil {
		b.Fatal(err)
	}
	h := &downloads{b: b, work: b.TempDir()}
	h.model = filepath.Join(h.work, "model")
	if err := synth.Write(b.Context(), h.model, synth.ForSize(mib<<20)); err != nil {
		b.Fatal(err)
	}
	registry := h.program("serve", "--data", filepath.Join(h.work, "data"), "--listen", "127.0.0.1:0", "--gc-every", "none", "--scrub-every", "none")
	h.ingot("push", h.model, "bench/model", "--registry", registry)
	socket := filepath.Join(h.work, "agent.sock")
	node := h.program("agent", "--registry", registry, "--data", filepath.Join(h.work, "node"), "--socket", socket, "--listen", "127.0.0.1:0",
		"--ram", fmt.Sprintf("%dMiB", 2*mib), "--disk", fmt.Sprintf("%dMiB", 4*mib))
	h.ingot("load", "bench/model", "--tier", "ram", "--socket", socket)
	static := httptest.NewServer(newStatic(b, h.model))
	defer static.Close()
	h.download(static.URL) // makes a virtual machine back the memory that the others use
	var fromRegistry, fromNode []float64
	for b.Loop() {
		plain, reg, n := h.download(static.URL), h.download(registry), h.download(node)
		b.Logf("file server %.2f s, registry %.2f s, node %.2f s", plain, reg, n)
		fromRegistry, fromNode = append(fromRegistry, reg/plain), append(fromNode, n/plain)
	}
	b.ReportMetric(measure.Median(fromRegistry), "registry/static")
	b.ReportMetric(measure.Median(fromNode), "node/static")
}

// downloads is what the rounds have in common.
type downloads struct {
	b           *testing.B
	work, model string
}

func (h *downloads) environ(more ...string) []string {
	return append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(h.work, "home")}, more...)
}

// program starts a program that ends with the benchmark, and returns its address.
func (h *downloads) program(args ...string) string {
	h.b.Helper()
	cmd := exec.Command(h.binary(), append(args, "--json")...)
	cmd.Env = h.environ()
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		h.b.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		h.b.Fatalf("start ingot (make build makes it): %v", err)
	}
	h.b.Cleanup(func() { _, _ = cmd.Process.Kill(), cmd.Wait() }) // it is of no use any more
	var ready struct{ Address string }
	if err := json.NewDecoder(out).Decode(&ready); err != nil {
		_, _ = cmd.Process.Kill(), cmd.Wait()
		h.b.Fatalf("ingot %q is not ready: %v\n%s", args, err, said.String())
	}
	return "http://" + ready.Address
}

func (h *downloads) binary() string {
	path, err := filepath.Abs("../../bin/ingot")
	if err != nil {
		h.b.Fatal(err)
	}
	return path
}

// ingot runs the program to its end.
func (h *downloads) ingot(args ...string) {
	h.b.Helper()
	cmd := exec.Command(h.binary(), append(args, "--quiet")...)
	cmd.Env = h.environ()
	if out, err := cmd.CombinedOutput(); err != nil {
		h.b.Fatalf("ingot %q: %v\n%s", args, err, out)
	}
}

// download has the client download the model from a server, compares it, and returns
// how many seconds it took.
func (h *downloads) download(url string) float64 {
	h.b.Helper()
	cache := filepath.Join(h.work, "cache")
	vars := h.environ("HF_ENDPOINT="+url, "HF_HOME="+cache, "HF_HUB_DISABLE_PROGRESS_BARS=1", "HF_HUB_DISABLE_TELEMETRY=1")
	if os.Getenv("XET") == "" {
		vars = append(vars, "HF_HUB_DISABLE_XET=1")
	}
	if err := measure.Shell(vars, "sync"); err != nil {
		h.b.Fatal(err)
	}
	cmd := exec.Command(filepath.Join("../../.cache", "venv-"+env("INGOT_BENCH_HUB", "hub1"), "bin", "python"), "../env/download.py", "bench/model")
	cmd.Env = vars
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		h.b.Fatalf("download (make tools installs the client): %v\n%s", err, said.String())
	}
	var took struct {
		Seconds float64
		Path    string
	}
	if err := json.Unmarshal(out, &took); err != nil {
		h.b.Fatal(err)
	}
	if err := errors.Join(measure.Shell(vars, fmt.Sprintf("diff -r %q %q", h.model, took.Path)), os.RemoveAll(cache)); err != nil {
		h.b.Fatal(err)
	}
	return took.Seconds
}

// static is a server of files as a client of the Hub wants them: what is asked before
// is written down, and the files are left to Go's file server.
type static struct {
	files http.Handler
	info  []byte
	tree  []byte
}

const staticCommit = "0123456789abcdef0123456789abcdef01234567"

func newStatic(b *testing.B, dir string) *static {
	b.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		b.Fatal(err)
	}
	s := &static{files: http.FileServer(http.Dir(dir))}
	var tree []map[string]any
	for _, e := range entries {
		info, err := e.Info()
		if err != nil {
			b.Fatal(err)
		}
		tree = append(tree, map[string]any{"type": "file", "path": e.Name(), "size": info.Size(), "oid": etag(e.Name())})
	}
	s.info = marshal(b, map[string]any{"id": "bench/model", "sha": staticCommit, "tags": []string{}, "siblings": []any{}})
	s.tree = marshal(b, tree)
	return s
}

func etag(name string) string { return fmt.Sprintf("%040x", name)[:40] }

func marshal(b *testing.B, v any) []byte {
	b.Helper()
	text, err := json.Marshal(v)
	if err != nil {
		b.Fatal(err)
	}
	return text
}

// ServeHTTP implements http.Handler.
func (s *static) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Repo-Commit", staticCommit)
	name, isFile := strings.CutPrefix(r.URL.Path, "/bench/model/resolve/"+staticCommit+"/")
	switch {
	case isFile:
		w.Header().Set("ETag", `"`+etag(name)+`"`)
		r.URL.Path = "/" + name
		s.files.ServeHTTP(w, r)
	case strings.Contains(r.URL.Path, "/tree/"):
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(s.tree) // the client tells
	default:
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write(s.info) // the client tells
	}
}
