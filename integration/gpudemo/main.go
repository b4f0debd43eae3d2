package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"time"
)

func main() {
	d := &demo{}
	flag.StringVar(&d.program, "ingot", "bin/ingot", "the program")
	flag.StringVar(&d.python, "python", ".cache/venv/bin/python", "an interpreter that has NumPy")
	flag.IntVar(&d.turns, "turns", 4, "how often each service answers")
	flag.Int64Var(&d.mib, "mib", 48, "size of each model in MiB")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	if err := d.run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "gpudemo:", err)
		os.Exit(1)
	}
}

// demo is what is shown, and with what.
type demo struct {
	program, python string
	turns           int
	mib             int64

	dir  string
	env  []string // of all processes
	uuid string   // of the GPU
}

func (d *demo) run(ctx context.Context) (err error) {
	if d.dir, err = os.MkdirTemp("", "ingot"); err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(d.dir) }() // what stays lies among the system's temporary files
	if err := d.choose(ctx); err != nil {
		return err
	}
	if err := d.models(ctx); err != nil {
		return fmt.Errorf("make the models: %w", err)
	}
	node, err := d.start(ctx)
	if err != nil {
		return err
	}
	defer node.stop()
	return d.show(ctx, node)
}
