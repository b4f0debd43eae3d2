package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
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
func serveProcess(t *testing.T, data string, flags ...string) (address string, stop func() string) {
	t.Helper()
	cmd := exec.Command("ingot", append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0", "--json"}, flags...)...)
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

// TestServeLogsJSON: with --log-format json every line on standard error is one
// object with a time, a level and a message, whatever a client does.
func TestServeLogsJSON(t *testing.T) {
	address, stop := serveProcess(t, filepath.Join(t.TempDir(), "data"), "--log-format", "json", "--log-level", "debug")
	env := map[string]string{"INGOT_REGISTRY": address, "HOME": t.TempDir()}
	if got := call(t.Context(), env, "push", "serve_test.go", "acme/file"); got.code != exitDone {
		t.Fatalf("push: %+v", got)
	}
	if got := call(t.Context(), env, "show", "acme/none"); got.code != exitNotFound {
		t.Errorf("show: %+v", got)
	}
	for _, request := range []string{"nonsense\r\n\r\n", "GET /v1/repos%0a HTTP/1.1\r\nHost: a\r\n\r\n"} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write([]byte(request)); err != nil {
			t.Error(err)
		}
		// The answer comes after the line in the log, or with it.
		_, _ = conn.Read(make([]byte, 1)) // it may be cut off
		if err := conn.Close(); err != nil {
			t.Error(err)
		}
	}
	messages := logLines(t, stop())
	for _, want := range []string{"registry opened", "request", "registry stops"} {
		if messages[want] == 0 {
			t.Errorf("no line says %q: %v", want, messages)
		}
	}
}

// TestServeFailsInJSON: the last line of a program that logs JSON is its failure.
func TestServeFailsInJSON(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := taken.Close(); err != nil {
			t.Error(err)
		}
	}()
	env := map[string]string{"HOME": t.TempDir()}
	for _, tc := range []struct {
		exit int
		args []string
	}{
		{exitFailed, []string{"--listen", taken.Addr().String()}},
		{exitUsage, []string{"--listen", "0.0.0.0:0"}},
		{exitUsage, []string{"--config", "nowhere.yaml"}},
		{exitUsage, []string{"--data", "."}},
	} {
		got := call(t.Context(), env, append([]string{"serve", "--log-format", "json", "--listen", "127.0.0.1:0"}, tc.args...)...)
		messages := logLines(t, got.stderr)
		if got.code != tc.exit || got.stdout != "" || messages["ingot failed"] != 1 || !strings.Contains(got.stderr, fmt.Sprintf(`"exit":%d`, tc.exit)) {
			t.Errorf("%v: %+v", tc.args, got)
		}
	}
}

// logLines counts the messages of a log in JSON, and checks every line of it.
func logLines(t *testing.T, log string) map[string]int {
	t.Helper()
	messages := map[string]int{}
	for line := range strings.Lines(log) {
		var entry struct {
			Time       time.Time
			Level, Msg string
			Took       *float64
		}
		if err := json.Unmarshal([]byte(line), &entry); err != nil || entry.Time.IsZero() || entry.Level == "" || entry.Msg == "" {
			t.Errorf("this line is no entry of a log: %q, %v", line, err)
		}
		if entry.Msg == "request" && (entry.Took == nil || *entry.Took > 3600) {
			t.Errorf("a request took no number of seconds: %s", line)
		}
		messages[entry.Msg]++
	}
	return messages
}
