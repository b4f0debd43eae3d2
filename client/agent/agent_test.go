package agent_test

import (
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/openapi"
)

func TestAddresses(t *testing.T) {
	t.Setenv("XDG_RUNTIME_DIR", "/run/user/9")
	t.Setenv(agent.EnvAddress, "")
	if got := agent.DefaultSocket(); got != "/run/user/9/ingot/agent.sock" {
		t.Errorf("default socket %s", got)
	}
	for given, want := range map[string]string{
		"": "/run/user/9/ingot/agent.sock", "/x/y.sock": "/x/y.sock", "http://h:1": "http://h:1",
	} {
		a, err := agent.New(given, agent.Options{})
		if err != nil || a.Address() != want {
			t.Errorf("%q: %s, %v; want %s", given, a.Address(), err, want)
		}
	}
	t.Setenv(agent.EnvAddress, "http://other:2")
	if a, err := agent.New("", agent.Options{}); err != nil || a.Address() != "http://other:2" {
		t.Errorf("by environment: %v, %v", a, err)
	}
	for _, bad := range []string{"http://", "ftp://h", "unix:///x", "http://%"} {
		if _, err := agent.New(bad, agent.Options{}); err == nil || !strings.Contains(err.Error(), "want a socket's path") {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestNobodyListens(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	gone := "http://" + l.Addr().String()
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	socket := filepath.Join(t.TempDir(), "s")
	for _, address := range []string{socket, gone} {
		a, err := agent.New(address, agent.Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.Status(t.Context())
		if !errors.Is(err, agent.ErrNoAgent) || !strings.Contains(err.Error(), address) || strings.Contains(err.Error(), "\n") {
			t.Errorf("status: %v, want ErrNoAgent at %s", err, address)
		}
		if _, err := a.Events(t.Context()); !errors.Is(err, agent.ErrNoAgent) {
			t.Errorf("events: %v, want ErrNoAgent", err)
		}
	}
	a, err := agent.New(socket, agent.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := a.Lease(t.Context(), openapi.LeaseRequest{Ref: "a/b"}, agent.LeaseOptions{}); !errors.Is(err, agent.ErrNoAgent) {
		t.Errorf("lease: %v, want ErrNoAgent", err)
	}
}

// TestStrangeAnswers of something that is no agent.
func TestStrangeAnswers(t *testing.T) {
	for name, answer := range map[string]http.HandlerFunc{
		"page":     func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("<html>")) },
		"no error": func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(502) },
		"no code":  func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(400); _, _ = w.Write([]byte("{}")) },
	} {
		server := httptest.NewServer(answer)
		a, err := agent.New(server.URL, agent.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := a.Status(t.Context()); !errors.Is(err, agent.ErrProtocol) {
			t.Errorf("%s: %v, want ErrProtocol", name, err)
		}
		a.Close()
		server.Close()
	}
}

func TestStrangeEvents(t *testing.T) {
	const good = "event: node\ndata: {\"seq\":1,\"type\":\"loaded\",\"tier\":\"ram\"}\n\n"
	for text, want := range map[string]error{
		"": agent.ErrLost,
		": hello\n\nevent: later\ndata: x\n\nid: 3\n" + good: agent.ErrLost,
		good + "event: lost\ndata: {}\n\n":                   agent.ErrMissed,
		good + "event: node\ndata: {]\n\n":                   agent.ErrProtocol,
		"data: " + strings.Repeat("x", openapi.MaxJSON+10):   agent.ErrLost,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(text)) }))
		a, err := agent.New(server.URL, agent.Options{})
		if err != nil {
			t.Fatal(err)
		}
		events, err := a.Events(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		n, last := 0, error(nil)
		for e, err := range events {
			if last = err; err == nil && e.Seq == 1 && e.Tier == openapi.TierRAM {
				n++
			}
		}
		if !errors.Is(last, want) || n != strings.Count(text, "seq") {
			t.Errorf("%.60q: %d events, %v; want %v", text, n, last, want)
		}
		a.Close()
		server.Close()
	}
}
