package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/openapi"
)

// repo is where the models are in the registry.
const repo = "check/model"

// small is how many times larger than the model beside it the model is.
const small = 16

// stack is a registry and an agent with models, all on this machine.
type stack struct {
	layout
	beside   layout // of the small model
	files    disk   // of the model
	registry *service
	agent    *service
	client   *agent.Agent
	address  string // of the registry
	sums     *summer
	ready    bool               // the agent has the GPU
	kills    int                // of its mover
	variants map[string]variant // by the digest of their version

	// What was measured, 0 if it was not.
	first  time.Duration // of the first load, from the page cache on
	load   time.Duration // of the whole model into the GPU
	full   time.Duration // of a swap to the whole model
	small  time.Duration // of a swap in place
	attach time.Duration // in Python
}

// The variants in the registry.
const (
	baseTag  = "base"
	tunedTag = "tuned" // 5 % of the chunks are others
	layerTag = "layer" // with a number: one layer is another
	otherTag = "other" // a small model
)

// layers is how many variants have a layer of their own.
const layers = 3

// file is something of the bundle.
func (b *bench) file(name string) string { return filepath.Join(b.o.bundle, name) }

// path is something in the folder of this run.
func (b *bench) path(name string) string { return filepath.Join(b.dir, name) }

// ref is a variant in the registry.
func ref(tag string) string { return repo + ":" + tag }

// service is a process that runs until it is told to stop.
type service struct {
	cmd  *exec.Cmd
	said bytes.Buffer
	done chan struct{}
}

// begin starts a program of the bundle. It ends with this one, however that ends.
func (b *bench) begin(args ...string) (*service, error) {
	s := &service{done: make(chan struct{})}
	s.cmd = exec.Command(b.file("ingot"), args...)
	s.cmd.Env = b.environ()
	s.cmd.Stdout, s.cmd.Stderr = &s.said, &s.said
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = s.cmd.Wait() // who stops it knows why, and who did not looks at done
		close(s.done)
	}()
	return s, nil
}

// stop ends a service as a service manager does, and then less kindly.
func (s *service) stop() error {
	if s == nil {
		return nil
	}
	_ = s.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-s.done:
		return nil
	case <-time.After(20 * time.Second):
	}
	err := s.cmd.Process.Kill()
	<-s.done
	return errors.Join(fmt.Errorf("%s did not stop when it was told to", s.cmd.Args[1]), err)
}

// last is the end of what a service has said. It has ended.
func (s *service) last() string {
	said := bytes.TrimSpace(s.said.Bytes())
	return string(said[max(0, len(said)-500):])
}

// await waits until ready returns nil. A service that has ended is not waited for.
func (s *service) await(ctx context.Context, ready func() error) error {
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %w", s.cmd.Args[1], context.Cause(ctx), err)
		case <-s.done:
			return fmt.Errorf("%s has ended: %s", s.cmd.Args[1], s.last())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func (b *bench) environ() []string {
	env := append(os.Environ(), "HOME="+b.path("home"), "XDG_CACHE_HOME=", "XDG_DATA_HOME=", "XDG_RUNTIME_DIR=")
	if b.stack != nil {
		env = append(env, "INGOT_REGISTRY="+b.stack.address, "INGOT_AGENT="+b.path("agent.sock"))
	}
	return env
}

// prepare starts a registry and pushes the models: the small one first, to see how
// long it takes.
func prepare(ctx context.Context, b *bench) error {
	if _, err := os.Stat(b.file("ingot")); err != nil {
		return skipf("the program ingot is not in the bundle: %v", err)
	}
	s := &stack{beside: layoutFor(b.report.Model / small), variants: map[string]variant{}}
	b.stack = s
	begin := time.Now()
	var err error
	if s.registry, s.address, err = b.serve(ctx); err != nil {
		return err
	}
	other := &disk{layout: s.beside, dir: b.path("other")}
	if err := b.push(ctx, other, other.base(otherTag, 1<<10)); err != nil {
		return err
	}
	s.layout = layoutFor(b.affordable(time.Since(begin)))
	b.report.Model = s.bytes()
	s.files = disk{layout: s.layout, dir: b.path("files")}
	if err := b.pushModels(ctx); err != nil {
		return err
	}
	for of, sum := range other.sums {
		s.files.note(of, sum)
	}
	b.measured("write and push the models", time.Since(begin).Seconds(), "s")
	return os.RemoveAll(other.dir)
}

// pushModels pushes the base and its variants, and leaves the files of the base.
func (b *bench) pushModels(ctx context.Context) error {
	s := b.stack
	base := s.base(baseTag, 1)
	models := []variant{base, s.tuned(tunedTag, 1, 2)}
	for i := range layers {
		models = append(models, s.layer(fmt.Sprint(layerTag, i+1), 1, uint64(3+i), (i+1)*s.tensors/(layers+1)))
	}
	for _, v := range models {
		if err := b.push(ctx, &s.files, v); err != nil {
			return err
		}
	}
	return s.files.become(ctx, base)
}

// affordable returns the size of the model for which there is time, after the small
// one took so long.
func (b *bench) affordable(took time.Duration) int64 {
	const limit, pushes = 200 * time.Second, 3 // a variant, most of which is known, takes half a push
	expected := took * small * pushes
	if expected <= limit || b.report.Fake {
		return b.report.Model
	}
	n := int64(float64(b.report.Model) * float64(limit) / float64(expected))
	b.note("a model of %s took %.1f s to write and push: the model has %s instead of %s", size(b.stack.beside.bytes()), took.Seconds(), size(n), size(b.report.Model))
	return n
}

// serve starts a registry.
func (b *bench) serve(ctx context.Context) (*service, string, error) {
	address, err := freeAddress()
	if err != nil {
		return nil, "", err
	}
	s, err := b.begin("serve", "--data", b.path("registry"), "--listen", address)
	if err != nil {
		return nil, "", err
	}
	return s, "http://" + address, s.await(ctx, func() error { return healthy(ctx, "http://"+address) })
}

// push makes a folder hold a variant, and pushes it.
func (b *bench) push(ctx context.Context, d *disk, v variant) error {
	if err := d.become(ctx, v); err != nil {
		return fmt.Errorf("write %s: %w", v.name, err)
	}
	out, err := b.ingot(ctx, "push", "--json", "--no-resume", d.dir, ref(v.name))
	if err != nil {
		return err
	}
	var receipt struct {
		Digest string `json:"digest"`
	}
	if err := json.Unmarshal(out, &receipt); err != nil {
		return fmt.Errorf("push %s: %w", v.name, err)
	}
	b.stack.variants[receipt.Digest] = v
	return nil
}

// ingot runs the program of the bundle to its end.
func (b *bench) ingot(ctx context.Context, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, b.file("ingot"), args...)
	cmd.Env = b.environ()
	out, err := cmd.Output()
	if exit, ok := errors.AsType[*exec.ExitError](err); ok {
		err = fmt.Errorf("ingot %s: %w: %s", args[0], err, bytes.TrimSpace(exit.Stderr))
	}
	return out, err
}

