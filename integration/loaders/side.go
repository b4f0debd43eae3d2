package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// side is a process that loads the model whenever it is told.
type side struct {
	name       string
	ours       bool
	warm, cold []float64 // seconds
	crc        string    // of the tensors it loaded

	command *exec.Cmd
	in      io.WriteCloser
	out     *bufio.Reader
}

// start starts all sides, one after another, and waits until each is ready.
func start(work, python, model string) ([]*side, error) {
	bench := filepath.Join(work, "loadbench")
	sides := []*side{
		{name: "ingot, chunks plain", ours: true, command: exec.Command(bench, filepath.Join(work, "plain"), model)},
		{name: "ingot, chunks encoded", ours: true, command: exec.Command(bench, "-form", "encoded", filepath.Join(work, "encoded"), model)},
	}
	for _, l := range []struct{ name, function string }{
		{"Run:ai Model Streamer", "streamer"},
		{"safetensors for PyTorch, pread", "safetensors-pread"},
		{"safetensors for PyTorch, mmap and clone", "safetensors-mmap"},
		{"safetensors for NumPy", "safetensors-numpy"},
	} {
		sides = append(sides, &side{name: l.name, command: exec.Command(python, "integration/loaders/load.py", l.function, model)})
	}
	for i, s := range sides {
		if err := s.start(); err != nil {
			stop(sides[:i])
			return nil, fmt.Errorf("start %s: %w", s.name, err)
		}
	}
	return sides, nil
}

func (s *side) start() error {
	s.command.Stderr = os.Stderr
	in, err := s.command.StdinPipe()
	if err != nil {
		return err
	}
	out, err := s.command.StdoutPipe()
	if err != nil {
		return err
	}
	s.in, s.out = in, bufio.NewReader(out)
	if err := s.command.Start(); err != nil {
		return err
	}
	var word string
	if _, err := fmt.Fscanln(s.out, &word); err != nil || word != "ready" {
		_ = s.in.Close()
		_ = s.command.Wait() // it has said why on the standard error
		return fmt.Errorf("it said %q instead of ready", word)
	}
	return nil
}

// load has the side load the model, and returns the seconds that took.
func (s *side) load() (seconds float64, err error) {
	if _, err := fmt.Fprintln(s.in); err != nil {
		return 0, fmt.Errorf("tell %s to load: %w", s.name, err)
	}
	var crc string
	if _, err := fmt.Fscanln(s.out, &seconds, &crc); err != nil {
		return 0, fmt.Errorf("hear from %s: %w", s.name, err)
	}
	if s.crc != "" && s.crc != crc {
		return 0, fmt.Errorf("%s loaded other bytes than before", s.name)
	}
	s.crc = crc
	return seconds, nil
}

// stop ends the processes.
func stop(sides []*side) {
	for _, s := range sides {
		_ = s.in.Close()
		_ = s.command.Wait() // nothing depends on how it ends
	}
}
