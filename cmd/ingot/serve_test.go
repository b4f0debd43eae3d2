package main

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestServe runs the program as an operator does: it tells when it is ready, keeps
// what it got over a restart, and ends well when it is told to.
func TestServe(t *testing.T) {
	data, home := filepath.Join(t.TempDir(), "data"), t.TempDir()
	for round := range 2 {
		address, stop := serveProcess(t, data)
		env := map[string]string{"INGOT_REGISTRY": address, "HOME": home}
		if round == 0 {
			if got := call(t.Context(), env, "push", "serve_test.go", "acme/file"); got.code != exitDone {
				t.Fatalf("push: %+v", got)
			}
		}
		got := call(t.Context(), env, "ls")
		if got.code != exitDone || !strings.Contains(got.stdout, "acme/file") {
			t.Errorf("round %d: ls: %+v", round, got)
		}
		log := stop()
		if !strings.Contains(log, "level=INFO") {
			t.Errorf("round %d: the log holds no line: %q", round, log)
		}
	}
}

// serveProcess starts "ingot serve". The returned function ends it with a signal
// and returns its log.
func serveProcess(t *testing.T, data string) (address string, stop func() string) {
	t.Helper()
	cmd := exec.Command("ingot", "serve", "--data", data, "--listen", "127.0.0.1:0", "--json")
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var ready struct{ Address, Data string }
	if err := json.NewDecoder(out).Decode(&ready); err != nil || ready.Data != data {
		_, _ = cmd.Process.Kill(), cmd.Wait() // it was killed, so it failed
		t.Fatalf("said it is ready with %+v, %v\n%s", ready, err, log.String())
	}
	return ready.Address, func() string {
		if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("told to end, it ended with %v\n%s", err, log.String())
		}
		return log.String()
	}
}
