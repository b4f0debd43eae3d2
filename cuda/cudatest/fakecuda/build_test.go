package fakecuda

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/integration/needtest"
)

const childDir = "FAKECUDA_TEST_BUILD"

// TestMain is also the child of TestFakeBuildAtOnce.
func TestMain(m *testing.M) {
	if dir := os.Getenv(childDir); dir != "" {
		path, err := Build(context.Background(), dir)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		text, err := os.ReadFile(path)
		if err != nil || len(text) < 10_000 {
			os.Exit(2)
		}
		fmt.Print(path)
		os.Exit(0)
	}
	os.Exit(m.Run())
}

func needCompiler(t *testing.T) {
	t.Helper()
	if _, err := findCompiler(); err != nil {
		needtest.Skip(t, "cc", err)
	}
}

// TestFakeBuildAtOnce has several processes compile into the same empty place.
func TestFakeBuildAtOnce(t *testing.T) {
	needCompiler(t)
	dir := t.TempDir()
	var group sync.WaitGroup
	paths := make([]string, 3)
	for i := range paths {
		group.Go(func() {
			cmd := exec.Command(os.Args[0])
			cmd.Env = append(os.Environ(), childDir+"="+dir)
			out, err := cmd.Output()
			if err != nil {
				t.Errorf("build %d: %v", i, err)
			}
			paths[i] = string(out)
		})
	}
	group.Wait()
	if paths[0] != paths[1] || paths[1] != paths[2] {
		t.Errorf("paths %q", paths)
	}
	files, err := filepath.Glob(dir + "/*/*")
	if err != nil || len(files) != 1 || files[0] != paths[0] {
		t.Errorf("%v left: %q", err, files)
	}
}

func TestFakeBuildFails(t *testing.T) {
	t.Setenv("CC", "no-such-compiler")
	if _, err := Build(context.Background(), t.TempDir()); !errors.Is(err, ErrNoCompiler) {
		t.Errorf("%v, want %v", err, ErrNoCompiler)
	}
	t.Setenv("CC", "false")
	dir := t.TempDir()
	if _, err := Build(context.Background(), dir); err == nil || errors.Is(err, ErrNoCompiler) {
		t.Error(err)
	}
	if files, _ := filepath.Glob(dir + "/*/*"); len(files) != 0 {
		t.Errorf("left: %q", files)
	}
}

// TestDriverFiles keeps the C in the shape of the rest.
func TestDriverFiles(t *testing.T) {
	for name, text := range sources() {
		if lines := strings.Count(string(text), "\n"); lines > 500 {
			t.Errorf("%s has %d lines", name, lines)
		}
	}
	if len(calls()) == 0 || len(calls()) > callCount {
		t.Errorf("%d functions", len(calls()))
	}
}

func TestParseLocks(t *testing.T) {
	held, err := parseLocks(strings.NewReader(`1: POSIX  ADVISORY  WRITE 12 00:01:77 0 EOF
2: OFDLCK ADVISORY  WRITE -1 00:01:1529 0 EOF
2: -> OFDLCK ADVISORY  WRITE -1 00:01:5 0 EOF
3: FLOCK  ADVISORY  WRITE 99 fd:00:8 0 EOF
4: OFDLCK ADVISORY  READ -1 0a:1f:18446744073709551615 0 EOF
5: OFDLCK ADVISORY  READ -1 0a:1f:12 0 EOF
6: POSIX  ADVISORY  READ 7 0a:1f:13 0 EOF
`), deviceNumber(10, 31))
	if err != nil || len(held) != 2 || !held[12] || !held[1<<64-1] {
		t.Errorf("%v, %v", held, err)
	}
}
