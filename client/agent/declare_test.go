package agent_test

import (
	"bytes"
	"context"
	"errors"
	"os"
	"sync/atomic"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/leaseconn"
)

// TestDeclaring loses an agent, finds ones that are not ready, and then one that
// is. The lease has more segments than a frame carries.
func TestDeclaring(t *testing.T) {
	const many = 2*openapi.MaxLeaseFiles + 3
	memory := newMemory(t)
	moved, declared := chunker.Sum([]byte("next")), make(chan openapi.LeaseDeclare, 1)
	var tries atomic.Int64
	a := fakeAgent(t, func(c *leaseconn.Conn[openapi.LeaseFrame], first openapi.LeaseFrame) {
		if first.Type == openapi.FrameLease {
			giveMany(t, c, memory, many)
			return // the agent dies
		}
		switch tries.Add(1) {
		case 1:
			return // again
		case 2:
			say(t, c, memory, openapi.LeaseFrame{Type: openapi.FrameError, Error: openapi.Errorf(openapi.CodeUnavailable, "starting")})
			return
		}
		for came := openapi.MaxLeaseFiles; came < many; {
			_, files, err := c.Read()
			if leaseconn.CloseAll(files); err != nil || len(files) == 0 {
				t.Errorf("segments after %d: %d, %v", came, len(files), err)
				return
			}
			came += len(files)
		}
		declared <- *first.Declare
		say(t, c, memory, openapi.LeaseFrame{Type: openapi.FrameHeld}, openapi.LeaseFrame{Type: openapi.FrameMoved, Version: moved.String()})
		hangUp(c)
	})
	l, err := a.Lease(t.Context(), openapi.LeaseRequest{Ref: "a/b:c"}, agent.LeaseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	got := <-declared
	if got.Ref != "a/b:c" || got.Version != version || len(got.Segments) != many || got.Segments[many-1].ID != many-1 {
		t.Errorf("declared %s at %s with %d segments", got.Ref, got.Version.Short(), len(got.Segments))
	}
	if got := <-l.Moved(); got != moved {
		t.Errorf("moved to %s, want %s", got.Short(), moved.Short())
	}
	if err := l.Err(); err != nil {
		t.Errorf("a declared lease says %v", err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// giveMany gives a lease of so many segments, all of the same memory.
func giveMany(t *testing.T, c *leaseconn.Conn[openapi.LeaseFrame], memory *os.File, many int) {
	for id := 0; id < many; {
		f := openapi.LeaseFrame{Type: openapi.FrameSegments, Ref: "a/b:c", Version: version.String()}
		for ; id < many && len(f.Segments) < openapi.MaxLeaseFiles; id++ {
			f.Segments = append(f.Segments, openapi.LeaseSegment{ID: uint64(id), Size: memorySize})
		}
		say(t, c, memory, f)
	}
	say(t, c, memory, layoutOf())
}

// TestCloseWhileDeclaring ends the search for another agent.
func TestCloseWhileDeclaring(t *testing.T) {
	memory, gone := newMemory(t), make(chan struct{})
	a := fakeAgent(t, func(c *leaseconn.Conn[openapi.LeaseFrame], first openapi.LeaseFrame) {
		if first.Type == openapi.FrameLease {
			say(t, c, memory, segments(), layoutOf(oneFile("f", "t", 0, 10)))
			return
		}
		select {
		case <-gone:
		default:
			close(gone)
		}
		hangUp(c) // without an answer
	})
	l, err := a.Lease(t.Context(), openapi.LeaseRequest{Ref: "a/b:c"}, agent.LeaseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	<-gone
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if err := l.Err(); !errors.Is(err, agent.ErrClosed) {
		t.Errorf("a closed lease says %v", err)
	}
}

// TestNewestMove is what somebody gets who is late.
func TestNewestMove(t *testing.T) {
	memory := newMemory(t)
	last := chunker.Sum([]byte("last"))
	a := fakeAgent(t, func(c *leaseconn.Conn[openapi.LeaseFrame], first openapi.LeaseFrame) {
		say(t, c, memory, segments(), layoutOf(oneFile("f", "t", 0, 10)))
		for i := range 9 {
			say(t, c, memory, openapi.LeaseFrame{Type: openapi.FrameMoved, Version: chunker.Sum([]byte{byte(i)}).String()})
		}
		say(t, c, memory, openapi.LeaseFrame{Type: openapi.FrameMoved, Version: last.String()})
		say(t, c, memory, openapi.LeaseFrame{Type: openapi.FrameError, Error: openapi.Errorf(openapi.CodeInternal, "enough")})
		hangUp(c)
	})
	l, err := a.Lease(t.Context(), openapi.LeaseRequest{Ref: "a/b:c"}, agent.LeaseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	for !errors.Is(l.Err(), &openapi.Error{Code: openapi.CodeInternal}) { // all frames before have been read then
		if _, err := l.Tensor("f", "t"); err != nil {
			t.Fatal(err)
		}
	}
	if got := <-l.Moved(); got != last {
		t.Errorf("moved to %s, want %s", got.Short(), last.Short())
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
}

// TestFileInPieces is put together.
func TestFileInPieces(t *testing.T) {
	l := leaseOf(t, agent.Options{}, openapi.LeaseFile{Path: "f", Size: 4196, Runs: []openapi.LeaseRun{
		{Segment: 7, Offset: 8192, Length: 4096}, {Segment: 7, Offset: 4096, Length: 100},
	}})
	var got bytes.Buffer
	want := append(pages(8192, 4096), pages(4096, 100)...)
	if n, err := l.ReadFile("f", &got); err != nil || n != 4196 || !bytes.Equal(got.Bytes(), want) {
		t.Errorf("%d bytes, %v", n, err)
	}
	full := errors.New("full")
	if n, err := l.ReadFile("f", failing{full}); n != 0 || !errors.Is(err, full) {
		t.Errorf("to a writer that fails: %d bytes, %v", n, err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
	}
	if _, err := l.ReadFile("f", &got); !errors.Is(err, agent.ErrClosed) {
		t.Errorf("a file of a closed lease: %v", err)
	}
}

type failing struct{ err error }

func (f failing) Write([]byte) (int, error) { return 0, f.err }

// TestStreamInProgress is not whole, and its iterator heeds the context.
func TestStreamInProgress(t *testing.T) {
	memory := newMemory(t)
	a := fakeAgent(t, func(c *leaseconn.Conn[openapi.LeaseFrame], _ openapi.LeaseFrame) {
		say(t, c, memory, segments(), openapi.LeaseFrame{Type: openapi.FrameTensor, File: "f", Tensor: &openapi.LeaseTensor{
			Name: "t", Bytes: 10, Shape: []uint64{10}, Runs: []openapi.LeaseRun{{Segment: 7, Offset: 4096, Length: 10}},
		}})
		hangUp(c)
	})
	l, err := a.Lease(t.Context(), openapi.LeaseRequest{Ref: "a/b:c", Mode: openapi.LeaseStream}, agent.LeaseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if l.Ref() != "a/b:c" || l.Version() != version || l.Files() != nil {
		t.Errorf("streams %s at %s, files %v", l.Ref(), l.Version().Short(), l.Files())
	}
	if _, err := l.Tensor("f", "t"); err == nil {
		t.Error("a tensor is there before its stream has ended")
	}
	if _, err := l.ReadFile("f", new(bytes.Buffer)); err == nil {
		t.Error("a file is there before its stream has ended")
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var last error
	for tensor, err := range l.Tensors(ctx) {
		if last = err; err == nil && tensor.Bytes[0] == 1 {
			cancel()
		}
	}
	if !errors.Is(last, context.Canceled) {
		t.Errorf("the iterator ends with %v, want canceled", last)
	}
}
