package main

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
)

// script is a Python program of the bundle that answers questions.
type script struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
	log strings.Builder
}

// interpreter is the Python that everything is run with.
func interpreter() string { return cmp.Or(os.Getenv("PYTHON"), "python3") }

// pythonEnv lets Python find ingot and what the bundle carries, and see no other GPU.
func (b *bench) pythonEnv() []string {
	path := []string{b.file("python"), b.path("wheels")}
	if before := os.Getenv("PYTHONPATH"); before != "" {
		path = append(path, before)
	}
	env := append(os.Environ(), "PYTHONPATH="+strings.Join(path, ":"), "PYTHONDONTWRITEBYTECODE=1",
		"INGOT_AGENT="+b.path("agent.sock"))
	if len(b.driver.Devices()) > 1 { // a slice of a GPU is alone, and has another name there
		env = append(env, "CUDA_VISIBLE_DEVICES="+b.device.UUID().String())
	}
	return env
}

// python runs a line of Python and returns what it prints.
func (b *bench) python(ctx context.Context, code string) (string, error) {
	cmd := exec.CommandContext(ctx, interpreter(), "-c", code)
	cmd.Env = b.pythonEnv()
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		lines := strings.Split(strings.TrimSpace(string(exit.Stderr)), "\n")
		err = errors.New(lines[len(lines)-1])
	}
	return strings.TrimSpace(string(out)), err
}

// imports tells why Python cannot import a module, or returns nil.
func (b *bench) imports(ctx context.Context, module string) error {
	_, err := b.python(ctx, "import "+module)
	return err
}

// pythonReady says what there is of Python, and unpacks what the bundle carries of
// what is missing.
func pythonReady(ctx context.Context, b *bench) error {
	version, err := b.python(ctx, "import sys; print('%d%d' % sys.version_info[:2])")
	if err != nil {
		return skipf("no Python: %v", err)
	}
	if err := b.imports(ctx, "numpy"); err != nil {
		return skipf("Python has no NumPy: %v", err)
	}
	for _, module := range []string{"ml_dtypes", "safetensors", "runai_model_streamer", "humanize"} {
		if b.imports(ctx, module) == nil {
			continue
		}
		if err := b.unpack(ctx, module, version); err != nil {
			b.note("Python has no %s, and the bundle carries none that fits: %v", module, err)
		}
	}
	if err := b.imports(ctx, "ingot"); err != nil {
		return fmt.Errorf("the package ingot: %w", err)
	}
	b.right("Python "+version[:1]+"."+version[1:]+" has the package ingot", "")
	if err := b.hasTorch(ctx); err != nil {
		return skipf("no PyTorch: %v", err)
	}
	b.report.Machine.Torch, err = b.python(ctx, "import torch; print(torch.__version__, 'CUDA', torch.version.cuda)")
	return err
}

// hasTorch tells why PyTorch cannot be used, or returns nil.
func (b *bench) hasTorch(ctx context.Context) error {
	if b.report.Fake {
		return errors.New("PyTorch does not work on a fake driver")
	}
	_, err := b.python(ctx, "import torch; assert torch.cuda.is_available(), 'PyTorch has no GPU'")
	return err
}

// unpack unpacks the wheel of a module that fits this Python.
func (b *bench) unpack(ctx context.Context, module, version string) error {
	var found string
	for _, tag := range []string{"cp" + version, "py3", "abi3"} {
		names, err := filepath.Glob(filepath.Join(b.o.bundle, "wheels", module+"-*"+tag+"-*.whl"))
		if err == nil && len(names) > 0 && found == "" {
			found = names[0]
		}
	}
	if found == "" {
		return errors.New("there is no wheel")
	}
	out, err := exec.CommandContext(ctx, interpreter(), "-m", "zipfile", "-e", found, b.path("wheels")).CombinedOutput()
	if err != nil {
		return fmt.Errorf("unpack %s: %w: %s", filepath.Base(found), err, out)
	}
	return b.imports(ctx, module)
}

// start runs a script of the bundle until it is ready for questions.
func (b *bench) start(ctx context.Context, name string, args ...string) (*script, error) {
	s := &script{}
	s.cmd = exec.CommandContext(ctx, interpreter(), append([]string{b.file(filepath.Join("scripts", name))}, args...)...)
	s.cmd.Env, s.cmd.Stderr = b.pythonEnv(), &s.log
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if s.in, err = s.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	s.out = bufio.NewReader(out)
	if first, err := s.out.ReadString('\n'); err != nil || first != "ready\n" {
		return nil, fmt.Errorf("%s said %q instead of ready: %w", name, first, errors.Join(err, s.end()))
	}
	return s, nil
}

// ask asks a question and reads the answer into what out points to.
func (s *script) ask(out any, question ...string) error {
	if _, err := fmt.Fprintln(s.in, strings.Join(question, " ")); err != nil {
		return fmt.Errorf("ask %s: %w", question[0], err)
	}
	line, err := s.out.ReadBytes('\n')
	if err != nil {
		return fmt.Errorf("ask %s: %w", question[0], errors.Join(err, s.end()))
	}
	var refused struct {
		Error string `json:"error"`
	}
	if err := json.Unmarshal(line, &refused); err != nil {
		return fmt.Errorf("ask %s: %w", question[0], err)
	}
	if refused.Error != "" {
		return fmt.Errorf("%s: %s", question[0], refused.Error)
	}
	return json.Unmarshal(line, out)
}

// end has a script end, which it does when there are no more questions.
func (s *script) end() error {
	if s == nil {
		return nil
	}
	err := errors.Join(s.in.Close(), s.cmd.Wait())
	if err != nil {
		lines := strings.Split(strings.TrimSpace(s.log.String()), "\n")
		err = fmt.Errorf("%w: %s", err, lines[len(lines)-1])
	}
	return err
}
