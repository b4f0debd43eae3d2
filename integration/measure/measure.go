// Package measure owns how whole programs are measured: shell commands timed
// against a copy of the same files in the same run, servers awaited, folders
// weighed, processes asked what they used.
//
// Law: a time is only ever reported as a multiple of something measured right
// beside it. Absolute times say more about the machine than about the program.
package measure

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"
)

// Shell runs a command and keeps what it prints for the error.
func Shell(env []string, command string) error {
	_, err := run(env, command)
	return err
}

// Clock measures a command, after dirty pages of what ran before are written. It
// returns what the command printed.
func Clock(env []string, command string) (time.Duration, []byte, error) {
	if err := Shell(env, "sync"); err != nil {
		return 0, nil, err
	}
	begin := time.Now()
	out, err := run(env, command)
	return time.Since(begin), out, err
}

func run(env []string, command string) ([]byte, error) {
	cmd := exec.Command("bash", "-o", "pipefail", "-c", command)
	cmd.Env = env
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("run %s: %w\n%s%s", command, err, out.Bytes(), said.Bytes())
	}
	return out.Bytes(), nil
}

// backed is how many copies of a model a machine is made to hold in memory before
// anything is measured: what a pull writes, and its cache.
const backed = 3

// Copy returns the time that "cp -r" takes for the folder model, to the folder
// to, which it removes again. Copies made before, which do not count, put the
// model into the page cache, and make a virtual machine back the memory that the
// page cache is about to use: the first touch of a page there costs several times
// its copying, and would be charged to whoever comes first.
func Copy(env []string, model, to string) (time.Duration, error) {
	for i := range backed {
		if err := Shell(env, fmt.Sprintf("cp -r %q %q", model, fmt.Sprintf("%s-%d", to, i))); err != nil {
			return 0, err
		}
	}
	for i := range backed {
		if err := os.RemoveAll(fmt.Sprintf("%s-%d", to, i)); err != nil {
			return 0, fmt.Errorf("remove the copy: %w", err)
		}
	}
	took, _, err := Clock(env, fmt.Sprintf("cp -r %q %q", model, to))
	if err != nil {
		return 0, err
	}
	if err := os.RemoveAll(to); err != nil {
		return 0, fmt.Errorf("remove the copy: %w", err)
	}
	return took, nil
}

// FreeAddress returns a loopback address where nothing listens.
func FreeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// Await returns when a server accepts connections at the address.
func Await(addr string) error {
	for range 300 {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			return conn.Close()
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("await the server at %s: nobody answers", addr)
}

// Megabytes adds up the sizes of the files below a folder, in 10^6 bytes.
func Megabytes(dir string) (float64, error) {
	var total int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return float64(total) / 1e6, err
}

// Median returns the median of values, which it sorts.
func Median(values []float64) float64 {
	slices.Sort(values)
	return (values[(len(values)-1)/2] + values[len(values)/2]) / 2
}
