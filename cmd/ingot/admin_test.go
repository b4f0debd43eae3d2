package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// TestAdminListen: who runs the program sees what it counts and does at an address of
// its own, and nothing of models.
func TestAdminListen(t *testing.T) {
	for name, args := range map[string][]string{
		"ingot_registry_info": {"serve", "--data", filepath.Join(t.TempDir(), "data"), "--listen", "127.0.0.1:0"},
		"ingot_node_info":     {"agent", "--registry", "none", "--data", filepath.Join(t.TempDir(), "node"), "--socket", filepath.Join(t.TempDir(), "s")},
	} {
		t.Run(args[0], func(t *testing.T) {
			cmd := exec.Command("ingot", append(args, "--admin-listen", "127.0.0.1:0", "--json")...)
			var log bytes.Buffer
			cmd.Stderr = &log
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
					t.Error(err)
				}
				if err := cmd.Wait(); err != nil {
					t.Errorf("told to end, it ended with %v\n%s", err, log.String())
				}
			}()
			var ready struct {
				Admin string `json:"admin_address"`
			}
			if err := json.NewDecoder(out).Decode(&ready); err != nil || ready.Admin == "" {
				t.Fatalf("ready with %+v, %v\n%s", ready, err, log.String())
			}
			for path, want := range map[string]string{
				"/metrics": "\n" + name + "{", "/debug/pprof/": "goroutine", "/debug/pprof/goroutine?debug=1": "goroutine profile", "/v1/repos": "404", "/": "404",
			} {
				resp, err := http.Get("http://" + ready.Admin + path)
				if err != nil {
					t.Fatal(err)
				}
				body, err := io.ReadAll(resp.Body)
				_ = resp.Body.Close() // it was read
				if err != nil || !strings.Contains(string(body), want) {
					t.Errorf("%s: status %d, %v, no %q in %.200s", path, resp.StatusCode, err, want, body)
				}
			}
		})
	}
}

// TestAdminListenRefused: where others could reach it, it is not begun.
func TestAdminListenRefused(t *testing.T) {
	env := map[string]string{"HOME": t.TempDir()}
	for _, command := range []string{"serve", "agent"} {
		got := call(t.Context(), env, command, "--admin-listen", "0.0.0.0:0")
		if got.code != exitUsage || !strings.Contains(got.stderr, "admin-listen 0.0.0.0:0 (flag --admin-listen) can be reached by others") {
			t.Errorf("%s: %+v", command, got)
		}
		got = call(t.Context(), env, command, "--admin-listen", "0.0.0.0:0", "--insecure", "--print-config")
		if got.code != exitDone {
			t.Errorf("%s --insecure: %+v", command, got)
		}
	}
}

// TestTracesWrong: what cannot be meant of traces is a mistake of who said it, and
// whoever says nothing sends nothing.
func TestTracesWrong(t *testing.T) {
	asked := 0
	collector := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked++ }))
	defer collector.Close()
	for _, tt := range []struct {
		env  map[string]string
		says string
	}{
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": "collector:4317"}, "OTEL_EXPORTER_OTLP_ENDPOINT=\"collector:4317\": want a URL"},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL, "OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "want http/json"},
		{map[string]string{"OTEL_TRACES_EXPORTER": "jaeger"}, "want otlp or none"},
		{map[string]string{"OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL, "OTEL_SDK_DISABLED": "true"}, "registry"},
	} {
		tt.env["HOME"] = t.TempDir()
		got := call(t.Context(), tt.env, "ls", "--registry", "127.0.0.1:1", "--timeout", "1ms")
		if got.code == exitDone || !strings.Contains(got.stderr, tt.says) || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("%v: %+v", tt.env, got)
		}
	}
	if asked != 0 {
		t.Errorf("the collector was asked %d times", asked)
	}
	got := call(t.Context(), map[string]string{"HOME": t.TempDir(), "OTEL_EXPORTER_OTLP_ENDPOINT": collector.URL}, "ls", "--registry", "127.0.0.1:1", "--timeout", "1ms")
	if got.code == exitDone || asked != 1 {
		t.Errorf("with a collector: %+v, which was asked %d times", got, asked)
	}
}
