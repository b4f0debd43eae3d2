package gate

import (
	"context"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"testing"

	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

func TestJudge(t *testing.T) {
	for _, tc := range []struct {
		err       error
		permanent bool
	}{
		{openapi.Errorf(openapi.CodeNotFound, "acme/x: not found"), true},
		{openapi.Errorf(openapi.CodeTooLarge, "larger than the budget"), true},
		{openapi.Errorf(openapi.CodeBusy, "leases hold everything"), false},
		{openapi.Errorf(openapi.CodeUnavailable, "the registry is away"), false},
		{fmt.Errorf("wrapped: %w", agent.ErrNoAgent), false},
		{agent.ErrLost, false},
		{agent.ErrSocket, true},
		{agent.ErrProtocol, true},
	} {
		if err := judge(tc.err); errors.Is(err, ErrPermanent) != tc.permanent || !errors.Is(err, tc.err) {
			t.Errorf("%v is judged %v", tc.err, err)
		}
	}
}

// TestHoldWithoutAgent: it is tried again, unless there can be no lease at all.
func TestHoldWithoutAgent(t *testing.T) {
	ref, err := name.ParseRef("acme/x")
	if err != nil {
		t.Fatal(err)
	}
	for address, permanent := range map[string]bool{
		filepath.Join(t.TempDir(), "none.sock"): false,
		"http://127.0.0.1:1":                    true,
	} {
		a, err := agent.New(address, agent.Options{})
		if err != nil {
			t.Fatal(err)
		}
		_, err = Leased{Agent: a, Ref: ref}.Hold(t.Context())
		if err == nil || errors.Is(err, ErrPermanent) != permanent {
			t.Errorf("%s: %v", address, err)
		}
	}
}

// TestHoldEnds: an agent that does not answer is not waited for beyond the context.
func TestHoldEnds(t *testing.T) {
	path := filepath.Join(t.TempDir(), "agent.sock")
	l, err := net.Listen("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	a, err := agent.New(path, agent.Options{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		c, err := l.Accept()
		if err == nil {
			defer func() { _ = c.Close() }()
			_, _ = c.Read(make([]byte, 1)) // the request has come
		}
		cancel()
	}()
	if _, err := (Leased{Agent: a, Ref: name.Ref{Repo: name.Repo{Namespace: "acme", Name: "x"}, Tag: "main"}}).Hold(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("ended with %v", err)
	}
}
