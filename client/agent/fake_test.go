package agent_test

import (
	"bufio"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/leaseconn"
)

// fakeAgent answers the upgrade of each connection and hands it to talk, with the
// first frame of the client. The connection ends when talk returns.
func fakeAgent(t *testing.T, talk func(c *leaseconn.Conn[openapi.LeaseFrame], first openapi.LeaseFrame)) *agent.Agent {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return // the test is over
			}
			all.Go(func() { accept(c.(*net.UnixConn), talk) })
		}
	})
	t.Cleanup(func() {
		_ = l.Close() // ends the loop
		all.Wait()
	})
	a, err := agent.New(socket, agent.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func accept(unix *net.UnixConn, talk func(c *leaseconn.Conn[openapi.LeaseFrame], first openapi.LeaseFrame)) {
	defer func() { _ = unix.Close() }() // the script says when
	if _, err := http.ReadRequest(bufio.NewReader(unix)); err != nil {
		return
	}
	if _, err := unix.Write([]byte("HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: ingot-lease/1\r\n\r\n")); err != nil {
		return
	}
	c := leaseconn.New[openapi.LeaseFrame](unix, 1<<20)
	first, files, err := c.Read()
	leaseconn.CloseAll(files)
	if err == nil {
		talk(c, first)
	}
}

// hangUp waits until the client does.
func hangUp(c *leaseconn.Conn[openapi.LeaseFrame]) {
	for {
		if _, _, err := c.Read(); err != nil {
			return
		}
	}
}

// say sends frames; descriptors come with those of segments.
func say(t *testing.T, c *leaseconn.Conn[openapi.LeaseFrame], memory *os.File, frames ...openapi.LeaseFrame) {
	for _, f := range frames {
		var files []*os.File
		for range f.Segments {
			files = append(files, memory)
		}
		if err := c.Write(f, files...); err != nil {
			t.Logf("the client does not take %s: %v", f.Type, err)
			return
		}
	}
}

const memorySize = 64 << 10

// newMemory returns a segment in which every byte is the number of its page.
func newMemory(t *testing.T) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("fake", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	b := make([]byte, memorySize)
	for i := range b {
		b[i] = byte(i / 4096)
	}
	if _, err := unix.Pwrite(fd, b, 0); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return f
}

var version = chunker.Sum([]byte("version"))

// segments is the frame of one segment.
func segments() openapi.LeaseFrame {
	return openapi.LeaseFrame{
		Type: openapi.FrameSegments, Ref: "a/b:c", Version: version.String(), Segments: []openapi.LeaseSegment{{ID: 7, Size: memorySize}},
	}
}

// layoutOf is the frame of files.
func layoutOf(files ...openapi.LeaseFile) openapi.LeaseFrame {
	return openapi.LeaseFrame{Type: openapi.FrameLayout, Layout: &openapi.LeaseLayout{Ref: "a/b:c", Version: version, Files: files}}
}

// oneFile is a file of one run and one tensor, which is all of it.
func oneFile(path, tensor string, offset, length int64) openapi.LeaseFile {
	return openapi.LeaseFile{
		Path: path, Size: length, Runs: []openapi.LeaseRun{{Segment: 7, Offset: offset, Length: length}},
		Tensors: []openapi.LeaseTensor{{Name: tensor, DType: "U8", Shape: []uint64{uint64(length)}, Bytes: length}},
	}
}
