package main

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/openapi/leaseconn"
)

// What processes that this program starts do.
const (
	childCreate = "create" // takes memory without a context
	childKeep   = "keep"   // writes memory, hands its descriptor over, and is gone
	childWrite  = "write"  // writes through a mapping that is to read only
)

// filler is what a child or its parent leaves in memory.
const filler = 0x5a

// child is such a process. UUID of the GPU and the like are behind the kind.
func child(what string) error {
	kind, uuid, _ := strings.Cut(what, ":")
	u, err := cuda.ParseUUID(uuid)
	if err != nil {
		return err
	}
	driver, err := cuda.Open("")
	if err != nil {
		return err
	}
	device, err := driver.Device(u)
	if err != nil {
		return err
	}
	switch kind {
	case childCreate:
		return createWithoutContext(device)
	case childKeep:
		return leaveMemory(device)
	case childWrite:
		return writeToReadOnly(device)
	}
	return fmt.Errorf("child %q is not known", kind)
}

// spawn starts this program as a child, with files from descriptor 3 on.
func (b *bench) spawn(ctx context.Context, kind string, files ...*os.File) (said string, err error) {
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	cmd := exec.CommandContext(ctx, self, "-child", kind+":"+b.device.UUID().String())
	cmd.ExtraFiles = files
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return strings.TrimSpace(out.String()), err
}

// createWithoutContext does what the agent does, which has no context.
func createWithoutContext(v *cuda.Device) error {
	h, err := v.Create(granule)
	if err != nil {
		return err
	}
	f, err := v.Export(h)
	if err != nil {
		return errors.Join(err, v.Release(h))
	}
	again, err := v.Import(f)
	if err == nil {
		err = v.Release(again)
	}
	return errors.Join(err, f.Close(), v.Release(h))
}

func noContext(ctx context.Context, b *bench) error {
	if said, err := b.spawn(ctx, childCreate); err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	b.right("memory is taken, exported and imported without a context", "")
	return nil
}

// leaveMemory fills memory and sends a descriptor of it to the parent, who reads it
// when this process is gone.
func leaveMemory(v *cuda.Device) error {
	conn, err := connOf(os.NewFile(3, "parent"))
	if err != nil {
		return err
	}
	c, err := v.Retain()
	if err != nil {
		return err
	}
	return c.With(func(b *cuda.Bound) error {
		a, err := newArea(v, b, granule)
		if err != nil {
			return err
		}
		err = withStream(b, func(s cuda.Stream) error { return b.Memset(a.at, filler, a.size, s) })
		if err != nil {
			return err
		}
		f, err := v.Export(a.handle)
		if err != nil {
			return err
		}
		return errors.Join(conn.Write(struct{}{}, f), f.Close())
	})
}

// connOf makes a connection of one end of a socket pair, which it closes.
func connOf(f *os.File) (*leaseconn.Conn[struct{}], error) {
	c, err := net.FileConn(f)
	if err = errors.Join(err, f.Close()); err != nil {
		return nil, err
	}
	const most = 1 << 10
	return leaseconn.New[struct{}](c.(*net.UnixConn), most), nil
}

// orphan checks that a descriptor alone keeps memory and what is in it.
func orphan(ctx context.Context, b *bench) error {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("make a socket pair: %w", err)
	}
	theirs := os.NewFile(uintptr(fds[1]), "child")
	ours, err := connOf(os.NewFile(uintptr(fds[0]), "parent"))
	if err != nil {
		return errors.Join(err, theirs.Close())
	}
	defer func() { _ = ours.Close() }() // of no use any more
	said, err := b.spawn(ctx, childKeep, theirs)
	if err = errors.Join(err, theirs.Close()); err != nil {
		return fmt.Errorf("%w: %s", err, said)
	}
	_, files, err := ours.Read() // from a process that is gone
	if err != nil {
		return err
	}
	defer leaseconn.CloseAll(files)
	h, err := b.device.Import(files[0])
	if err != nil {
		return err
	}
	err = b.context.With(func(bound *cuda.Bound) error {
		a, err := mapArea(b.device, bound, h, granule, false)
		if err != nil {
			return err
		}
		return errors.Join(filled(bound, a), a.free(bound))
	})
	if err == nil {
		b.right("a descriptor alone keeps the memory of a process that is gone", "")
	}
	return err
}

// filled tells whether all of an area is filler.
func filled(b *cuda.Bound, a *area) error {
	got, err := read(b, a.at, a.size)
	if err != nil {
		return err
	}
	if i := bytes.IndexFunc(got, func(r rune) bool { return r != filler }); i >= 0 {
		return fmt.Errorf("byte %d of the memory is %#x, want %#x", i, got[i], filler)
	}
	return nil
}

// writeToReadOnly maps the memory of its descriptor to read only, reads it, and
// writes to it, which must fail.
func writeToReadOnly(v *cuda.Device) error {
	f := os.NewFile(3, "memory")
	h, err := v.Import(f)
	if err != nil {
		return err
	}
	c, err := v.Retain()
	if err != nil {
		return err
	}
	var written error
	err = c.With(func(b *cuda.Bound) error {
		a, err := mapArea(v, b, h, granule, false)
		if err != nil {
			return err
		}
		if err := filled(b, a); err != nil {
			return err
		}
		fmt.Println(childRead)
		written = withStream(b, func(s cuda.Stream) error { return b.Memset(a.at, 0, a.size, s) })
		return nil
	})
	if written != nil {
		fmt.Println(written) // after that the context may be lost, and err say so
		return nil
	}
	return cmp.Or(err, errors.New("the write went through"))
}

// childRead is what a child says when it has read what it may not write.
const childRead = "read"

// readOnly checks that a client which writes to weights harms nobody but itself.
func readOnly(ctx context.Context, b *bench) error {
	return b.withArea(granule, func(bound *cuda.Bound, a *area, s cuda.Stream) error {
		if err := bound.Memset(a.at, filler, a.size, s); err != nil {
			return err
		}
		if err := bound.Synchronize(s); err != nil {
			return err
		}
		f, err := b.device.Export(a.handle)
		if err != nil {
			return err
		}
		said, err := b.spawn(ctx, childWrite, f)
		closed := f.Close()
		var exit *exec.ExitError
		died := errors.As(err, &exit) && !exit.Exited() // a signal, as the fake has it
		if !strings.HasPrefix(said, childRead) || err != nil && !died {
			return fmt.Errorf("a process that may only read: %w: %s", cmp.Or(err, errFailed), said)
		}
		if err := errors.Join(closed, filled(bound, a)); err != nil {
			return fmt.Errorf("after another process has written: %w", err)
		}
		how := strings.TrimSpace(strings.TrimPrefix(said, childRead))
		if died {
			how = exit.String()
		}
		b.right("a write to memory that is mapped to read only fails there alone", how)
		return nil
	})
}
