package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/ingot-ml/ingot/integration/measure"
)

// stepNames are the steps of a round, in order.
var stepNames = []string{
	"first push",
	"second push of the same",
	"push of the variant",
	"pull, empty folder, no cache",
	"pull, empty folder, filling the cache",
	"pull of the variant, base in the cache",
	"pull of the variant over the base's folder",
}

// step is what one command cost.
type step struct {
	copies, syncedCopies, memcpys float64
	moved, stored                 float64 // MB
	peak                          float64 // MiB
}

type result struct {
	steps      []step
	serverPeak float64 // MiB
	ratio      float64
}

// bench knows the program, the folder that a round may use and empties, and the
// models.
type bench struct {
	program, work, base, variant string

	server *exec.Cmd
	env    []string
}

// round runs all steps on an empty registry.
func (b *bench) round() (r result, err error) {
	for _, dir := range []string{"store", "home", "pulled", "first"} {
		if err := os.RemoveAll(filepath.Join(b.work, dir)); err != nil {
			return r, fmt.Errorf("empty the work folder: %w", err)
		}
	}
	if err := b.start(); err != nil {
		return r, err
	}
	defer b.stop()
	const base, variant = "bench/model:base", "bench/model:variant"
	pulled, first := filepath.Join(b.work, "pulled"), filepath.Join(b.work, "first")
	for i, s := range []struct {
		model   string
		args    []string
		compare string // a folder that must equal the model then
		discard bool   // whether it goes away again
	}{
		{b.base, []string{"push", b.base, base}, "", false},
		{b.base, []string{"push", b.base, base}, "", false},
		{b.variant, []string{"push", b.variant, variant}, "", false},
		{b.base, []string{"pull", base, pulled, "--no-cache"}, pulled, true},
		{b.base, []string{"pull", base, first}, first, false},
		{b.variant, []string{"pull", variant, pulled}, pulled, true},
		{b.variant, []string{"pull", variant, first, "--no-cache"}, first, true},
	} {
		got, raw, err := b.step(s.model, s.args)
		if err != nil {
			return r, fmt.Errorf("%s: %w", stepNames[i], err)
		}
		r.steps = append(r.steps, got)
		if i == 0 {
			r.ratio = got.stored / raw
		}
		if err := b.check(s.model, s.compare, s.discard); err != nil {
			return r, fmt.Errorf("%s: %w", stepNames[i], err)
		}
	}
	usage, err := measure.Running(b.server.Process.Pid)
	r.serverPeak = usage.Peak
	return r, err
}

// step runs the program once; raw is the model's size in MB.
func (b *bench) step(model string, args []string) (s step, raw float64, err error) {
	to := filepath.Join(b.work, "copy")
	copied, err := measure.Copy(b.env, model, to)
	if err != nil {
		return s, 0, err
	}
	synced, _, err := measure.Clock(b.env, fmt.Sprintf("cp -r %q %q && sync", model, to))
	if err != nil {
		return s, 0, err
	}
	if err := errors.Join(os.RemoveAll(to), measure.Shell(b.env, "sync")); err != nil {
		return s, 0, err
	}
	before, err := measure.Running(b.server.Process.Pid)
	if err != nil {
		return s, 0, err
	}
	cmd := exec.Command(b.program, append(args, "--json")...)
	cmd.Env = b.env
	var out, said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &said
	began := time.Now()
	client, err := measure.Run(cmd)
	took := time.Since(began)
	if err != nil {
		return s, 0, fmt.Errorf("ingot %q: %w\n%s", args, err, said.String())
	}
	after, err := measure.Running(b.server.Process.Pid)
	if err != nil {
		return s, 0, err
	}
	var receipt struct {
		Total    float64 `json:"bytes_total"`
		Sent     float64 `json:"bytes_sent"`
		Received float64 `json:"bytes_received"`
		Stored   float64 `json:"bytes_stored"`
	}
	if err := json.Unmarshal(out.Bytes(), &receipt); err != nil {
		return s, 0, fmt.Errorf("ingot %q printed %q: %w", args, out.Bytes(), err)
	}
	cpu := client.CPU + after.CPU - before.CPU
	return step{
		copies:       took.Seconds() / copied.Seconds(),
		syncedCopies: took.Seconds() / synced.Seconds(),
		memcpys:      cpu.Seconds() / measure.Memcpy(int64(receipt.Total)).Seconds(),
		moved:        (receipt.Sent + receipt.Received) / 1e6,
		stored:       receipt.Stored / 1e6,
		peak:         client.Peak,
	}, receipt.Total / 1e6, nil
}

// check compares a folder with the model, and removes it if it is to go.
func (b *bench) check(model, dir string, discard bool) error {
	if dir == "" {
		return nil
	}
	if err := measure.Shell(b.env, fmt.Sprintf("diff -r %q %q", model, dir)); err != nil {
		return fmt.Errorf("compare what was pulled: %w", err)
	}
	if discard {
		return os.RemoveAll(dir)
	}
	return nil
}

func (b *bench) start() error {
	addr, err := measure.FreeAddress()
	if err != nil {
		return err
	}
	b.env = []string{"PATH=" + os.Getenv("PATH"), "HOME=" + filepath.Join(b.work, "home"), "INGOT_REGISTRY=http://" + addr}
	b.server = exec.Command(b.program, "serve", "--data", filepath.Join(b.work, "store"), "--listen", addr)
	b.server.Env = b.env
	if err := b.server.Start(); err != nil {
		return fmt.Errorf("start the registry: %w", err)
	}
	if err := measure.Await(addr); err != nil {
		b.stop()
		return err
	}
	return nil
}

func (b *bench) stop() { _, _ = b.server.Process.Kill(), b.server.Wait() }
