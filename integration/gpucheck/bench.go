package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/cuda"
)

// bench is a run: what it has, and what it has found.
type bench struct {
	o       options
	report  report
	began   time.Time
	driver  *cuda.Driver
	device  *cuda.Device
	context *cuda.Context
	dir     string // of its own, to be removed
	group   string // of the check that runs

	slab  time.Duration // to take and map one of slabSize; 0 if it was not measured
	raw   float64       // best rate of copies from pinned memory, in GB/s; 0 if it was not measured
	stack *stack        // registry and agent; nil until they run
}

// errSkip is wrapped by why a check could not be made.
var errSkip = errors.New("skipped")

func skipf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", errSkip, fmt.Sprintf(format, args...))
}

// open finds the GPU and chooses the size of the run.
func open(o options) (*bench, error) {
	driver, err := cuda.Open("")
	if err != nil {
		return nil, err
	}
	b := &bench{o: o, driver: driver, began: time.Now()}
	free := int64(0)
	if b.device, b.context, free, err = choose(driver, o.device); err != nil {
		return nil, err
	}
	b.report = report{Schema: schema, Date: b.began.UTC().Truncate(time.Second), Notes: []string{}, Lines: []line{}}
	b.report.GPU = gpu{Name: b.device.Name(), UUID: b.device.UUID().String(), Memory: b.device.TotalMemory(),
		Free: free, CUDA: driver.Version()}
	b.report.GPU.Driver, b.report.GPU.Link = fromSMI(b.device.UUID().String())
	b.report.Fake = strings.Contains(strings.ToUpper(b.device.Name()), "FAKE")
	b.report.Machine = thisMachine()
	if out, err := exec.Command(b.file("ingot"), "version").Output(); err == nil {
		b.report.Program = strings.TrimSpace(string(out))
	}
	if err := b.makeRoom(); err != nil {
		return nil, errors.Join(err, b.context.Close())
	}
	return b, nil
}

// choose returns the GPU of that UUID, or the one with the most free memory.
func choose(d *cuda.Driver, uuid string) (best *cuda.Device, its *cuda.Context, most int64, err error) {
	most = -1
	for _, device := range d.Devices() {
		if uuid != "" && device.UUID().String() != uuid {
			continue
		}
		c, err := device.Retain()
		if err != nil {
			return nil, nil, 0, errors.Join(err, release(its))
		}
		var free int64
		err = c.With(func(b *cuda.Bound) (err error) {
			free, _, err = b.MemInfo()
			return err
		})
		if err != nil {
			return nil, nil, 0, errors.Join(err, c.Close(), release(its))
		}
		if free <= most {
			c, err = its, c.Close()
		} else {
			err = release(its)
			best, most = device, free
		}
		if its = c; err != nil {
			return nil, nil, 0, err
		}
	}
	if best == nil {
		return nil, nil, 0, fmt.Errorf("GPU %s: %w", uuid, cuda.ErrNoDevice)
	}
	return best, its, most, nil
}

func release(c *cuda.Context) error {
	if c == nil {
		return nil
	}
	return c.Close()
}

func thisMachine() machine {
	m := machine{CPUs: runtime.NumCPU(), Memory: memory("MemTotal"), Free: freeMemory()}
	var u unix.Utsname
	if unix.Uname(&u) == nil {
		m.Kernel = unix.ByteSliceToString(u.Release[:])
	}
	return m
}

// fromSMI is what nvidia-smi says of a GPU, where there is one: the version of the
// driver, and the link that the GPU and its slot can have.
func fromSMI(uuid string) (driver, link string) {
	out, err := exec.Command("nvidia-smi", "--id="+uuid, "--query-gpu=driver_version,pcie.link.gen.max,pcie.link.width.max",
		"--format=csv,noheader").Output()
	fields := strings.Split(strings.TrimSpace(string(out)), ", ")
	if err != nil || len(fields) != 3 {
		return "", ""
	}
	return fields[0], fmt.Sprintf("PCIe %s x%s", fields[1], fields[2])
}

// free returns the GPU memory that nobody has.
func (b *bench) free() (free int64, err error) {
	err = b.context.With(func(bound *cuda.Bound) (err error) {
		free, _, err = bound.MemInfo()
		return err
	})
	return free, err
}

// close gives back everything that the run has taken.
func (b *bench) close() error {
	err := b.stopStack()
	err = errors.Join(err, b.context.Close(), os.RemoveAll(b.dir))
	b.report.Seconds = time.Since(b.began).Seconds()
	return err
}

// check is something to find out. What it finds it says with the methods below; an
// error is a failed line of its name, unless it is an errSkip.
type check struct {
	group, name string
	run         func(context.Context, *bench) error
}

// runAll makes all checks.
func (b *bench) runAll(ctx context.Context) {
	for _, c := range allChecks() {
		b.group = c.group
		var err error
		switch {
		case ctx.Err() != nil:
			err = skipf("the run was ended")
		case time.Since(b.began) > b.o.limit:
			err = skipf("no time left of %s", b.o.limit)
		default:
			fmt.Fprintf(os.Stderr, "%4.0f s  %s: %s\n", time.Since(b.began).Seconds(), c.group, c.name)
			err = b.one(ctx, c)
			if err != nil && time.Since(b.began) > b.o.limit {
				err = skipf("no time left of %s: %v", b.o.limit, err)
			}
		}
		switch {
		case errors.Is(err, errSkip):
			b.say(line{Name: c.name, State: skipped, Reason: strings.TrimPrefix(err.Error(), errSkip.Error()+": ")})
		case err != nil:
			b.say(line{Name: c.name, State: failed, Reason: err.Error()})
		}
	}
}

// one makes a check. One that goes wrong inside of this program fails alone.
func (b *bench) one(ctx context.Context, c check) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the check broke: %v", r)
		}
	}()
	const longest = 4 * time.Minute
	ctx, stop := context.WithTimeout(ctx, min(longest, b.o.limit-time.Since(b.began)))
	defer stop()
	return c.run(ctx, b)
}

func (b *bench) say(l line) {
	l.Group = b.group
	b.report.Lines = append(b.report.Lines, l)
}

func (b *bench) note(format string, args ...any) {
	b.report.Notes = append(b.report.Notes, fmt.Sprintf(format, args...))
}

// right reports what is as it must be.
func (b *bench) right(name, more string) { b.say(line{Name: name, State: passed, Reason: more}) }

// measured reports a rate or time that is held to nothing.
func (b *bench) measured(name string, v float64, unit string) {
	b.say(line{Name: name, State: b.judged(true), Figure: &v, Unit: unit})
}

// held reports a rate or time, and whether it is what is wanted.
func (b *bench) held(name string, v float64, unit, want string, met bool) {
	b.say(line{Name: name, State: b.judged(met), Figure: &v, Unit: unit, Want: want})
}

// counted reports bytes or numbers, which are judged on any driver.
func (b *bench) counted(name string, v float64, unit, want string, met bool) {
	s := passed
	if !met {
		s = failed
	}
	b.say(line{Name: name, State: s, Figure: &v, Unit: unit, Want: want})
}

// judged is the state of a rate or time.
func (b *bench) judged(met bool) state {
	switch {
	case b.report.Fake:
		return unjudged
	case met:
		return passed
	}
	return failed
}
