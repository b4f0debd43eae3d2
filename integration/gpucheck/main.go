// Command gpucheck finds out what ingot's GPU tier does on the GPU of this machine:
// whether everything is right, and how fast it is beside what the driver and other
// loaders do in the same run. It needs an NVIDIA driver, the program ingot, and for
// some of the checks Python with PyTorch; no network, no Go, no CUDA toolkit.
//
// Laws:
//   - A check that could not be made is in the report with the reason. Nothing that
//     was not measured has a figure.
//   - Bytes are judged everywhere, rates and times never on a fake driver.
//   - It runs in memory, disk and GPU memory that are free, in a model that is made
//     smaller if they are not enough, and says so. What it has made it removes.
//   - What may end a process is done in another one: the checks go on after it.
//
// It prints a table and writes JSON, whose schema is in docs/gpu.md. With -table it
// puts such a JSON file into that document.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"
)

// options are what the command line says.
type options struct {
	size   int64
	dir    string
	bundle string
	out    string
	device string
	limit  time.Duration
	table  string
	into   string
	child  string
}

func main() {
	var o options
	gib := flag.Float64("size", 0, "size of the model in `GIB`, less where there is not enough room (default: 16, and 96 MiB where the driver is a fake)")
	flag.StringVar(&o.dir, "dir", "", "folder for models, registry and agent (default: a new one where there is room)")
	flag.StringVar(&o.bundle, "bundle", "", "folder of the bundle: ingot, python, scripts (default: that of this program)")
	flag.StringVar(&o.out, "json", "gpu-check.json", "write the report to this file")
	flag.StringVar(&o.device, "device", "", "UUID of the GPU (default: the one with the most free memory)")
	flag.DurationVar(&o.limit, "limit", 9*time.Minute+30*time.Second, "end what is under way after this time, and begin nothing more")
	flag.StringVar(&o.table, "table", "", "put the report of this `FILE` into the document of -into, and end")
	flag.StringVar(&o.into, "into", "docs/gpu.md", "document for -table")
	flag.StringVar(&o.child, "child", "", "what a process started by this program does")
	flag.Parse()
	o.size = int64(*gib * (1 << 30))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "gpucheck:", err)
		stop()
		os.Exit(1)
	}
}

// errFailed reports that a check has failed; which one, the table says.
var errFailed = errors.New("checks failed")

func run(ctx context.Context, o options) error {
	switch {
	case o.child != "":
		return child(o.child)
	case o.table != "":
		return tableInto(o.table, o.into)
	}
	if o.bundle == "" {
		self, err := os.Executable()
		if err != nil {
			return fmt.Errorf("find the bundle: %w", err)
		}
		o.bundle = filepath.Dir(self)
	}
	b, err := open(o)
	if err != nil {
		return err
	}
	b.runAll(ctx)
	err = b.close()
	b.report.print(os.Stdout)
	err = errors.Join(err, b.report.write(o.out))
	if n := b.report.count(failed); n > 0 {
		err = errors.Join(err, b.keepLog(o.out+".log"), fmt.Errorf("%d %w", n, errFailed))
	}
	return err
}
