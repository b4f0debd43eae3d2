package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestHistoryMistakes types what is wrong by itself, or with the folder: it is told in
// one line, before any registry is asked.
func TestHistoryMistakes(t *testing.T) {
	file := filepath.Join(t.TempDir(), "model.safetensors")
	if err := os.WriteFile(file, []byte("x"), 0o666); err != nil {
		t.Fatal(err)
	}
	digest := strings.Repeat("1", 64)
	for _, tc := range []struct {
		line string
		exit int
		want string
	}{
		{"retention set acme/run", exitUsage, "give --keep-last, --keep-every or --keep-best"},
		{"retention set acme/run --keep-last 0", exitUsage, "--keep-last 0: want 1 to 1000000"},
		{"retention set acme/run --keep-every -5", exitUsage, "--keep-every -5: want 1 to"},
		{"retention set acme/run --keep-last 1 --highest", exitUsage, "--metric and --highest are for --keep-best"},
		{"retention set acme/run --keep-best 1 --metric=", exitUsage, "--metric: want the key of an annotation"},
		{"retention set acme/run --keep-last 1 --grace week", exitUsage, "--grace"},
		{"retention set acme/run:main --keep-last 1", exitUsage, "acme/run:main"},
		{"retention keep acme/run", exitUsage, "unknown command"},
		{"retention apply", exitUsage, "usage: ingot retention apply"},
		{"log acme/run -n 0", exitUsage, "-n 0: want 1 or more"},
		{"log acme", exitUsage, "namespace/name"},
		{"push --watch " + file + "nowhere acme/run", exitInput, "no such file"},
		{"push --watch " + file + " acme/run", exitInput, "is no folder of checkpoints"},
		{"push --watch . acme/run --settle -1s", exitUsage, "--settle -1s"},
		{"push --watch . acme/run@" + digest, exitUsage, "give a tag"},
		{"push --watch --begin acme/run", exitUsage, "--watch goes with none of"},
	} {
		env := map[string]string{"INGOT_REGISTRY": "127.0.0.1:1", "HOME": t.TempDir()}
		got := call(t.Context(), env, strings.Fields(tc.line)...)
		if got.code != tc.exit || !strings.Contains(got.stderr, tc.want) || strings.Count(got.stderr, "\n") != 1 || got.stdout != "" {
			t.Errorf("%s: exit %d, %q", tc.line, got.code, got.stderr)
		}
	}
}
