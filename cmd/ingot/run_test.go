package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// outcome is what one run did.
type outcome struct {
	code           int
	stdout, stderr string
}

// call runs ingot in this process, with env as its environment.
func call(ctx context.Context, env map[string]string, args ...string) outcome {
	var stdout, stderr bytes.Buffer
	code := run(ctx, args, environ(env), &stdout, &stderr)
	return outcome{code, stdout.String(), stderr.String()}
}

// environ spells variables as the process gets them.
func environ(env map[string]string) []string {
	var entries []string
	for key, value := range env {
		entries = append(entries, key+"="+value)
	}
	return entries
}

func TestJudge(t *testing.T) {
	for _, tc := range []struct {
		err  error
		code string
		exit int
	}{
		{errors.New("odd"), "failed", exitFailed},
		{usagef("odd"), "usage", exitUsage},
		{name.ErrName, "usage", exitUsage},
		{openapi.Errorf(openapi.CodeNotFound, "gone"), "not_found", exitNotFound},
		{openapi.Errorf(openapi.CodeUnavailable, "stopping"), "unavailable", exitUnreachable},
		{openapi.Errorf(openapi.CodeBusy, "busy"), "busy", exitUnreachable},
		{client.ErrUnreachable, "unreachable", exitUnreachable},
		{fmt.Errorf("%w: %w", client.ErrUnreachable, openapi.Errorf(openapi.CodeBusy, "busy")), "busy", exitUnreachable},
		{client.ErrCorrupt, "corrupt", exitCorrupt},
		{openapi.Errorf(openapi.CodeBadChunk, "bad"), "bad_chunk", exitCorrupt},
		{openapi.Errorf(openapi.CodeTagMoved, "moved"), "tag_moved", exitConflict},
		{openapi.Errorf(openapi.CodeConflict, "tagged"), "conflict", exitConflict},
		{client.ErrBusyFolder, "busy_folder", exitConflict},
		{client.ErrInput, "input", exitInput},
		{openapi.Errorf(openapi.CodeBadManifest, "bad"), "bad_manifest", exitInput},
		{openapi.Errorf(openapi.CodeNoSpace, "full"), "no_space", exitNoSpace},
		{openapi.Errorf(openapi.CodeQuotaExceeded, "full"), "quota_exceeded", exitNoSpace},
		{syscall.ENOSPC, "no_space", exitNoSpace},
		{openapi.Errorf("from_the_future", "?"), "from_the_future", exitFailed},
	} {
		code, exit := judge(fmt.Errorf("wrapped: %w", tc.err))
		if code != tc.code || exit != tc.exit {
			t.Errorf("judge(%v) = %s, %d; want %s, %d", tc.err, code, exit, tc.code, tc.exit)
		}
		if line := fmt.Sprintf("\n%5d  ", exit); !strings.Contains(exitHelp, line) {
			t.Errorf("the help does not list exit code %d", exit)
		}
	}
}

