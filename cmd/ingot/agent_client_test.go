package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/openapi"
)

// fakeNode answers as an agent does, on a socket.
type fakeNode struct {
	address string
	asked   chan string // what a request was: method, path and body
	answer  func(path string) (any, *openapi.Error)
	server  *httptest.Server
}

func newFakeNode(t *testing.T, answer func(path string) (any, *openapi.Error)) *fakeNode {
	t.Helper()
	n := &fakeNode{address: filepath.Join(t.TempDir(), "agent.sock"), asked: make(chan string, 100), answer: answer}
	l, err := net.Listen("unix", n.address)
	if err != nil {
		t.Fatal(err)
	}
	n.server = httptest.NewUnstartedServer(n)
	if err := n.server.Listener.Close(); err != nil {
		t.Fatal(err)
	}
	n.server.Listener = l
	n.server.Start()
	t.Cleanup(n.server.Close)
	return n
}

func (n *fakeNode) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return
	}
	n.asked <- q.Method + " " + q.URL.Path + " " + string(body)
	document, wrong := n.answer(q.URL.Path)
	if wrong != nil {
		w.WriteHeader(wrong.Code.Status())
		document = openapi.ErrorBody{Error: wrong}
	}
	_ = json.NewEncoder(w).Encode(document) // whoever has gone does not miss it
}

// ask runs a command against the fake.
func (n *fakeNode) ask(ctx context.Context, args ...string) outcome {
	return call(ctx, map[string]string{"INGOT_AGENT": n.address}, args...)
}

// TestAgentRequests: what commands ask an agent for.
func TestAgentRequests(t *testing.T) {
	n := newFakeNode(t, func(string) (any, *openapi.Error) { return struct{}{}, nil })
	for args, want := range map[string]string{
		"status":                                   "GET /v1/status ",
		"load acme/x":                              `POST /v1/load {"ref":"acme/x:main","tier":"ram"}`,
		"load acme/x:y --tier disk --dry-run":      `POST /v1/load {"ref":"acme/x:y","tier":"disk","dry_run":true}`,
		"load acme/x --tier gpu --wait 1m30s":      `POST /v1/load {"ref":"acme/x:main","tier":"gpu","deadline":90}`,
		"unload acme/x":                            `POST /v1/unload {"ref":"acme/x:main","tier":"disk"}`,
		"unload acme/x --to none":                  `POST /v1/unload {"ref":"acme/x:main","tier":"none"}`,
		"pin acme/x":                               `POST /v1/pin {"ref":"acme/x:main","pinned":true}`,
		"unpin acme/x":                             `POST /v1/pin {"ref":"acme/x:main","pinned":false}`,
		"status --socket " + n.address + " --json": "GET /v1/status ",
	} {
		got := n.ask(t.Context(), strings.Fields(args)...)
		if asked := <-n.asked; got.code != exitDone || asked != want {
			t.Errorf("%s: %+v, asked %s, want %s", args, got, asked, want)
		}
	}
}

// TestAgentFailures: exit codes, and what to do.
func TestAgentFailures(t *testing.T) {
	var wrong *openapi.Error
	n := newFakeNode(t, func(string) (any, *openapi.Error) { return nil, wrong })
	for _, tc := range []struct {
		code openapi.Code
		exit int
		says string
	}{
		{openapi.CodeNotFound, exitNotFound, `"ingot ls acme/x"`},
		{openapi.CodeBusy, exitUnreachable, `or look at "ingot status"`},
		{openapi.CodeNoSpace, exitNoSpace, "with --disk or --ram"},
		{openapi.CodeTooLarge, exitInput, "with --disk or --ram"},
		{openapi.CodeUnavailable, exitUnreachable, "try again in a while"},
		{openapi.CodeInternal, exitUnreachable, "its log tells more"},
	} {
		wrong = openapi.Errorf(tc.code, "acme/x:main: not found")
		for _, command := range []string{"load", "unload", "pin"} {
			got := n.ask(t.Context(), command, "acme/x")
			if got.code != tc.exit || got.stdout != "" || !strings.Contains(got.stderr, tc.says) || strings.Count(got.stderr, "\n") != 1 {
				t.Errorf("%s: %s: %+v, want %d and %q", command, tc.code, got, tc.exit, tc.says)
			}
		}
	}
	n.server.Close()
	for _, address := range []string{n.address, "http://127.0.0.1:1"} {
		got := call(t.Context(), nil, "status", "--socket", address)
		if got.code != exitUnreachable || !strings.Contains(got.stderr, "ingot agent") || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("no agent at %s: %+v", address, got)
		}
	}
}

