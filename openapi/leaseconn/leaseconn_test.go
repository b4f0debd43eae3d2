package leaseconn_test

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/integration/needtest"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/leaseconn"
)

// pair returns both ends of a connection.
func pair(t testing.TB) (a, b *net.UnixConn) {
	t.Helper()
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	ends := make([]*net.UnixConn, 2)
	for i, fd := range fds {
		f := os.NewFile(uintptr(fd), "end")
		c, err := net.FileConn(f)
		if err != nil {
			t.Fatal(err)
		}
		if err := f.Close(); err != nil { // FileConn has its own
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = c.Close() })
		ends[i] = c.(*net.UnixConn)
	}
	return ends[0], ends[1]
}

// file returns an open file with that content.
func file(t testing.TB, content string) *os.File {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	if _, err := f.WriteString(content); err != nil {
		t.Fatal(err)
	}
	return f
}

func TestFramesAndDescriptors(t *testing.T) {
	a, b := pair(t)
	from, to := leaseconn.New[openapi.LeaseFrame](a, 1<<20), leaseconn.New[openapi.LeaseFrame](b, 1<<20)
	var files []*os.File
	for range openapi.MaxLeaseFiles {
		files = append(files, file(t, strings.Repeat("x", len(files)+1)))
	}
	var sender sync.WaitGroup
	defer sender.Wait()
	sender.Go(func() {
		for i := range 3 { // with none, some and as many as there may be
			f := openapi.LeaseFrame{Type: openapi.FrameSegments, Bytes: int64(i), Ref: strings.Repeat("r", i<<10)}
			if err := from.Write(f, files[:i*openapi.MaxLeaseFiles/2]...); err != nil {
				t.Error(err)
			}
		}
		if err := from.Close(); err != nil {
			t.Error(err)
		}
	})
	for i := range 3 {
		f, got, err := to.Read()
		if err != nil || f.Bytes != int64(i) || len(f.Ref) != i<<10 || len(got) != i*openapi.MaxLeaseFiles/2 {
			t.Fatalf("frame %d: %d with %d descriptors, %v", i, f.Bytes, len(got), err)
		}
		for j, g := range got {
			if info, err := g.Stat(); err != nil || info.Size() != int64(j+1) {
				t.Errorf("frame %d: descriptor %d is another file (%v)", i, j, err)
			}
		}
		leaseconn.CloseAll(got)
	}
	if _, _, err := to.Read(); !errors.Is(err, io.EOF) {
		t.Errorf("at the end: %v, want EOF", err)
	}
}

func TestLargeFrame(t *testing.T) {
	a, b := pair(t)
	from, to := leaseconn.New[openapi.LeaseFrame](a, 1), leaseconn.New[openapi.LeaseFrame](b, openapi.MaxLeaseFrame)
	long := strings.Repeat("r", 4<<20)
	var sender sync.WaitGroup
	sender.Go(func() {
		if err := from.Write(openapi.LeaseFrame{Type: "x", Ref: long}); err != nil {
			t.Error(err)
		}
	})
	if f, _, err := to.Read(); err != nil || f.Ref != long {
		t.Errorf("%d bytes came (%v)", len(f.Ref), err)
	}
	sender.Wait()
	tooLong := openapi.LeaseFrame{Type: "x", Ref: strings.Repeat("r", openapi.MaxLeaseFrame)}
	if err := from.Write(tooLong); !errors.Is(err, leaseconn.ErrFrame) {
		t.Errorf("a frame beyond the limit: %v, want ErrFrame", err)
	}
	if err := from.Write(openapi.LeaseFrame{}, make([]*os.File, openapi.MaxLeaseFiles+1)...); !errors.Is(err, leaseconn.ErrFrame) {
		t.Errorf("too many descriptors: %v, want ErrFrame", err)
	}
}

func TestBadFrames(t *testing.T) {
	for text, want := range map[string]error{
		"":                             io.EOF,
		"\x00":                         io.ErrUnexpectedEOF,
		"\x00\x00\x00\x05{}":           io.ErrUnexpectedEOF,
		"\x00\x00\x00\x00":             leaseconn.ErrFrame,
		"\x00\x00\x04\x01":             leaseconn.ErrFrame,
		"\xff\xff\xff\xff":             leaseconn.ErrFrame,
		"\x00\x00\x00\x02{]":           leaseconn.ErrFrame,
		"\x00\x00\x00\x0a{\"type\":1}": leaseconn.ErrFrame,
	} {
		a, b := pair(t)
		if _, err := a.Write([]byte(text)); err != nil {
			t.Fatal(err)
		}
		if err := a.Close(); err != nil {
			t.Fatal(err)
		}
		if _, _, err := leaseconn.New[openapi.LeaseFrame](b, 1<<10).Read(); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", text, err, want)
		}
	}
}

