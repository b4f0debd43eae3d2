package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// side is a way to load the model. Each load is a process of its own.
type side struct {
	name       string
	ours       bool
	command    []string
	files      string    // that it reads, or the folder of them
	warm, cold []float64 // seconds
	crc        string    // of the tensors it loaded
}

// allSides are the ways to load the model at path.
func allSides(work, python, path string) []*side {
	bench := filepath.Join(work, "loadbench")
	sides := []*side{
		{name: "ingot, chunks plain", ours: true, files: filepath.Join(work, "plain"), command: []string{bench, filepath.Join(work, "plain"), path}},
		{name: "ingot, chunks encoded", ours: true, files: filepath.Join(work, "encoded"), command: []string{bench, "-form", "encoded", filepath.Join(work, "encoded"), path}},
	}
	for _, l := range []struct{ name, function string }{
		{"Run:ai Model Streamer", "streamer"},
		{"safetensors for PyTorch, pread", "safetensors-pread"},
		{"safetensors for PyTorch, mmap and clone", "safetensors-mmap"},
		{"safetensors for NumPy", "safetensors-numpy"},
	} {
		sides = append(sides, &side{name: l.name, files: path, command: []string{python, "integration/loaders/load.py", l.function, path}})
	}
	return sides
}

// load has a process load the model once, and returns the seconds that took.
// prepare is called when the process has loaded its code and waits.
func (s *side) load(prepare func() error) (seconds float64, err error) {
	command := exec.Command(s.command[0], s.command[1:]...)
	command.Stderr = os.Stderr
	in, err := command.StdinPipe()
	if err != nil {
		return 0, err
	}
	pipe, err := command.StdoutPipe()
	if err != nil {
		return 0, err
	}
	if err := command.Start(); err != nil {
		return 0, fmt.Errorf("start %s: %w", s.name, err)
	}
	seconds, err = s.talk(in, bufio.NewReader(pipe), prepare)
	return seconds, errors.Join(err, in.Close(), command.Wait())
}

// talk tells a process to load, and hears how long it took.
func (s *side) talk(in io.Writer, out *bufio.Reader, prepare func() error) (seconds float64, err error) {
	var word, crc string
	if _, err := fmt.Fscanln(out, &word); err != nil || word != "ready" {
		return 0, fmt.Errorf("%s said %q instead of ready", s.name, word)
	}
	if err := prepare(); err != nil {
		return 0, err
	}
	if _, err := fmt.Fprintln(in); err != nil {
		return 0, fmt.Errorf("tell %s to load: %w", s.name, err)
	}
	if _, err := fmt.Fscanln(out, &seconds, &crc); err != nil {
		return 0, fmt.Errorf("hear from %s: %w", s.name, err)
	}
	if s.crc != "" && s.crc != crc {
		return 0, fmt.Errorf("%s loaded other bytes than before", s.name)
	}
	s.crc = crc
	return seconds, nil
}
