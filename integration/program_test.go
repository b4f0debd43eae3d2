package integration_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"testing"
	"time"
)

// build makes the program once, with the race detector, so that the tests here
// hunt races in the server and the client too.
var build = sync.OnceValues(func() (string, error) { return compile("ingot", "-race") })

// buildPlain makes the program as people have it, for tests of what it costs, and
// for those whose work another test has the raced program do too.
var buildPlain = sync.OnceValues(func() (string, error) { return compile("ingot-plain", "-trimpath") })

func compile(name string, flags ...string) (string, error) {
	path, err := filepath.Abs(filepath.Join(cache, "test", name))
	if err != nil {
		return "", err
	}
	args := append([]string{"build", "-o", path}, flags...)
	cmd := exec.Command("go", append(args, "../cmd/ingot")...)
	if !slices.Contains(flags, "-race") { // as "make build" has it, whose packages are compiled
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return "", errors.New(string(out))
	}
	return path, nil
}

// program returns the path of the program that r runs.
func (r *registry) program() string {
	r.t.Helper()
	made := build
	if r.plain {
		made = buildPlain
	}
	path, err := made()
	if err != nil {
		r.t.Fatalf("build ingot: %v", err)
	}
	return path
}

// receipt is what push and pull print with --json.
type receipt struct {
	Digest        string  `json:"digest"`
	BytesTotal    int64   `json:"bytes_total"`
	BytesSent     int64   `json:"bytes_sent"`
	SentDelta     int64   `json:"bytes_sent_delta"`
	BytesReceived int64   `json:"bytes_received"`
	BytesReused   int64   `json:"bytes_reused"`
	BytesStored   int64   `json:"bytes_stored"`
	ChunksTotal   int     `json:"chunks_total"`
	ChunksNew     int     `json:"chunks_new"`
	Seconds       float64 `json:"seconds"`
}

// registry is a running "ingot serve" and the folders that its clients use.
type registry struct {
	t    *testing.T
	data string
	addr string
	home string // of the clients: their cache and journals
	cmd  *exec.Cmd
	log  *said // of the server
	// plain says that client and server are built without the race detector.
	plain bool
	// args and vars are what the server is told beside its data folder and address.
	args, vars []string
}

// said is what a program has said. It may be read while the program goes on.
type said struct {
	mu   sync.Mutex // protects text
	text bytes.Buffer
}

// Write implements io.Writer.
func (s *said) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.Write(b)
}

// String returns all of it.
func (s *said) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}

// serve starts a registry on an empty data folder.
func serve(t *testing.T) *registry {
	t.Helper()
	return serveWith(t)
}

// serveWith is serve with further arguments.
func serveWith(t *testing.T, args ...string) *registry {
	t.Helper()
	r := &registry{t: t, args: args, data: filepath.Join(t.TempDir(), "data"), addr: freeAddress(t), home: t.TempDir()}
	r.start()
	t.Cleanup(r.kill)
	return r
}

func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return l.Addr().String()
}

// start runs the server and returns when it answers.
func (r *registry) start() {
	r.t.Helper()
	r.log = &said{}
	r.cmd = r.server()
	r.cmd.Stdout, r.cmd.Stderr = r.log, r.log
	if err := r.cmd.Start(); err != nil {
		r.t.Fatalf("start the registry: %v", err)
	}
	deadline := time.Now().Add(30 * time.Second)
	for {
		resp, err := http.Get("http://" + r.addr + "/healthz")
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return
			}
		}
		if time.Now().After(deadline) {
			r.kill()
			r.t.Fatalf("the registry does not answer: %v\n%s", err, r.log)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// server prepares the server's process.
func (r *registry) server() *exec.Cmd {
	r.t.Helper()
	cmd := exec.Command(r.program(), append([]string{"serve", "--data", r.data, "--listen", r.addr}, r.args...)...)
	cmd.Env = append(r.environ(), r.vars...)
	return cmd
}

// kill ends the server as a power cut would, without giving it notice.
func (r *registry) kill() {
	if r.cmd == nil {
		return
	}
	_, _ = r.cmd.Process.Kill(), r.cmd.Wait() // it was killed, so it failed
	r.cmd = nil
}

func (r *registry) environ() []string {
	return append(os.Environ(), "INGOT_REGISTRY=http://"+r.addr, "HOME="+r.home,
		"XDG_CACHE_HOME="+filepath.Join(r.home, "cache"), "XDG_DATA_HOME="+filepath.Join(r.home, "data"))
}

// command prepares a call of the program as a client of r.
func (r *registry) command(args ...string) *exec.Cmd {
	cmd := exec.Command(r.program(), args...)
	cmd.Env = r.environ()
	return cmd
}

// json runs the program with --json and decodes what it prints.
func (r *registry) json(into any, args ...string) {
	r.t.Helper()
	cmd := r.command(append(args, "--json")...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		r.t.Fatalf("ingot %q: %v\n%s", args, err, said.Bytes())
	}
	if err := json.Unmarshal(out, into); err != nil {
		r.t.Fatalf("ingot %q printed %s: %v", args, out, err)
	}
}

func (r *registry) push(path, ref string, args ...string) receipt {
	r.t.Helper()
	var got receipt
	r.json(&got, append([]string{"push", path, ref}, args...)...)
	return got
}

// pull pulls into a new folder, which it returns, and fails the test unless every
// file is the original's.
func (r *registry) pull(ref, original string, args ...string) (receipt, string) {
	r.t.Helper()
	dir := filepath.Join(r.t.TempDir(), "pulled")
	var got receipt
	r.json(&got, append([]string{"pull", ref, dir}, args...)...)
	compareTrees(r.t, dir, original)
	return got, dir
}

// compareTrees fails the test unless both folders hold the same files.
func compareTrees(t *testing.T, got, want string) {
	t.Helper()
	g, w := tree(t, got), tree(t, want)
	for path, sum := range w {
		if g[path] != sum {
			t.Errorf("%s: sha256 %q, want %q", path, g[path], sum)
		}
	}
	for path := range g {
		if _, ok := w[path]; !ok {
			t.Errorf("%s: not in the original", path)
		}
	}
}

// tree maps the files below dir to their sha256.
func tree(t *testing.T, dir string) map[string]string {
	t.Helper()
	sums := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		h := sha256.New()
		_, err = io.Copy(h, f)
		if err = errors.Join(err, f.Close()); err != nil {
			return err
		}
		rel, err := filepath.Rel(dir, path)
		sums[rel] = hex.EncodeToString(h.Sum(nil))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return sums
}

// fileBytes adds up the sizes of the files below dir.
func fileBytes(t *testing.T, dir string) (files int, bytes int64) {
	t.Helper()
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) { // removed while we walk
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			files++
			bytes += info.Size()
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return files, bytes
}
