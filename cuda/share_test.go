//go:build linux && (amd64 || arm64)

package cuda_test

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/cuda"
)

// roleOfChild is the environment variable that makes a test process a child, and says
// what it does.
const roleOfChild = "CUDA_TEST_CHILD"

// child does what a parent asks of it, with the socket that it has as descriptor 3.
func child() int {
	err := map[string]func(*net.UnixConn) error{
		"read": childReads, "write": childWrites, "sticky": childSticks,
	}[os.Getenv(roleOfChild)](socketOf(os.NewFile(3, "socket")))
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func socketOf(f *os.File) *net.UnixConn {
	conn, err := net.FileConn(f)
	if err != nil {
		panic(err)
	}
	_ = f.Close()
	return conn.(*net.UnixConn)
}

// receive takes a descriptor from a socket.
func receive(conn *net.UnixConn) (*os.File, error) {
	oob := make([]byte, unix.CmsgSpace(4))
	_, n, _, _, err := conn.ReadMsgUnix(make([]byte, 1), oob)
	if err != nil {
		return nil, err
	}
	messages, err := unix.ParseSocketControlMessage(oob[:n])
	if err != nil || len(messages) != 1 {
		return nil, fmt.Errorf("%d messages, %w", len(messages), err)
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fds[0]), "memory"), nil
}

// imported calls f with memory of the parent, mapped at two addresses of which the
// second cannot be written.
func imported(conn *net.UnixConn, f func(b *cuda.Bound, writable, readable cuda.Ptr) error) error {
	file, err := receive(conn)
	if err != nil {
		return err
	}
	d, err := cuda.Open("")
	if err != nil {
		return err
	}
	v := d.Devices()[0]
	h, err := v.Import(file)
	if err = errors.Join(err, file.Close()); err != nil {
		return err
	}
	c, err := v.Retain()
	if err != nil {
		return err
	}
	return c.With(func(b *cuda.Bound) error {
		writable, err := place(b, h, slab, true)
		if err != nil {
			return err
		}
		readable, err := place(b, h, slab, false)
		if err = errors.Join(err, v.Release(h)); err != nil {
			return err
		}
		return f(b, writable, readable)
	})
}

// childReads copies what it reads to where it may write, one page on.
func childReads(conn *net.UnixConn) error {
	return imported(conn, func(b *cuda.Bound, writable, readable cuda.Ptr) error {
		return errors.Join(b.DtoD(writable+4096, readable, 4096, 0), b.Synchronize(0))
	})
}

// childWrites writes to what is only to be read. On a GPU that is an error, and the
// end of the context; in the fake it is the end of the process.
func childWrites(conn *net.UnixConn) error {
	return imported(conn, func(b *cuda.Bound, _, readable cuda.Ptr) error {
		return errors.Join(b.Memset(readable, 0xee, 4096, 0), b.Synchronize(0))
	})
}

// childSticks meets an illegal address and tries to go on.
func childSticks(*net.UnixConn) error {
	d, err := cuda.Open("")
	if err != nil {
		return err
	}
	c, err := d.Devices()[0].Retain()
	if err != nil {
		return err
	}
	var first, second error
	_ = c.With(func(b *cuda.Bound) error {
		first = b.SynchronizeContext()
		_, _, second = b.MemInfo()
		return nil
	})
	for _, err := range []error{first, second, c.With(func(b *cuda.Bound) error { return b.SynchronizeContext() })} {
		if !errors.Is(err, cuda.ErrSticky) {
			return fmt.Errorf("the process may go on: %v", err)
		}
	}
	return nil
}

// start runs a child, and sends it a descriptor if there is one.
func start(t *testing.T, role string, send *os.File) (wait func() error) {
	t.Helper()
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	theirs := os.NewFile(uintptr(pair[1]), "theirs")
	ours := socketOf(os.NewFile(uintptr(pair[0]), "ours"))
	t.Cleanup(func() { _ = ours.Close() })
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), roleOfChild+"="+role)
	cmd.ExtraFiles = []*os.File{theirs}
	var text bytes.Buffer
	cmd.Stdout, cmd.Stderr = &text, &text
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	_ = theirs.Close()
	if send != nil {
		if _, _, err := ours.WriteMsgUnix([]byte{0}, unix.UnixRights(int(send.Fd())), nil); err != nil {
			t.Error(err)
		}
	}
	return func() error {
		if err := cmd.Wait(); err != nil {
			return fmt.Errorf("%w: %s", err, strings.TrimSpace(text.String()))
		}
		return nil
	}
}

// TestFakeShare hands memory to another process, which reads it and may write it, and
// to one that writes where it may only read. It is intact for who owns it.
func TestFakeShare(t *testing.T) {
	v, c, f := oneDevice(t)
	h, err := v.Create(slab)
	if err != nil {
		t.Fatal(err)
	}
	file, err := v.Export(h)
	if err != nil {
		t.Fatal(err)
	}
	data := random(4, 4096)
	got := make([]byte, 2*len(data))
	within(t, c, func(b *cuda.Bound) error {
		p, err := place(b, h, slab, true)
		if err != nil {
			return err
		}
		if err := errors.Join(b.HtoD(p, data, 0), b.Synchronize(0)); err != nil {
			return err
		}
		if err := start(t, "read", file)(); err != nil {
			t.Errorf("a child that reads: %v", err)
		}
		if err := start(t, "write", file)(); err == nil {
			t.Error("a child has written where it may not")
		}
		return errors.Join(b.DtoH(got, p, 0), b.Synchronize(0), b.Unmap(p, slab), b.FreeAddress(p, slab))
	})
	if !bytes.Equal(got, append(data, data...)) {
		t.Error("the memory does not hold what was written by those who may")
	}
	if err := errors.Join(v.Release(h), file.Close()); err != nil || f.Used(0) != 0 {
		t.Errorf("%d bytes in use, %v", f.Used(0), err)
	}
}

func TestFakeImportNonsense(t *testing.T) {
	v, _, _ := oneDevice(t)
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := v.Import(file); first(err).(*cuda.Error).Call != "cuMemImportFromShareableHandle" {
		t.Errorf("no memory: %v", err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := v.Import(file); err == nil || errors.As(err, new(*cuda.Error)) {
		t.Errorf("a closed file: %v", err)
	}
}

func TestFakeSticky(t *testing.T) {
	f := fakeOf(t, 1)
	for _, code := range []string{"700", "214"} {
		f.Reset("cuCtxSynchronize:1=" + code)
		if err := start(t, "sticky", nil)(); err != nil {
			t.Errorf("%s: %v", code, err)
		}
	}
}
