package bolt_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"github.com/ingot-ml/ingot/registry/internal/bolt"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// counting is the environment variable that makes this test binary count in the
// registers at the path it holds, and tell each number that was acknowledged.
const counting = "INGOT_TEST_COUNT_IN"

func TestMain(m *testing.M) {
	if path := os.Getenv(counting); path != "" {
		fmt.Fprintln(os.Stderr, count(path))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

func count(path string) error {
	r, err := bolt.OpenRegisters(path)
	if err != nil {
		return err
	}
	ctx := context.Background()
	val, version, err := r.Get(ctx, "n")
	if err != nil && !errors.Is(err, registers.ErrNotFound) {
		return err
	}
	n, _ := strconv.Atoi(string(val)) // absent is zero
	for {
		n++
		if version, err = r.CAS(ctx, "n", version, []byte(strconv.Itoa(n))); err != nil {
			return err
		}
		if _, err := fmt.Println(n); err != nil {
			return err
		}
	}
}

// TestKill kills a process that counts, a few times. What it has acknowledged is
// there, and at most one write more.
func TestKill(t *testing.T) {
	path := file(t)
	for round := range 5 {
		acknowledged := countAndKill(t, path, 10+7*round)
		r := open(t, path)
		val, _, err := r.Get(t.Context(), "n")
		n, convErr := strconv.Atoi(string(val))
		if err := errors.Join(err, convErr, r.Close()); err != nil {
			t.Fatal(err)
		}
		if n < acknowledged || n > acknowledged+1 {
			t.Errorf("the register is %d after %d was acknowledged", n, acknowledged)
		}
	}
}

// countAndKill lets a process count, kills it after some numbers, and returns the
// last one that it told.
func countAndKill(t *testing.T, path string, after int) (last int) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0])
	cmd.Env = append(os.Environ(), counting+"="+path)
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for told := 0; lines.Scan(); told++ {
		if last, err = strconv.Atoi(lines.Text()); err != nil {
			t.Error(err)
		}
		if told == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Error(err)
			}
		}
	}
	_ = cmd.Wait() // it was killed
	return last
}
