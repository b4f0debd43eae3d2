package agent_test

import (
	"errors"
	"math"
	"os"
	"testing"

	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/integration/needtest"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/leaseconn"
)

// TestLyingAgents say things of memory that are not so.
func TestLyingAgents(t *testing.T) {
	run := func(segment uint64, offset, length int64) openapi.LeaseRun {
		return openapi.LeaseRun{Segment: segment, Offset: offset, Length: length}
	}
	file := func(size int64, runs ...openapi.LeaseRun) openapi.LeaseFrame {
		return layoutOf(openapi.LeaseFile{Path: "f", Size: size, Runs: runs})
	}
	tensor := func(offset, bytes int64) openapi.LeaseFrame {
		f := oneFile("f", "t", 0, 100)
		f.Tensors[0].Offset, f.Tensors[0].Bytes = offset, bytes
		return layoutOf(f)
	}
	long := segments()
	long.Segments[0].Size = memorySize + 1
	twice := segments()
	twice.Segments = append(twice.Segments, twice.Segments[0])
	for name, frames := range map[string][]openapi.LeaseFrame{
		"segment longer than its file": {long},
		"segment twice":                {twice},
		"segment again":                {segments(), segments()},
		"segment of no version":        {{Type: openapi.FrameSegments, Segments: segments().Segments}},
		"run of another segment":       {segments(), file(1, run(8, 0, 1))},
		"run behind the end":           {segments(), file(2, run(7, memorySize-1, 2))},
		"run that overflows":           {segments(), file(2, run(7, math.MaxInt64, 2))},
		"run longer than the file":     {segments(), file(1, run(7, 0, 2))},
		"runs too short":               {segments(), file(3, run(7, 0, 2))},
		"runs too many":                {segments(), file(2, run(7, 0, 2), run(7, 0, 1))},
		"file of negative size":        {segments(), file(-1)},
		"tensor behind its file":       {segments(), tensor(90, 11)},
		"tensor before its file":       {segments(), tensor(-1, 1)},
		"tensor of negative size":      {segments(), tensor(0, -1)},
		"tensor that overflows":        {segments(), tensor(math.MaxInt64, math.MaxInt64)},
		"layout frame without layout":  {segments(), {Type: openapi.FrameLayout}},
		"error without text":           {{Type: openapi.FrameError}},
	} {
		t.Run(name, func(t *testing.T) {
			memory := newMemory(t)
			before := openFiles(t)
			a := fakeAgent(t, func(c *leaseconn.Conn[openapi.LeaseFrame], _ openapi.LeaseFrame) {
				say(t, c, memory, frames...)
				hangUp(c)
			})
			_, err := a.Lease(t.Context(), openapi.LeaseRequest{Ref: "a/b:c"}, agent.LeaseOptions{})
			if !errors.Is(err, agent.ErrProtocol) {
				t.Errorf("lease: %v, want ErrProtocol", err)
			}
			if got := openFiles(t); got > before+2 { // the listener, and the agent's end for a moment
				t.Errorf("%d descriptors are open, %d were", got, before)
			}
		})
	}
}

// TestLyingStreams do so after the lease holds.
func TestLyingStreams(t *testing.T) {
	good := openapi.LeaseFrame{Type: openapi.FrameTensor, File: "f", Tensor: &openapi.LeaseTensor{
		Name: "t", Bytes: 4096, Shape: []uint64{4096}, Runs: []openapi.LeaseRun{{Segment: 7, Length: 4096}},
	}}
	bad := openapi.LeaseFrame{Type: openapi.FrameTensor, File: "f", Tensor: &openapi.LeaseTensor{
		Name: "u", Bytes: 4096, Runs: []openapi.LeaseRun{{Segment: 9, Length: 4096}},
	}}
	for _, mode := range []string{openapi.LeaseStream, openapi.LeaseWindow} {
		for name, last := range map[string]openapi.LeaseFrame{
			"tensor elsewhere":            bad,
			"tensor frame without tensor": {Type: openapi.FrameTensor},
			"moved to nothing":            {Type: openapi.FrameMoved, Version: "x"},
			"done with no version":        {Type: openapi.FrameDone},
		} {
			memory := newMemory(t)
			a := fakeAgent(t, func(c *leaseconn.Conn[openapi.LeaseFrame], _ openapi.LeaseFrame) {
				say(t, c, memory, segments(), good, last)
				hangUp(c)
			})
			l, err := a.Lease(t.Context(), openapi.LeaseRequest{Ref: "a/b:c", Mode: mode}, agent.LeaseOptions{})
			if err != nil {
				t.Fatal(err)
			}
			n, failure := 0, error(nil)
			for tensor, err := range l.Tensors(t.Context()) {
				if failure = err; err == nil && tensor.Name == "t" && tensor.Bytes[0] == 0 {
					n++
				}
			}
			if !errors.Is(failure, agent.ErrProtocol) || n != 1 {
				t.Errorf("%s: %d tensors and %v, want one and ErrProtocol", name, n, failure)
			}
			if err := l.Close(); err != nil {
				t.Error(err)
			}
		}
	}
}

// TestUnknownFrames are of a later release.
func TestUnknownFrames(t *testing.T) {
	memory := newMemory(t)
	a := fakeAgent(t, func(c *leaseconn.Conn[openapi.LeaseFrame], _ openapi.LeaseFrame) {
		say(t, c, memory, openapi.LeaseFrame{Type: "weather"}, segments(), openapi.LeaseFrame{Type: "news"}, layoutOf(oneFile("f", "t", 0, 10)))
		hangUp(c)
	})
	l, err := a.Lease(t.Context(), openapi.LeaseRequest{Ref: "a/b:c"}, agent.LeaseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Error(err)
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
