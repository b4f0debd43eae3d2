package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"time"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/integration/measure"
)

// inplace has an agent bring a version of which 1 % of the values moved into the memory
// of the one before it, for which there is no room beside it, and tells what that takes
// at the most beside the model.
func (b *bench) inplace(ctx context.Context) error {
	s := registry()
	if err := b.start(s); err != nil {
		return err
	}
	defer s.stop()
	base, tune := filepath.Join(b.work, "models", "base"), filepath.Join(b.work, "models", "tune")
	if err := errors.Join(synth.Write(ctx, base, b.spec), synth.Write(ctx, tune, b.spec, synth.Train(1, 0.01))); err != nil {
		return err
	}
	first, _, err := s.push(ctx, base, "bench/model:live")
	if err != nil {
		return err
	}
	agent, err := s.agent(ctx, int64(first.Total))
	if err != nil {
		return err
	}
	defer func() { _, _ = agent.Process.Kill(), agent.Wait() }() // it is of no use any more
	if _, _, err := s.load(); err != nil {
		return err
	}
	second, _, err := s.push(ctx, tune, "bench/model:next", "--base", "bench/model:live")
	if err != nil {
		return err
	}
	if err := measure.Shell(s.env, "ingot tag bench/model:next live"); err != nil {
		return err
	}
	held, err := resetPeak(agent.Process.Pid)
	if err != nil {
		return err
	}
	got, took, err := s.load()
	if err != nil {
		return err
	}
	used, err := measure.Running(agent.Process.Pid)
	if err != nil {
		return err
	}
	read, _, err := measure.Clock(s.env, fmt.Sprintf("cat %q/* >/dev/null", tune))
	if err != nil {
		return err
	}
	const mib = 1 << 20
	fmt.Printf("\nOnto a node that holds the model of %.0f MiB and has no room for two: %.1f MiB sent by the push, %.1f MiB received, %.1f MiB patched in %.2f s;\n",
		first.Total/mib, second.Sent/mib, got.Received/mib, got.Patched/mib, took.Seconds())
	memcpy := measure.Memcpy(int64(first.Total)).Seconds()
	fmt.Printf("at most %.0f MiB beside the %.0f MiB that the agent had, and %.1f memcpys of its processor's time; to read the files from the page cache takes %.2f s.\n",
		used.Peak-held.Peak, held.Peak, (used.CPU-held.CPU).Seconds()/memcpy, read.Seconds())
	return nil
}

// agent starts an agent with room for one model of that size in memory.
func (s *store) agent(ctx context.Context, size int64) (*exec.Cmd, error) {
	socket := filepath.Join(s.work, "agent.sock")
	s.env = append(s.env, "INGOT_AGENT="+socket)
	cmd := exec.CommandContext(ctx, s.program, "agent", "--data", filepath.Join(s.work, "node"), "--socket", socket,
		"--disk", strconv.FormatInt(3*size, 10), "--ram", strconv.FormatInt(size+size/4, 10))
	cmd.Env, cmd.Stderr = s.env, os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start the agent: %w", err)
	}
	ready := measure.Shell(s.env, "for i in {1..300}; do ingot status >/dev/null 2>&1 && exit 0; sleep 0.1; done; exit 1")
	if ready != nil {
		return cmd, fmt.Errorf("await the agent: %w", ready)
	}
	return cmd, nil
}

// loaded is what an agent says of a load.
type loaded struct {
	Received float64 `json:"bytes_received"`
	Patched  float64 `json:"bytes_patched"`
}

// load has the agent load what the tag names now.
func (s *store) load() (got loaded, took time.Duration, err error) {
	took, out, err := measure.Clock(s.env, "ingot load bench/model:live --tier ram --json")
	if err == nil {
		err = json.Unmarshal(out, &got)
	}
	return got, took, err
}

// resetPeak has a process's peak of memory start from what it has now, and
// returns what it has used so far.
func resetPeak(pid int) (u measure.Usage, err error) {
	const peak = "5" // as the kernel numbers what can be cleared
	if err := os.WriteFile(fmt.Sprintf("/proc/%d/clear_refs", pid), []byte(peak), 0); err != nil {
		return u, fmt.Errorf("reset the peak of process %d: %w", pid, err)
	}
	return measure.Running(pid)
}
