package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ingot-ml/ingot/chunker/format"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
)

// TestExplain has the failures that a script cannot bring about everywhere.
func TestExplain(t *testing.T) {
	for _, tc := range []struct {
		err  error
		next string
		exit int
	}{
		{&fs.PathError{Op: "mkdir", Path: "x", Err: syscall.EROFS}, "name another folder", exitFailed},
		{&fs.PathError{Op: "mkdir", Path: "x", Err: syscall.EACCES}, "change its owner or mode", exitFailed},
		{&fs.PathError{Op: "mkdir", Path: "x", Err: syscall.ENOTDIR}, "move it, or name another folder", exitInput},
		{fmt.Errorf("%w: %w", &fs.PathError{Op: "open", Path: "x", Err: syscall.EACCES}, client.ErrInput), "change its owner or mode", exitInput},
		{syscall.ENOSPC, "free some space", exitNoSpace},
		{goesOn{syscall.ENOSPC}, "free some space; run the same command again: it goes on where it stopped", exitNoSpace},
		{client.ErrBusyFolder, "pull into another folder", exitConflict},
		{client.ErrObstacle, "move it", exitInput},
		{fmt.Errorf("%w: %w", client.ErrInput, client.ErrLeaves), "--follow-links", exitInput},
		{fmt.Errorf("%w: %w", client.ErrInput, format.ErrMalformed), "--allow-malformed", exitInput},
		{fmt.Errorf("%w: %w", client.ErrUnreachable, openapi.Errorf(openapi.CodeBusy, "busy")), "try again in a while", exitUnreachable},
		{openapi.Errorf(openapi.CodeUnavailable, "stopping"), "try again in a while", exitUnreachable},
		{openapi.Errorf(openapi.CodeNoSpace, "full"), "where the registry keeps its data", exitNoSpace},
		{openapi.Errorf(openapi.CodeTagMoved, "tag a/b:c is elsewhere"), "--expect", exitConflict},
		{openapi.Errorf(openapi.CodeNotFound, "a/b:c: not found"), `"ingot ls a/b" lists`, exitNotFound},
		{openapi.Errorf(openapi.CodeNotFound, "repository a/b: not found"), `"ingot ls" lists`, exitNotFound},
		{client.ErrUnreachable, `"ingot serve"`, exitUnreachable},
		{openapi.Errorf(openapi.CodeUnauthorized, "no token"), `"ingot login" keeps`, exitDenied},
		{openapi.Errorf(openapi.CodeForbidden, "not yours"), `"ingot whoami" tells`, exitDenied},
		{client.ErrPlain, "INGOT_INSECURE=true", exitUsage},
		{fmt.Errorf("%w: %w", client.ErrUnreachable, &tls.CertificateVerificationError{Err: errors.New("unknown authority")}), "INGOT_CA_FILE", exitUnreachable},
	} {
		said := explain(fmt.Errorf("do it: %w", tc.err))
		_, exit := judge(tc.err)
		if !strings.HasPrefix(said, "do it: ") || !strings.Contains(said, tc.next) || exit != tc.exit {
			t.Errorf("of %v it says %q with exit code %d, want %q and %d", tc.err, said, exit, tc.next, tc.exit)
		}
	}
}

func TestAdviceIsGivenOnce(t *testing.T) {
	err := advised{fmt.Errorf("open cache: %w; name another", syscall.EACCES)}
	if said := explain(err); said != err.Error() {
		t.Errorf("said %q", said)
	}
}

// TestTransferGoesOn asks when a push or pull that failed is to be run again.
func TestTransferGoesOn(t *testing.T) {
	for err, again := range map[error]bool{
		client.ErrUnreachable: true,
		syscall.ENOSPC:        true,
		openapi.Errorf(openapi.CodeNoSpace, "full"):      true,
		openapi.Errorf(openapi.CodeUnavailable, "later"): true,
		openapi.Errorf(openapi.CodeNotFound, "gone"):     false,
		client.ErrInput: false,
	} {
		if got := errors.As(resumable(t.Context(), err), new(goesOn)); got != again {
			t.Errorf("%v goes on: %v, want %v", err, got, again)
		}
	}
}

// TestInterruptedTransfer interrupts a push and a pull when they have begun.
func TestInterruptedTransfer(t *testing.T) {
	const how = "run the same command again"
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte("{}"), 0o666); err != nil {
		t.Fatal(err)
	}
	for args, resumes := range map[string]bool{
		"push " + dir + " a/b":             true,
		"push " + dir + " a/b --no-resume": false,
		"pull a/b " + t.TempDir():          true,
	} {
		ctx, cancel := context.WithCancel(t.Context())
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
			if q.URL.Path == "/healthz" {
				_, _ = w.Write([]byte(`{"status":"ok"}`)) // a failure is the caller's
				return
			}
			cancel()
			panic(http.ErrAbortHandler)
		}))
		got := call(ctx, map[string]string{"HOME": t.TempDir()}, append(strings.Fields(args), "--registry", s.URL)...)
		if got.code != exitInterrupted || strings.Contains(got.stderr, how) != resumes || !strings.HasPrefix(got.stderr, "ingot: interrupted") {
			t.Errorf("ingot %s: %+v, want an interrupt, that can be gone on from: %v", args, got, resumes)
		}
		s.Close()
	}
}

// TestInterruptedSays asks that nothing is said of what an interrupt has stopped.
func TestInterruptedSays(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var stderr strings.Builder
	p := &program{stderr: &stderr}
	for err, want := range map[error]string{
		fmt.Errorf("GET /v1/repos: %w", context.Canceled):        "ingot: interrupted\n",
		resumable(ctx, fmt.Errorf("push: %w", context.Canceled)): "ingot: interrupted; run the same command again: it goes on where it stopped\n",
		errors.New("close the store"):                            "ingot: close the store\n",
	} {
		stderr.Reset()
		if code := p.fail(ctx, err); code != exitInterrupted || stderr.String() != want {
			t.Errorf("of %v it says %q with exit code %d, want %q", err, &stderr, code, want)
		}
	}
}
