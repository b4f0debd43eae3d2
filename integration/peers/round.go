package main

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/ingot-ml/ingot/integration/measure"
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
		func() (err error) { r.stored, err = measure.Megabytes(store); return },
		func() error { return b.timed(env, p.push, "variant", b.variant, &r.pushVariant) },
		func() (err error) { r.added, err = measure.Megabytes(store); r.added -= r.stored; return },
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
	addr, err := measure.FreeAddress()
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
		if err := measure.Await(addr); err != nil {
			stop()
			return nil, nil, err
		}
	}
	if p.setup != "" {
		if err := measure.Shell(env, p.setup); err != nil {
			stop()
			return nil, nil, err
		}
	}
	return env, stop, nil
}

// timed runs a command on a model and gives its time as a multiple of a copy of
// the same model made right before.
func (b *bench) timed(env []string, command, tag, model string, ratio *float64) error {
	copied, err := measure.Copy(env, model, filepath.Join(b.work, "copy"))
	if err != nil {
		return err
	}
	env = append(env, "SRC="+model, "TAG="+tag, "DST="+b.pulled())
	took, _, err := measure.Clock(env, command)
	*ratio = took.Seconds() / copied.Seconds()
	return err
}

func (b *bench) timedPull(env []string, command, tag, model string, ratio *float64) error {
	if err := b.timed(env, command, tag, model, ratio); err != nil {
		return err
	}
	if err := measure.Shell(env, fmt.Sprintf("diff -r %q %q", model, b.pulled())); err != nil {
		return fmt.Errorf("compare what was pulled: %w", err)
	}
	return os.RemoveAll(b.pulled())
}

func (b *bench) pulled() string { return filepath.Join(b.work, "pulled") }
