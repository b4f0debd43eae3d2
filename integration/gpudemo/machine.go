package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/cuda/cudatest/fakecuda"
)

// The models: two that have nothing in common, and a variant of the first.
const (
	chat    = "demo/chat:v1"
	chatTwo = "demo/chat:v2"
	code    = "demo/code:v1"
)

// choose finds a GPU, or else makes the fake one, and says which.
func (d *demo) choose(ctx context.Context) error {
	d.env = append(os.Environ(), "HOME="+d.dir, "PYTHONPATH=python/src", "PYTHONDONTWRITEBYTECODE=1")
	driver, err := cuda.Open("")
	if err == nil && len(driver.Devices()) > 0 {
		gpu := driver.Devices()[0]
		d.uuid = gpu.UUID().String()
		fmt.Printf("GPU: %s, %d MiB, %s\n", gpu.Name(), gpu.TotalMemory()>>20, d.uuid)
		return nil
	}
	library, err := fakecuda.Build(ctx, filepath.Join(".cache", "fakecuda"))
	if err != nil {
		return fmt.Errorf("there is no GPU, and the fake driver cannot be made: %w", err)
	}
	fake, err := fakecuda.Open(d.dir, library, fakecuda.Options{Memory: 1 << 30})
	if err != nil {
		return err
	}
	d.uuid, d.env = fake.UUID(0), append(d.env, fake.Env()...)
	fmt.Println("GPU: none on this machine. This is the FAKE driver: the bytes are right, the times say nothing of a GPU.")
	return fake.Close() // the processes have it
}

// node is a registry and an agent that run.
type node struct {
	*agent.Agent
	socket string
	all    []*exec.Cmd
	said   bytes.Buffer
}

func (n *node) stop() {
	for _, cmd := range n.all {
		_ = cmd.Process.Signal(os.Interrupt) // it may have ended
		_ = cmd.Wait()
	}
}

// models writes the weights.
func (d *demo) models(ctx context.Context) error {
	spec := synth.ForSize(d.mib << 20)
	second := spec
	second.Seed += 100
	return errors.Join(
		synth.Write(ctx, d.path("chat-v1"), spec),
		synth.Write(ctx, d.path("chat-v2"), spec, synth.ChangeLayers(7, 1)),
		synth.Write(ctx, d.path("code-v1"), second),
	)
}

func (d *demo) path(name string) string { return filepath.Join(d.dir, name) }

// start runs a registry with the models and an agent whose GPU has room for one.
func (d *demo) start(ctx context.Context) (n *node, err error) {
	address, err := free()
	if err != nil {
		return nil, err
	}
	d.env = append(d.env, "INGOT_REGISTRY=http://"+address)
	n = &node{socket: d.path("agent.sock")}
	defer func() {
		if err != nil {
			n.stop()
			err = fmt.Errorf("%w\n%s", err, n.said.Bytes())
		}
	}()
	if err := d.background(n, "serve", "--data", d.path("registry"), "--listen", address); err != nil {
		return n, err
	}
	for ref, folder := range map[string]string{chat: "chat-v1", chatTwo: "chat-v2", code: "code-v1"} {
		if err := d.push(ctx, ref, d.path(folder)); err != nil {
			return n, err
		}
	}
	budget := fmt.Sprintf("%s=%dMiB", d.uuid, d.mib*3/2)
	err = d.background(n, "agent", "--data", d.path("agent"), "--socket", n.socket, "--disk", "4GiB", "--ram", "1GiB",
		"--gpu", budget, "--gpu-headroom", "none", "--gpu-slice", "100ms")
	if err != nil {
		return n, err
	}
	if n.Agent, err = agent.New(n.socket, agent.Options{Client: "demo"}); err != nil {
		return n, err
	}
	return n, again(ctx, func() error { return n.Ready(ctx) })
}

// free returns an address that nobody listens at.
func free() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}

func (d *demo) background(n *node, args ...string) error {
	cmd := exec.Command(d.program, args...)
	cmd.Env, cmd.Stderr = d.env, &n.said
	if err := cmd.Start(); err != nil {
		return err
	}
	n.all = append([]*exec.Cmd{cmd}, n.all...) // the last one ends first
	return nil
}

// push pushes a model, as soon as the registry answers.
func (d *demo) push(ctx context.Context, ref, folder string) error {
	return again(ctx, func() error {
		cmd := exec.CommandContext(ctx, d.program, "push", folder, ref)
		cmd.Env = d.env
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("push %s: %w\n%s", ref, err, out)
		}
		return nil
	})
}

// again tries for a while.
func again(ctx context.Context, try func() error) error {
	for deadline := time.Now().Add(20 * time.Second); ; {
		err := try()
		if err == nil || time.Now().After(deadline) || ctx.Err() != nil {
			return err
		}
		time.Sleep(100 * time.Millisecond)
	}
}
