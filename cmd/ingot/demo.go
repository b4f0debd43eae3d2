package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/registry"
	"github.com/ingot-ml/ingot/registry/name"
)

// defaultDemoSize makes a demonstration of a few seconds.
const defaultDemoSize = 64 << 20

// demoFlags are what demo is told.
type demoFlags struct {
	base     string
	variants []string
	size     bytesValue
	keep     string
}

func (p *program) demoCommand() *cobra.Command {
	f := demoFlags{size: defaultDemoSize}
	cmd := &cobra.Command{
		Use:   "demo [--size SIZE | --base DIR --variant DIR ...]",
		Short: "Push, pull and load a model and its variants, and print what moved",
		Long: `Demo starts a registry of its own in a temporary folder, pushes a model and then
its variants, pulls them all back into fresh folders and compares the sha256 of
every file. Then it starts an agent, which loads all of them into memory, uses each
from there and compares again. It prints what each step moved and stored, and
removes what it made.

The models are synthetic, of about --size each, or your own: --base and --variant
name their folders, which are only read.

With --json it prints:
  models        name, the receipts push, pull and load, files_equal and
                files_leased of each
  bytes_total   plain bytes of all models
  bytes_stored  encoded bytes that the registry keeps for them
  node          ram_bytes and disk_bytes that the agent keeps for them, and
                lease_seconds until one could be used`,
		Example: `  ingot demo --size 1GiB
  ingot demo --base ./llama --variant ./llama-tuned`,
		Args: want(0, 0),
		RunE: func(cmd *cobra.Command, _ []string) error {
			if f.base == "" && len(f.variants) > 0 {
				return usagef("demo: --variant needs the --base that it is a variant of")
			}
			if f.base != "" && cmd.Flags().Changed("size") {
				return usagef("demo: --size is for synthetic models; leave it out beside --base")
			}
			return p.demo(cmd.Context(), f)
		},
	}
	flags := cmd.Flags()
	flags.StringVar(&f.base, "base", "", "`DIR` of a model")
	flags.StringArrayVar(&f.variants, "variant", nil, "`DIR` of a variant of it; may be repeated")
	flags.Var(&f.size, "size", "plain bytes of each synthetic model")
	flags.StringVar(&f.keep, "keep", "", "work in this new `DIR` and leave the registry's data there")
	return cmd
}

// demo is one demonstration.
type demo struct {
	p        *program
	dir      string // of everything that it makes
	repo     name.Repo
	models   []*demoModel
	registry *client.Registry
	cache    *client.Cache
	address  string // of the registry
	node     demoNode
}

func (p *program) demo(ctx context.Context, f demoFlags) (err error) {
	d := &demo{p: p, repo: name.Repo{Namespace: "demo", Name: "model"}}
	if d.models, err = demoModels(f); err != nil {
		return err
	}
	if d.dir, err = demoFolder(f.keep); err != nil {
		return err
	}
	defer func() {
		if cerr := d.clean(f.keep != ""); err == nil {
			err = cerr
		}
	}()
	stop, err := d.serve(ctx)
	if err != nil {
		return err
	}
	err = d.show(ctx)
	if serr := stop(); err == nil {
		err = serr
	}
	if err == nil && f.keep != "" && !p.json {
		data := filepath.Join(d.dir, "data")
		p.printf("\nThe registry's data is in %s. Look at it with\n  ingot serve --data %s\n  ingot ls %s\n", data, data, d.repo)
	}
	return err
}

// demoFolder makes the folder that a demonstration works in.
func demoFolder(keep string) (string, error) {
	if keep == "" {
		dir, err := os.MkdirTemp("", "ingot-demo-")
		if err != nil {
			return "", fmt.Errorf("make a folder for the demo: %w", err)
		}
		return dir, nil
	}
	if err := os.Mkdir(keep, 0o777); errors.Is(err, os.ErrExist) {
		return "", usagef("demo: --keep %s: it exists; name a folder that does not", keep)
	} else if err != nil {
		return "", fmt.Errorf("make a folder for the demo: %w", err)
	}
	return keep, nil
}

// clean removes what the demonstration made; of a kept one, all but the data.
func (d *demo) clean(keep bool) error {
	parts := []string{d.dir}
	if keep {
		parts = []string{filepath.Join(d.dir, "node"), filepath.Join(d.dir, "cache"), filepath.Join(d.dir, "models"), filepath.Join(d.dir, "pulled")}
	}
	for _, part := range parts {
		if err := os.RemoveAll(part); err != nil {
			return fmt.Errorf("clean up after the demo: %w", err)
		}
	}
	return nil
}

// serve starts the registry and connects to it. The returned function stops both.
func (d *demo) serve(ctx context.Context) (stop func() error, err error) {
	data := filepath.Join(d.dir, "data")
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("start a registry for the demo: %w", err)
	}
	server, err := registry.Open(ctx, registry.Config{Data: data, Version: version})
	if err != nil {
		return nil, errors.Join(err, listener.Close())
	}
	// The registry outlives ctx, so that what is under way ends with ctx alone.
	serving, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan error, 1)
	go func() { done <- serveRegistry(serving, server, listener) }()
	stopServing := func() error { cancel(); return <-done }

	address := listener.Addr().String()
	d.address = "http://" + address
	if d.registry, err = client.New(d.address, client.Options{}); err == nil {
		d.cache, err = client.OpenCache(filepath.Join(d.dir, "cache"), 1<<50)
	}
	if err != nil {
		return nil, errors.Join(err, stopServing())
	}
	if !d.p.json {
		d.p.printf("A registry on %s, its data in %s.\n\n", address, data)
	}
	return func() error {
		d.registry.Close()
		return errors.Join(d.cache.Close(), stopServing())
	}, nil
}

// show pushes, pulls and loads every model and prints what it took.
func (d *demo) show(ctx context.Context) error {
	if err := d.pushAll(ctx); err != nil {
		return err
	}
	if err := d.pullAll(ctx); err != nil {
		return err
	}
	if err := d.nodeAll(ctx); err != nil {
		return err
	}
	return d.conclude()
}
