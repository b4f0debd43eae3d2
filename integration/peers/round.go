package main

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// result is what one round of one peer cost: multiples of cp, and MB.
type result struct {
	pushBase, pushVariant, pullBase, pullVariant float64
	stored, added                                float64
}

// bench knows the models, the folder that a round may use and empties, and the
// search path on which the programs lie.
type bench struct {
	base, variant, work, bin string
}

// round runs a peer once, on an empty store.
func (b *bench) round(p peer) (r result, err error) {
	store := filepath.Join(b.work, "store")
	if err := errors.Join(os.RemoveAll(b.work), os.MkdirAll(store, 0o755)); err != nil {
		return r, fmt.Errorf("empty the work folder: %w", err)
	}
	env, stop, err := b.start(p)
	if err != nil {
		return r, err
	}
	defer stop()
	steps := []func() error{
		func() error { return b.timed(env, p.push, "base", b.base, &r.pushBase) },
		func() (err error) { r.stored, err = megabytes(store); return },
		func() error { return b.timed(env, p.push, "variant", b.variant, &r.pushVariant) },
		func() (err error) { r.added, err = megabytes(store); r.added -= r.stored; return },
		func() error { return b.timedPull(env, p.pull, "base", b.base, &r.pullBase) },
		func() error { return b.pullVariant(env, p, &r.pullVariant) },
	}
	for _, step := range steps {
		if err := step(); err != nil {
			return r, err
		}
	}
	return r, nil
}

func (b *bench) pullVariant(env []string, p peer, ratio *float64) error {
	if p.pullNext == "" {
		return b.timedPull(env, p.pull, "variant", b.variant, ratio)
	}
	var unused float64
	if err := b.timedPull(env, p.warm, "base", b.base, &unused); err != nil {
		return err
	}
	return b.timedPull(env, p.pullNext, "variant", b.variant, ratio)
}

// start runs the peer's server, if it has one, and its setup.
func (b *bench) start(p peer) (env []string, stop func(), err error) {
	addr, err := freeAddress()
	if err != nil {
		return nil, nil, err
	}
	env, stop = environ(b.bin, b.work, addr), func() {}
	if p.serve != "" {
		cmd := exec.Command("bash", "-c", p.serve)
		cmd.Env = env
		if err := cmd.Start(); err != nil {
			return nil, nil, fmt.Errorf("start the server: %w", err)
		}
		stop = func() { _, _ = cmd.Process.Kill(), cmd.Wait() }
		if err := await(addr); err != nil {
			stop()
			return nil, nil, err
		}
	}
	if p.setup != "" {
		if err := shell(env, p.setup); err != nil {
			stop()
			return nil, nil, err
		}
	}
	return env, stop, nil
}

// timed runs a command on a model and gives its time as a multiple of a copy of
// the same model made right before. An earlier copy, which does not count, puts
// the model into the page cache and makes the machine back its free memory.
func (b *bench) timed(env []string, command, tag, model string, ratio *float64) error {
	env = append(env, "SRC="+model, "TAG="+tag, "DST="+b.pulled())
	var copied time.Duration
	for range 2 {
		var err error
		if copied, err = clock(env, `cp -r "$SRC" "$WORK/copy"`); err != nil {
			return err
		}
		if err := os.RemoveAll(filepath.Join(b.work, "copy")); err != nil {
			return fmt.Errorf("remove the copy: %w", err)
		}
	}
	took, err := clock(env, command)
	*ratio = took.Seconds() / copied.Seconds()
	return err
}

func (b *bench) timedPull(env []string, command, tag, model string, ratio *float64) error {
	if err := b.timed(env, command, tag, model, ratio); err != nil {
		return err
	}
	if err := shell(env, fmt.Sprintf("diff -r %q %q", model, b.pulled())); err != nil {
		return fmt.Errorf("compare what was pulled: %w", err)
	}
	return os.RemoveAll(b.pulled())
}

func (b *bench) pulled() string { return filepath.Join(b.work, "pulled") }

// clock measures a command, after dirty pages of what ran before are written.
func clock(env []string, command string) (time.Duration, error) {
	if err := shell(env, "sync"); err != nil {
		return 0, err
	}
	begin := time.Now()
	err := shell(env, command)
	return time.Since(begin), err
}

// shell runs a command and keeps what it prints for the error.
func shell(env []string, command string) error {
	cmd := exec.Command("bash", "-o", "pipefail", "-c", command)
	cmd.Env = env
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("run %s: %w\n%s", command, err, said.Bytes())
	}
	return nil
}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", fmt.Errorf("find a free port: %w", err)
	}
	return l.Addr().String(), l.Close()
}

// await returns when a server accepts connections at the address.
func await(addr string) error {
	for range 300 {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			return conn.Close()
		}
		time.Sleep(100 * time.Millisecond)
	}
	return fmt.Errorf("await the server at %s: nobody answers", addr)
}

// megabytes adds up the sizes of the files below a folder.
func megabytes(dir string) (float64, error) {
	var total int64
	err := filepath.WalkDir(dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err == nil {
			total += info.Size()
		}
		return err
	})
	return float64(total) / 1e6, err
}