func TestUsage(t *testing.T) {
	const refs = "namespace/name"
	for _, tc := range []struct{ args, says string }{
		{"pish", "did you mean push"},
		{"quux", "ingot --help"},
		{"push", "usage: ingot push PATH REF"},
		{"push here", "usage: ingot push PATH REF"},
		{"push here acme", refs},
		{"push here acme/x:", refs},
		{"push here acme/x@abc", "64 lower-case hex digits"},
		{"push here acme/x --annotation novalue", "KEY=VALUE"},
		{"push here acme/x --annotation a=1 --annotation a=2", "twice"},
		{"push here acme/x --expect 1234", "64 hex digits"},
		{"push here acme/x --nonsense", "--nonsense"},
		{"push here acme/x@" + strings.Repeat("ab", 32), "give a tag"},
		{"push here acme/x --registry ftp://x", "--registry"},
		{"push here acme/x --timeout -1s", "--timeout"},
		{"pull acme/x here --cache a --no-cache --registry 127.0.0.1:1 --timeout 1ms", "registry"},
		{"pull acme/x here --cache-size much", "20GiB"},
		{"pull acme/../x here", refs},
		{"show acme/x:a:b", refs},
		{"diff acme/x acme/", refs},
		{"tag acme/x .hidden", "tag"},
		{"rm acme/x:" + strings.Repeat("ab", 32), refs},
		{"ls a/b/c", "repository"},
		{"ls ..", "NAMESPACE"},
		{"stats a/b", "NAMESPACE"},
		{"serve --listen 0.0.0.0:0", "--insecure"},
		{"serve --listen :0", "--insecure"},
		{"serve --listen example.org:80", "--insecure"},
		{"serve --listen 7070", "HOST:PORT"},
		{"serve --log-level loud", "log-level"},
		{"serve --memory 1KiB", "at least 16MiB"},
		{"serve --data= --listen localhost:0", "--data"},
		{"serve", "--data"},
		{"demo --variant x", "--base"},
		{"demo --base x --size 1MiB", "--size"},
		{"demo --keep .", "exists"},
	} {
		got := call(t.Context(), nil, strings.Fields(tc.args)...)
		want := exitUsage
		if strings.Contains(tc.args, "127.0.0.1:1") {
			want = exitUnreachable
		}
		if got.code != want || got.stdout != "" || !strings.Contains(got.stderr, tc.says) || strings.Count(got.stderr, "\n") != 1 {
			t.Errorf("ingot %s: %+v; want exit code %d and one line with %q", tc.args, got, want, tc.says)
		}
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	got := call(ctx, map[string]string{"HOME": t.TempDir()}, "push", t.TempDir(), "acme/x", "--json")
	if got.code != exitInterrupted || !strings.Contains(got.stderr, `"interrupted"`) {
		t.Errorf("push in a context that has ended: %+v", got)
	}
}

// full is a disk without room.
type full struct{}

func (full) Write([]byte) (int, error) { return 0, syscall.ENOSPC }

func TestLostAnswerFails(t *testing.T) {
	for _, args := range [][]string{{"version"}, {"version", "--json"}, {"--help"}} {
		var stderr bytes.Buffer
		if code := run(t.Context(), args, os.Environ(), full{}, &stderr); code != exitNoSpace {
			t.Errorf("ingot %s to a full disk: exit code %d, %q", args, code, &stderr)
		}
	}
}

func TestErrorsAreOneSafeLine(t *testing.T) {
	var stderr bytes.Buffer
	p := &program{stderr: &stderr}
	p.fail(t.Context(), errors.New("a\nb\x1b[31mc\u202ed"))
	if got := stderr.String(); got != "ingot: a b [31mc d\n" {
		t.Errorf("said %q", got)
	}
}

func TestFolders(t *testing.T) {
	home := filepath.FromSlash("/h")
	for _, tc := range []struct {
		env  map[string]string
		want string
	}{
		{map[string]string{"HOME": home}, filepath.Join(home, ".cache", "ingot")},
		{map[string]string{"HOME": home, "XDG_CACHE_HOME": filepath.FromSlash("/c")}, filepath.FromSlash("/c/ingot")},
		{map[string]string{"HOME": home, "XDG_CACHE_HOME": "relative"}, filepath.Join(home, ".cache", "ingot")},
		{nil, ""},
	} {
		p := &program{environ: environ(tc.env)}
		got, err := p.cacheFolder()
		if got != tc.want || (err == nil) == (tc.want == "") {
			t.Errorf("with %v the cache is in %q, %v; want %q", tc.env, got, err, tc.want)
		}
	}
}

func TestTable(t *testing.T) {
	list := table{titles: []string{"NAME", ">SIZE", ""}}
	list.add("a", "10 B", "new")
	list.add("größer", "1 B", "")
	var b bytes.Buffer
	list.print(&b)
	if want := "NAME    SIZE\na       10 B  new\ngrößer   1 B\n"; b.String() != want {
		t.Errorf("printed\n%swant\n%s", b.String(), want)
	}
}

func mustRef(t *testing.T, s string) name.Ref {
	t.Helper()
	ref, err := name.ParseRef(s)
	if err != nil {
		t.Fatal(err)
	}
	return ref
}