// TestAgentDoesNotAnswer: status does not wait for ever.
func TestAgentDoesNotAnswer(t *testing.T) {
	release := make(chan struct{})
	n := newFakeNode(t, func(string) (any, *openapi.Error) { <-release; return nil, nil })
	defer close(release)
	got := n.ask(t.Context(), "status", "--timeout", "10ms", "--json")
	if got.code != exitUnreachable || !strings.Contains(got.stderr, "no answer in 10ms") {
		t.Errorf("%+v", got)
	}
}

// digestOf is a digest that people recognise.
func digestOf(b byte) chunker.Digest { return chunker.Digest(slices.Repeat([]byte{b}, 32)) }

// fullStatus is a status with everything in it that a table can show.
func fullStatus() openapi.NodeStatus {
	digest := func(b byte) string { return digestOf(b).String() }
	return openapi.NodeStatus{
		Name: "gpu1", Program: "v1", Waiting: 2, Damaged: 1, Refused: 3,
		Registry: openapi.RegistryState{URL: "http://r:1", Error: "connection\nrefused"},
		Tiers: openapi.TierUsages{
			Disk: openapi.TierUsage{Used: 5 << 30, Budget: 10 << 30, Models: 3, Limit: 20},
			RAM:  openapi.TierUsage{Used: 1 << 30, Budget: 4 << 30, Models: 1, Orphaned: 1 << 20},
		},
		Models: []openapi.ModelStatus{
			{Ref: "acme/c:main", State: openapi.ModelFailed, Want: openapi.TierRAM, Error: "no room\x1b"},
			{Ref: "acme/b:main", Version: digest(0xbb), Tier: openapi.TierDisk, State: openapi.ModelLoading, BytesTotal: 400, BytesDone: 100, Want: openapi.TierRAM},
			{
				Ref: "acme/a:main", Version: digest(0xaa), Tier: openapi.TierRAM, State: openapi.ModelReady, Want: openapi.TierRAM, Pinned: true, Watch: true,
				BytesOwn: 1 << 30, BytesShared: 3 << 20, Leases: 2, Old: []openapi.OldVersion{{Version: digest(0xcc), Leases: 1}},
			},
		},
	}
}

const shownStatus = `gpu1, ingot v1, started -
registry http://r:1 is out of reach since -: connection refused
2 waiting for room, 1 damaged chunk dropped from the disk, 3 wrong chunks of the registry refused

TIER      USED    BUDGET           MODELS
disk  5.00 GiB  10.0 GiB  50.0 %  3 of 20
ram   1.00 GiB  4.00 GiB  25.0 %        1  1.00 MiB of a former agent, still in use

MODEL        VERSION       TIER  STATE                OWN    SHARED  LEASES  LAST USE
acme/a:main  aaaaaaaaaaaa  ram   ready           1.00 GiB  3.00 MiB       2  -         pinned, watched, cccccccccccc in use: 1 lease
acme/b:main  bbbbbbbbbbbb  disk  loading 25.0 %       0 B       0 B       0  -         wanted in ram
acme/c:main  -             none  failed               0 B       0 B       0  -         wanted in ram, no room
`

func TestStatusTable(t *testing.T) {
	n := newFakeNode(t, func(string) (any, *openapi.Error) { return fullStatus(), nil })
	if got := n.ask(t.Context(), "status"); got.stdout != shownStatus {
		t.Errorf("%+v\nwant\n%s", got, shownStatus)
	}
	got := n.ask(t.Context(), "status", "--json")
	var back openapi.NodeStatus
	if err := json.Unmarshal([]byte(got.stdout), &back); err != nil || fmt.Sprint(back) != fmt.Sprint(fullStatus()) {
		t.Errorf("%+v, %v", got, err)
	}
}

// TestStatusOfMany: of a long list a person sees the start.
func TestStatusOfMany(t *testing.T) {
	s := openapi.NodeStatus{Models: make([]openapi.ModelStatus, 1000)}
	n := newFakeNode(t, func(string) (any, *openapi.Error) { return s, nil })
	if got := n.ask(t.Context(), "status"); !strings.Contains(got.stdout, "... and 980 more (--all)") {
		t.Errorf("%+v", got)
	}
	if got := n.ask(t.Context(), "status", "--all"); strings.Count(got.stdout, "\n") < 1000 {
		t.Errorf("%+v", got)
	}
}

// TestStatusWatch: it shows what changes, over the absence of an agent, until it is
// told to stop, and that is no failure.
func TestStatusWatch(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	asked := 0
	n := newFakeNode(t, func(string) (any, *openapi.Error) {
		if asked++; asked == 5 {
			cancel()
		}
		if asked == 2 || asked == 3 { // a request on a connection that was idle is made again
			panic(http.ErrAbortHandler) // the agent dies
		}
		return openapi.NodeStatus{Name: fmt.Sprintf("round%d", asked)}, nil
	})
	got := n.ask(ctx, "status", "--watch", "--interval", "100ms")
	if got.code != exitDone || !strings.Contains(got.stdout, "round1,") || !strings.Contains(got.stdout, "round4,") || strings.Contains(got.stdout, "\x1b") {
		t.Errorf("%+v", got)
	}
	if !strings.Contains(got.stderr, "went away") || strings.Count(got.stderr, "\n") != 1 {
		t.Errorf("of the agent that went away it says %q", got.stderr)
	}
}

