package nodeapi_test

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/nodecache/internal/nodeapi"
	"github.com/ingot-ml/ingot/openapi"
)

// TestLeaseOutlivesNode restarts the node, with other memory, while a client has
// tensors.
func TestLeaseOutlivesNode(t *testing.T) {
	for _, mode := range []string{openapi.LeaseWhole, openapi.LeaseStream} {
		m := newModel(t, true)
		before, after := newFakeNode(t, m), newFakeNode(t, m)
		socket := filepath.Join(t.TempDir(), "s")
		first := serve(t, before, socket, nodeapi.Config{})
		a := dial(t, socket)
		l := lease(t, a, mode)
		checkTensors(t, m, l)
		if len(l.Files()) == 0 {
			t.Fatal("the lease is not whole")
		}
		first.stop()
		before.await(t, "release", func() bool { return before.open == 0 })
		checkTensors(t, m, l)

		serve(t, after, socket, nodeapi.Config{})
		after.await(t, "declaration", func() bool { return len(after.declared) == 1 })
		var stat unix.Stat_t
		if err := unix.Fstat(int(before.memory.segments[1].File.Fd()), &stat); err != nil {
			t.Fatal(err)
		}
		after.look(func() {
			if o := after.orphans[0]; len(after.orphans) != len(before.memory.segments) || o.Inode != stat.Ino || o.Bytes != stat.Blocks*512 {
				t.Errorf("mode %q: %+v were declared, the first should be %d of %d bytes", mode, after.orphans, stat.Ino, stat.Blocks*512)
			}
		})
		checkTensors(t, m, l)

		next := chunker.Sum([]byte("next"))
		after.look(func() {
			for h := range after.declared {
				h.moved <- node.Move{Version: next}
			}
		})
		if got := <-l.Moved(); got != next {
			t.Errorf("mode %q: moved to %s, want %s", mode, got.Short(), next.Short())
		}
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		after.await(t, "release", func() bool { return len(after.declared) == 0 })
	}
}

// TestRefusedDeclaration keeps the tensors of a client whom the next node does not
// want to know.
func TestRefusedDeclaration(t *testing.T) {
	m := newModel(t, false)
	socket := filepath.Join(t.TempDir(), "s")
	first := serve(t, newFakeNode(t, m), socket, nodeapi.Config{})
	l := lease(t, dial(t, socket), openapi.LeaseWhole)
	first.stop()
	after := newFakeNode(t, m)
	after.fail = openapi.Errorf(openapi.CodeBadRequest, "no such tier")
	serve(t, after, socket, nodeapi.Config{})
	if _, ok := <-l.Moved(); ok {
		t.Error("the lease has moved")
	}
	if err := l.Err(); !errors.Is(err, after.fail) {
		t.Errorf("the lease says %v, want %v", err, after.fail)
	}
	checkTensors(t, m, l)
}

// TestWindowBreaks tells who waits for tensors that the node is gone.
func TestWindowBreaks(t *testing.T) {
	n := newFakeNode(t, newModel(t, false))
	n.panes = 1
	s, a := start(t, n)
	var last error
	for _, err := range lease(t, a, openapi.LeaseWindow).Tensors(t.Context()) {
		if last = err; err == nil {
			s.stop()
		}
	}
	if !errors.Is(last, agent.ErrLost) {
		t.Errorf("the iterator says %v, want ErrLost", last)
	}
}

// TestDeclaredFolder is refused: only memory counts.
func TestDeclaredFolder(t *testing.T) {
	n := newFakeNode(t, newModel(t, false))
	s, _ := start(t, n)
	conn := framesOf(raw(t, s.socket))
	folder, err := os.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = folder.Close() }()
	d := &openapi.LeaseDeclare{Ref: modelRef, Version: n.model.version, Segments: []openapi.LeaseSegment{{ID: 1, Size: 1}}}
	if err := conn.Write(openapi.LeaseFrame{Type: openapi.FrameDeclare, Declare: d}, folder); err != nil {
		t.Fatal(err)
	}
	if got := lastError(t, conn); got == nil || got.Code != openapi.CodeBadRequest {
		t.Errorf("the client is told %v, want bad_request", got)
	}
}

// TestDeclareManySegments needs more descriptors than a frame carries.
func TestDeclareManySegments(t *testing.T) {
	n := newFakeNode(t, newModel(t, false))
	s, _ := start(t, n)
	conn := framesOf(raw(t, s.socket))
	d := &openapi.LeaseDeclare{Ref: modelRef, Version: n.model.version}
	var files []*os.File
	for i := range 300 {
		d.Segments = append(d.Segments, openapi.LeaseSegment{ID: uint64(i), Size: segmentSize})
		files = append(files, n.memory.segments[1].File)
	}
	f := openapi.LeaseFrame{Type: openapi.FrameDeclare, Declare: d}
	for i := 0; i < len(files); i += openapi.MaxLeaseFiles {
		if err := conn.Write(f, files[i:min(i+openapi.MaxLeaseFiles, len(files))]...); err != nil {
			t.Fatal(err)
		}
		f = openapi.LeaseFrame{Type: openapi.FrameSegments}
	}
	got, _, err := conn.Read()
	if err != nil || got.Type != openapi.FrameHeld || got.Version != d.Version.String() {
		t.Errorf("the agent answers %+v, %v", got, err)
	}
	n.look(func() {
		if len(n.orphans) != len(files) {
			t.Errorf("%d segments were declared, want %d", len(n.orphans), len(files))
		}
	})
}