// TestDescriptorsOfBadFramesAreClosed counts what is left of them.
func TestDescriptorsOfBadFramesAreClosed(t *testing.T) {
	f := file(t, "x")
	many := make([]int, 200)
	for i := range many {
		many[i] = int(f.Fd())
	}
	before := openFiles(t)
	for _, text := range []string{"\x00\x00\x00\x00", "\x00\x00\x00\x02{]", "\x00\x00\x00\x02{}", "\x00\x00"} {
		for _, n := range []int{1, openapi.MaxLeaseFiles, openapi.MaxLeaseFiles + 1, 200} {
			a, b := pair(t)
			if _, _, err := a.WriteMsgUnix([]byte(text), unix.UnixRights(many[:n]...), nil); err != nil {
				t.Fatal(err)
			}
			_ = a.Close() // what was sent stays
			_, got, err := leaseconn.New[openapi.LeaseFrame](b, 1<<10).Read()
			if good := text == "\x00\x00\x00\x02{}" && n <= openapi.MaxLeaseFiles; good != (err == nil) || len(got) > 0 && !good {
				t.Errorf("%q with %d descriptors: %d, %v", text, n, len(got), err)
			}
			leaseconn.CloseAll(got)
			_ = b.Close() // of no use any more
		}
	}
	if got := openFiles(t); got > before {
		t.Errorf("%d descriptors are open, %d were", got, before)
	}
}

func openFiles(t *testing.T) int {
	t.Helper()
	list, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		needtest.Skip(t, "proc", err)
	}
	return len(list)
}

// TestBodyDescriptors come with the wrong byte, and are dropped.
func TestBodyDescriptors(t *testing.T) {
	a, b := pair(t)
	if _, err := a.Write(binary.BigEndian.AppendUint32(nil, 2)); err != nil {
		t.Fatal(err)
	}
	if _, _, err := a.WriteMsgUnix([]byte("{}"), unix.UnixRights(int(file(t, "x").Fd())), nil); err != nil {
		t.Fatal(err)
	}
	if _, got, err := leaseconn.New[openapi.LeaseFrame](b, 1<<10).Read(); err != nil || len(got) != 0 {
		t.Errorf("%d descriptors, %v", len(got), err)
	}
}

func TestStalledReaderEndsWrite(t *testing.T) {
	a, _ := pair(t)
	c := leaseconn.New[openapi.LeaseFrame](a, 1<<10)
	c.SetPatience(10 * time.Millisecond)
	if err := c.Write(openapi.LeaseFrame{Type: "x", Ref: strings.Repeat("r", 4<<20)}); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("write: %v, want a deadline", err)
	}
}

func TestProcess(t *testing.T) {
	a, _ := pair(t)
	if got := leaseconn.New[openapi.LeaseFrame](a, 1).Process(); got != os.Getpid() && got != 0 {
		t.Errorf("the other end is process %d, want %d", got, os.Getpid())
	}
}

// FuzzRead reads whatever a peer may send.
func FuzzRead(f *testing.F) {
	f.Add([]byte("\x00\x00\x00\x02{}"), uint8(1))
	f.Add([]byte("\x00\x00\x00\x25{\"type\":\"tensor\",\"tensor\":{\"runs\":[[0,1]]}}"), uint8(0))
	f.Add([]byte("\x00\x00\x00\x02{}\x00\x00\x00\x02[]"), uint8(130))
	f.Fuzz(func(t *testing.T, sent []byte, descriptors uint8) {
		if len(sent) == 0 || len(sent) > 32<<10 {
			return // a socket takes no descriptors without bytes, nor more bytes at once
		}
		a, b := pair(t)
		fds := make([]int, descriptors) // all of standard input
		if _, _, err := a.WriteMsgUnix(sent, unix.UnixRights(fds...), nil); err != nil {
			return // the system sends no such message
		}
		if err := a.CloseWrite(); err != nil {
			t.Fatal(err)
		}
		c := leaseconn.New[openapi.LeaseFrame](b, 1<<10)
		for {
			frame, files, err := c.Read()
			leaseconn.CloseAll(files)
			if err != nil {
				return
			}
			if len(files) > openapi.MaxLeaseFiles {
				t.Errorf("%d descriptors with a frame", len(files))
			}
			if frame.Tensor == nil {
				continue
			}
			for _, r := range frame.Tensor.Runs {
				if r.Offset < 0 || r.Length < 1 {
					t.Errorf("run %+v", r)
				}
			}
		}
	})
}