// counted is a client.Progress that keeps what it is told.
type counted struct{ total, done int64 }

func (c *counted) Total(n int64) { c.total += n }
func (c *counted) Add(n int64)   { c.done += n }

// TestLoadProgress: of the events of all models those of one are counted, also when
// they begin anew.
func TestLoadProgress(t *testing.T) {
	events := []openapi.NodeEvent{
		{Type: openapi.EventLoading, Ref: "acme/x:main", Bytes: 10, Total: 100},
		{Type: openapi.EventLoading, Ref: "acme/y:main", Bytes: 70, Total: 700},
		{Type: openapi.EventLeased, Ref: "acme/x:main"},
		{Type: openapi.EventLoading, Ref: "acme/x:main", Bytes: 60, Total: 100},
		{Type: openapi.EventLoading, Ref: "acme/x:main", Bytes: 20, Total: 90},
	}
	var c counted
	countLoad(func(yield func(openapi.NodeEvent, error) bool) {
		for _, e := range events {
			if !yield(e, nil) {
				return
			}
		}
		yield(openapi.NodeEvent{}, agent.ErrLost)
	}, "acme/x:main", &c)
	if c != (counted{90, 20}) {
		t.Errorf("counted %+v", c)
	}
}

// TestLoadReceipt: what a load says, and what it would.
func TestLoadReceipt(t *testing.T) {
	n := newFakeNode(t, func(string) (any, *openapi.Error) {
		return openapi.LoadReceipt{
			Ref: "acme/x:main", Version: digestOf(0xaa), Tier: openapi.TierRAM, BytesTotal: 3 << 20, BytesReceived: 1 << 20, BytesReused: 2 << 20, ChunksTotal: 3, ChunksNew: 1,
			Sources: openapi.Sources{Disk: 2 << 20, Registry: 1 << 20}, Seconds: 1.5,
			ChunksDelta: 1, BytesReceivedDelta: 2048, BytesReceivedBase: 1024, BytesPatched: 1 << 20,
		}, nil
	})
	const rest = ` acme/x:main  aaaaaaaaaaaa  into ram
3.00 MiB in 3 chunks, 1 new: received 1.00 MiB, found 2.00 MiB here, 1.50 s
1 chunk came as deltas, in 3.00 KiB
1.00 MiB were written over those of the version before

FROM         BYTES
disk      2.00 MiB
registry  1.00 MiB
`
	for verb, args := range map[string][]string{"loaded": nil, "would load": {"--dry-run"}} {
		if got := n.ask(t.Context(), append([]string{"load", "acme/x"}, args...)...); got.stdout != verb+rest {
			t.Errorf("%+v, want %s%s", got, verb, rest)
		}
	}
}

func TestJudgeAgent(t *testing.T) {
	for _, tc := range []struct {
		err  error
		code string
		exit int
	}{
		{agent.ErrNoAgent, "unreachable", exitUnreachable},
		{agent.ErrLost, "unreachable", exitUnreachable},
		{agent.ErrSocket, "usage", exitUsage},
		{agent.ErrProtocol, "failed", exitFailed},
	} {
		if code, exit := judge(fmt.Errorf("wrapped: %w", tc.err)); code != tc.code || exit != tc.exit {
			t.Errorf("judge(%v) = %s, %d; want %s, %d", tc.err, code, exit, tc.code, tc.exit)
		}
	}
}

// TestSocketIsTakenOver: what a dead agent left is replaced, and nothing else.
func TestSocketIsTakenOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), "below", "agent.sock")
	first, err := listenSocket(t.Context(), path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := listenSocket(t.Context(), path, 0o600); err == nil || !strings.Contains(err.Error(), "another agent answers on "+path) {
		t.Errorf("of a socket that is in use it says %v", err)
	}
	first.(*net.UnixListener).SetUnlinkOnClose(false)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	second, err := listenSocket(t.Context(), path, 0o660)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = second.Close() }()
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o660 {
		t.Errorf("the socket is %v, %v", info, err)
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("mine"), 0o666); err != nil {
		t.Fatal(err)
	}
	if _, err := listenSocket(t.Context(), file, 0o600); !errors.Is(err, errUsage) {
		t.Errorf("of a file it says %v", err)
	}
	if text, err := os.ReadFile(file); string(text) != "mine" {
		t.Errorf("the file holds %q, %v", text, err)
	}
}
