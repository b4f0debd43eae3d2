package integration_test

import (
	"bufio"
	"bytes"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ingot-ml/ingot/chunker/synth"
)

// served returns what the Hub's path of a file gives.
func (r *registry) served(path string, header ...string) (int, []byte) {
	r.t.Helper()
	q, err := http.NewRequestWithContext(r.t.Context(), http.MethodGet, "http://"+r.addr+path, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		q.Header.Set(header[i], header[i+1])
	}
	a, err := http.DefaultClient.Do(q)
	if err != nil {
		r.t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		r.t.Errorf("GET %s: %v", path, err)
	}
	return a.StatusCode, b
}

// wantServed compares it with a file.
func (r *registry) wantServed(path, original string, header ...string) {
	r.t.Helper()
	want, err := os.ReadFile(original)
	if err != nil {
		r.t.Fatal(err)
	}
	if status, got := r.served(path, header...); status != http.StatusOK || !bytes.Equal(got, want) {
		r.t.Errorf("GET %s: status %d, %d bytes, want %d", path, status, len(got), len(want))
	}
}

// smallModel makes a folder of a model.
func smallModel(t *testing.T, dir string) string {
	t.Helper()
	if err := synth.Write(t.Context(), dir, synth.ForSize(8<<20)); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestUpstream reads the models of one registry through another, by the Hub's paths
// and by ingot's own, and goes on when the first is gone.
func TestUpstream(t *testing.T) {
	far := serve(t)
	model := smallModel(t, filepath.Join(t.TempDir(), "model"))
	far.push(model, "acme/llama:main")
	far.push(model, "acme/other:v1")
	near := &registry{t: t, data: filepath.Join(t.TempDir(), "data"), addr: freeAddress(t), home: t.TempDir(), args: []string{"--upstream", "http://" + far.addr}}
	near.start()
	t.Cleanup(near.kill)
	for _, entry := range files(t, model) {
		near.wantServed("/acme/llama/resolve/main/"+entry, filepath.Join(model, entry))
	}
	near.pull("acme/other:v1", model)
	far.kill()
	near.pull("acme/llama:main", model)
	for _, entry := range files(t, model) {
		near.wantServed("/acme/llama/resolve/main/"+entry, filepath.Join(model, entry))
	}
	if status, b := near.served("/acme/unknown/resolve/main/config.json"); status != http.StatusServiceUnavailable {
		t.Errorf("of an upstream that is away: status %d, %s", status, b)
	}
	near.kill()
	near.args = append(near.args, "--offline")
	near.start()
	near.pull("acme/other:v1", model)
	if status, b := near.served("/acme/unknown/resolve/main/config.json"); status != http.StatusUnauthorized {
		t.Errorf("offline: status %d, %s", status, b)
	}
}

// files lists the files of a folder.
func files(t *testing.T, dir string) (names []string) {
	t.Helper()
	for name := range tree(t, dir) {
		names = append(names, name)
	}
	return names
}

// TestImportWatch shows a folder of plain models, which are listed at once, come when
// they are wanted, and stay when import ends.
func TestImportWatch(t *testing.T) {
	r := serve(t)
	shelf := t.TempDir()
	model := smallModel(t, filepath.Join(shelf, "tiny"))
	smallModel(t, filepath.Join(shelf, "never-wanted"))
	watch := r.command("import", "--watch", shelf, "archive")
	stop := background(t, watch)
	var list struct{ Repos []struct{ Name string } }
	r.json(&list, "ls")
	if len(list.Repos) != 2 || list.Repos[1].Name != "archive/tiny" {
		t.Errorf("it lists %+v", list)
	}
	config := filepath.Join(model, "config.json")
	r.wantServed("/archive/tiny/resolve/main/config.json", config)
	r.pull("archive/tiny", model)
	before := tree(t, model)
	if err := os.WriteFile(config, []byte(`{"changed": true}`), 0o644); err != nil {
		t.Fatal(err)
	}
	r.wantServed("/archive/tiny/resolve/main/config.json", config, "Cache-Control", "no-cache")
	if now := tree(t, model); len(now) != len(before) {
		t.Errorf("the folder had %d files and has %d", len(before), len(now))
	}
	stop()
	r.json(&list, "ls")
	if len(list.Repos) != 1 {
		t.Errorf("after the end it lists %+v", list)
	}
	r.wantServed("/archive/tiny/resolve/main/config.json", config)
	if status, _ := r.served("/archive/never-wanted/resolve/main/config.json"); status != http.StatusUnauthorized {
		t.Errorf("what nobody wanted has the status %d", status)
	}
}

// background runs a program until its first line, and returns what stops it.
func background(t *testing.T, cmd *exec.Cmd) (stop func()) {
	t.Helper()
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill() }) // it has ended
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		_ = cmd.Wait()
		t.Fatalf("it ended: %s", said.Bytes())
	}
	if !strings.HasPrefix(line, "2 models of ") {
		t.Errorf("it said %q", line)
	}
	return func() {
		t.Helper()
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("it ended with %v: %s", err, said.Bytes())
		}
	}
}

// TestImportWatchMistakes says what is wrong.
func TestImportWatchMistakes(t *testing.T) {
	r := serve(t)
	for _, c := range []struct {
		args []string
		code int
		says string
	}{
		{[]string{"/no/such/folder", "archive"}, 7, "no such file"},
		{[]string{t.TempDir()}, 2, "NAMESPACE"},
		{[]string{t.TempDir(), "a/b"}, 2, "namespace"},
		{[]string{"ftp://x/y", "archive"}, 2, "no kind of source"},
		{[]string{t.TempDir(), "archive", "--listen", "0.0.0.0:0"}, 2, "--listen"},
	} {
		cmd := r.command(append([]string{"import", "--watch"}, c.args...)...)
		out, err := cmd.CombinedOutput()
		if cmd.ProcessState.ExitCode() != c.code || !strings.Contains(string(out), c.says) || strings.Count(string(out), "\n") != 1 {
			t.Errorf("%q: %v, want %d and %q: %s", c.args, err, c.code, c.says, out)
		}
	}
}
