package fakecuda

import (
	"context"
	"crypto/sha256"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"

	"github.com/ingot-ml/ingot/cuda/ptx"
)

//go:embed driver/*.c driver/*.h
var driver embed.FS

// ErrNoCompiler says that there is no C compiler, neither $CC nor cc.
var ErrNoCompiler = errors.New("no C compiler")

// The kernels of package ptx are compiled into the library, from a file of this name.
const kernelsName = "ptx_kernels.h"

var flags = []string{"-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror=implicit-function-declaration",
	"-fPIC", "-shared", "-pthread", "-fvisibility=hidden", "-Wl,-soname,libcuda.so.1"}

// sources returns the text of every file that the library is made of.
var sources = sync.OnceValue(func() map[string][]byte {
	all := map[string][]byte{kernelsName: ptx.HostSource()}
	entries, err := fs.ReadDir(driver, "driver")
	if err != nil {
		panic(err) // it is part of the program
	}
	for _, e := range entries {
		text, err := fs.ReadFile(driver, "driver/"+e.Name())
		if err != nil {
			panic(err)
		}
		all[e.Name()] = text
	}
	return all
})

// Build compiles the library into a place below dir that belongs to these sources,
// unless it is there already, and returns its path. Several processes may do so at
// the same time: each compiles for itself, and what is there is always whole.
func Build(ctx context.Context, dir string) (string, error) {
	compiler, err := findCompiler()
	if err != nil {
		return "", err
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	place := filepath.Join(dir, "fakecuda-"+fingerprint(compiler))
	library := filepath.Join(place, "libcuda.so.1")
	if _, err := os.Stat(library); err == nil {
		return library, nil
	}
	if err := os.MkdirAll(place, 0o755); err != nil {
		return "", err
	}
	return library, compile(ctx, compiler, place, library)
}

func compile(ctx context.Context, compiler, place, library string) error {
	work, err := os.MkdirTemp(place, "build-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }() // in the system's folder for such
	out := filepath.Join(work, "libcuda.so.1")
	args := append([]string(nil), flags...)
	for name, text := range sources() {
		if err := os.WriteFile(filepath.Join(work, name), text, 0o644); err != nil {
			return err
		}
		if strings.HasSuffix(name, ".c") {
			args = append(args, name)
		}
	}
	cmd := exec.CommandContext(ctx, compiler, append(args, "-o", out, "-ldl")...)
	cmd.Dir = work
	if text, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("compile libcuda.so.1 with %s: %w\n%s", compiler, err, text)
	}
	return os.Rename(out, library)
}

func findCompiler() (string, error) {
	name := os.Getenv("CC")
	if name == "" {
		name = "cc"
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrNoCompiler, err)
	}
	return path, nil
}

// fingerprint names what a library is made of and with.
func fingerprint(compiler string) string {
	h := sha256.New()
	fmt.Fprintln(h, compiler, flags, runtime.GOARCH)
	all := sources()
	for _, name := range names(all) {
		fmt.Fprintln(h, name, len(all[name]))
		h.Write(all[name])
	}
	return fmt.Sprintf("%x", h.Sum(nil)[:10])
}

// calls numbers the functions of the driver as its counters are numbered.
var calls = sync.OnceValue(func() map[string]int {
	numbers := map[string]int{}
	line := regexp.MustCompile(`(?m)^CALL\((\w+), \w+\)`)
	for i, m := range line.FindAllSubmatch(sources()["calls.h"], -1) {
		numbers[string(m[1])] = i
	}
	return numbers
})

// Functions returns the names of the driver's functions, in order of name.
func Functions() []string { return names(calls()) }