// startAgent starts an agent with the GPU, and brings the models onto its disk.
func startAgent(ctx context.Context, b *bench) error {
	s := b.stack
	if s == nil || s.registry == nil {
		return skipf("there is no registry")
	}
	var err error
	if s.sums, err = b.newSummer(s); err != nil {
		return err
	}
	if s.client, err = agent.New(b.path("agent.sock"), agent.Options{Client: "gpucheck"}); err != nil {
		return err
	}
	before, err := b.free()
	if err != nil {
		return err
	}
	n := s.bytes()
	s.agent, err = b.begin("agent", "--registry", s.address, "--data", b.path("node"), "--socket", b.path("agent.sock"),
		"--disk", fmt.Sprint(n*2+gib), "--ram", fmt.Sprint(n*14/10+64*mib),
		"--gpu", fmt.Sprintf("%s=%d", b.device.UUID(), n*22/10+64*mib), "--gpu-headroom", fmt.Sprint(64*mib))
	if err != nil {
		return err
	}
	limit, stop := context.WithTimeout(ctx, patience)
	defer stop()
	if err := s.agent.await(limit, func() error { return b.deviceReady(limit) }); err != nil {
		return err
	}
	s.ready = true
	b.right("the agent has the GPU", "")
	after, err := b.free()
	if err != nil {
		return err
	}
	b.measured("GPU memory that the agent takes for nothing", float64(before-after)/mib, "MiB")
	begin := time.Now()
	for _, v := range s.variants {
		if _, err := s.client.Load(ctx, openapi.LoadRequest{Ref: ref(v.name), Tier: openapi.TierDisk}); err != nil {
			return err
		}
	}
	b.measured("fetch the models", time.Since(begin).Seconds(), "s")
	return nil
}

// deviceReady tells whether the agent has the GPU ready.
func (b *bench) deviceReady(ctx context.Context) error {
	d, err := b.usage(ctx)
	if err == nil && d.State != openapi.DeviceReady {
		err = fmt.Errorf("the GPU is %s: %s", d.State, d.Message)
	}
	return err
}

// usage is what the agent says of the GPU.
func (b *bench) usage(ctx context.Context) (openapi.GPUDevice, error) {
	status, err := b.stack.client.Status(ctx)
	if err != nil {
		return openapi.GPUDevice{}, err
	}
	for _, d := range status.Tiers.GPU.Devices {
		if d.UUID == b.device.UUID().String() {
			return d, nil
		}
	}
	return openapi.GPUDevice{}, fmt.Errorf("the agent has no GPU: it is %s: %s", status.Tiers.GPU.State, status.Tiers.GPU.Message)
}

// stopStack ends what prepare and startAgent have started.
func (b *bench) stopStack() error {
	s := b.stack
	if s == nil {
		return nil
	}
	err := s.agent.stop()
	if s.client != nil {
		s.client.Close()
	}
	if s.sums != nil {
		err = errors.Join(err, s.sums.close())
	}
	return errors.Join(err, s.registry.stop())
}

// keepLog writes down what the agent has said. It has ended.
func (b *bench) keepLog(path string) error {
	if b.stack == nil || b.stack.agent == nil {
		return nil
	}
	return os.WriteFile(path, b.stack.agent.said.Bytes(), 0o644)
}
