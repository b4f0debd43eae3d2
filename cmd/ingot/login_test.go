package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// startReady starts ingot in a folder of its own, and stops it with the test.
func startReady(t *testing.T, env map[string]string, args ...string) map[string]string {
	t.Helper()
	p, err := startProcess(t.TempDir(), environ(env), args...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if log, err := p.stop(); err != nil || t.Failed() {
			t.Errorf("%s: %v\n%s", args[0], err, log)
		}
	})
	return p.ready
}

// writeFile writes a file that nobody else can read, and returns its path.
func writeFile(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestLogin lives through what people do with tokens: without one, with a wrong one,
// with one that is kept, from elsewhere, and without again.
func TestLogin(t *testing.T) {
	home := t.TempDir()
	ready := startReady(t, map[string]string{"HOME": home}, "serve", "--data", filepath.Join(home, "data"), "--listen", "127.0.0.1:0", "--access", "tokens")
	admin := ready["admin_token"]
	if admin == "" {
		t.Fatalf("no token for a first admin: %v", ready)
	}
	env := map[string]string{"HOME": home, "INGOT_REGISTRY": ready["url"]}
	says := func(what string, code int, word string, args ...string) outcome {
		t.Helper()
		got := call(t.Context(), env, args...)
		if got.code != code || !strings.Contains(got.stdout+got.stderr, word) || strings.Contains(got.stdout+got.stderr, admin) {
			t.Errorf("%s: %+v, want %d and %q", what, got, code, word)
		}
		return got
	}
	kept := filepath.Join(home, ".config", "ingot", "credentials.json")
	says("a push without a token", exitDenied, `"ingot login" keeps a token`, "push", "login_test.go", "acme/file")
	says("whoami without one", exitDone, "anonymous", "whoami")
	says("a token that is none", exitUsage, "not one word", "login", "--token-file", writeFile(t, "token", "two words"))
	says("a wrong token", exitDenied, "login: ", "login", "--token-file", writeFile(t, "token", "hf_wrongwrongwrongwrongwrongwrongwrongwrong"))
	says("no terminal", exitUsage, "--token-stdin", "login")
	if _, err := os.Stat(kept); !os.IsNotExist(err) {
		t.Errorf("something is kept: %v", err)
	}
	says("a good token", exitDone, "logged in to "+ready["url"], "login", "--token-file", writeFile(t, "token", admin+"\n"))
	info, err := os.Stat(kept)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", info, err)
	}
	says("a push", exitDone, "acme/file", "push", "login_test.go", "acme/file")
	var who loggedIn
	if err := json.Unmarshal([]byte(says("whoami", exitDone, "*:admin", "whoami", "--json").stdout), &who); err != nil || who.From != kept || who.Access != "tokens" || who.Token == "" || who.Expires == nil {
		t.Errorf("%+v, %v", who, err)
	}

	// A narrower one goes before it, from a file or as it is, and says what it does not allow.
	made := call(t.Context(), env, "token", "create", "--scope", "other/*:push", "--expires", "1h")
	narrow := strings.TrimSpace(made.stdout)
	if made.code != exitDone || narrow == "" {
		t.Fatalf("create: %+v", made)
	}
	for name, value := range map[string]string{"INGOT_TOKEN": narrow, "INGOT_TOKEN_FILE": writeFile(t, "narrow", narrow)} {
		env[name] = value
		says(name, exitDone, "other/*:push", "whoami")
		if got := call(t.Context(), env, "push", "login_test.go", "acme/file"); got.code == exitDone {
			t.Errorf("%s: it pushes where it may not: %+v", name, got)
		}
		says(name, exitDone, "other/file", "push", "login_test.go", "other/file")
		delete(env, name)
	}
	says("a registry that was never logged in to", exitUnreachable, "", "ls", "--registry", "http://127.0.0.1:1", "--timeout", "1ms")
	if err := os.Chmod(kept, 0o644); err != nil {
		t.Fatal(err)
	}
	says("a file that others can read", exitUsage, "chmod 600", "ls")
	if err := os.Chmod(kept, 0o600); err != nil {
		t.Fatal(err)
	}
	says("logout", exitDone, "logged out of", "logout")
	says("again", exitDone, "no token is kept", "logout")
	says("a push after it", exitDenied, "ingot login", "push", "login_test.go", "acme/file")

	cmd := exec.Command("ingot", "login", "--token-stdin", "--json")
	cmd.Env, cmd.Stdin = append(environ(env), "PATH="+os.Getenv("PATH")), strings.NewReader(admin)
	if out, err := cmd.CombinedOutput(); err != nil || !strings.Contains(string(out), `"registry": "`+ready["url"]) || strings.Contains(string(out), admin) {
		t.Errorf("%s, %v", out, err)
	}
	says("what came through a pipe", exitDone, "acme/file", "ls")
}

// TestLoginToAnOpenRegistry keeps no token where none is wanted.
func TestLoginToAnOpenRegistry(t *testing.T) {
	home := t.TempDir()
	address, stop, err := startRegistry(filepath.Join(home, "data"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := stop(); err != nil {
			t.Error(err)
		}
	})
	env := map[string]string{"HOME": home, "INGOT_REGISTRY": address}
	got := call(t.Context(), env, "login", "--token-file", writeFile(t, "token", "hf_something"))
	if got.code != exitDone || !strings.Contains(got.stdout, "is open") {
		t.Errorf("%+v", got)
	}
	if got := call(t.Context(), env, "whoami"); got.code != exitDone || !strings.Contains(got.stdout, "is open") {
		t.Errorf("%+v", got)
	}
	if _, err := os.Stat(filepath.Join(home, ".config")); !os.IsNotExist(err) {
		t.Errorf("something is kept: %v", err)
	}
	// Nothing goes to another machine in plain text.
	env["INGOT_TOKEN"], env["INGOT_REGISTRY"] = "hf_something", "http://registry.example:7070"
	if got := call(t.Context(), env, "ls"); got.code != exitUsage || !strings.Contains(got.stderr, "plain text") || strings.Contains(got.stderr, "hf_something") {
		t.Errorf("%+v", got)
	}
	env["INGOT_REGISTRY"] = "http://user:hf_secret@registry.example"
	if got := call(t.Context(), env, "ls"); got.code != exitUsage || strings.Contains(got.stderr, "hf_secret") {
		t.Errorf("%+v", got)
	}
}
