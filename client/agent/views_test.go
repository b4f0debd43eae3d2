package agent_test

import (
	"bytes"
	"errors"
	"path/filepath"
	"runtime/debug"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/leaseconn"
)

// leaseOf leases files of one segment.
func leaseOf(t *testing.T, o agent.Options, files ...openapi.LeaseFile) *agent.Lease {
	t.Helper()
	memory := newMemory(t)
	served := fakeAgent(t, func(c *leaseconn.Conn[openapi.LeaseFrame], _ openapi.LeaseFrame) {
		say(t, c, memory, segments(), layoutOf(files...))
		hangUp(c)
	})
	a, err := agent.New(served.Address(), o)
	if err != nil {
		t.Fatal(err)
	}
	l, err := a.Lease(t.Context(), openapi.LeaseRequest{Ref: "a/b:c"}, agent.LeaseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// pages returns what newMemory has from offset on.
func pages(offset, length int64) []byte {
	b := make([]byte, length)
	for i := range b {
		b[i] = byte((offset + int64(i)) / 4096)
	}
	return b
}

// TestJoining maps what can be mapped, and copies the rest.
func TestJoining(t *testing.T) {
	const page = 4096
	for name, c := range map[string]struct {
		runs   []openapi.LeaseRun // [segment, offset, length]
		width  int64
		copied bool
	}{
		"one run":                        {[]openapi.LeaseRun{{Offset: 3, Length: 5}}, 1, false},
		"one run over pages":             {[]openapi.LeaseRun{{Offset: 2 * page, Length: 3*page + 8}}, 8, false},
		"pages out of order":             {[]openapi.LeaseRun{{Offset: 4 * page, Length: page}, {Offset: page, Length: 2 * page}, {Offset: 9 * page, Length: 12}}, 4, false},
		"the same page twice":            {[]openapi.LeaseRun{{Offset: 4 * page, Length: page}, {Offset: 4 * page, Length: page}}, 1, false},
		"begins inside a page":           {[]openapi.LeaseRun{{Offset: page + 4000, Length: 96}, {Offset: 7 * page, Length: 104}}, 4, false},
		"first ends inside a page":       {[]openapi.LeaseRun{{Offset: page, Length: 100}, {Offset: 7 * page, Length: 100}}, 1, true},
		"second begins inside a page":    {[]openapi.LeaseRun{{Offset: page, Length: page}, {Offset: 7*page + 8, Length: 100}}, 4, true},
		"middle ends inside a page":      {[]openapi.LeaseRun{{Offset: 0, Length: page}, {Offset: page, Length: 8}, {Offset: 2 * page, Length: 8}}, 4, true},
		"not aligned for its type":       {[]openapi.LeaseRun{{Offset: 2, Length: 16}}, 4, true},
		"aligned for its type":           {[]openapi.LeaseRun{{Offset: 2, Length: 16}}, 2, false},
		"blocks of odd bytes":            {[]openapi.LeaseRun{{Offset: 2, Length: 36}}, 18, false},
		"elements wider than alignments": {[]openapi.LeaseRun{{Offset: 16, Length: 64}}, 64, false},
	} {
		t.Run(name, func(t *testing.T) {
			var want []byte
			for i := range c.runs {
				c.runs[i].Segment = 7
				want = append(want, pages(c.runs[i].Offset, c.runs[i].Length)...)
			}
			size := int64(len(want))
			l := leaseOf(t, agent.Options{}, openapi.LeaseFile{Path: "f", Size: size, Runs: c.runs, Tensors: []openapi.LeaseTensor{
				{Name: "t", Shape: []uint64{uint64(size / c.width)}, Bytes: size},
			}})
			got, err := l.Tensor("f", "t")
			if err != nil || !bytes.Equal(got.Bytes, want) {
				t.Errorf("the tensor is wrong (%v)", err)
			}
			stats := l.Stats()
			if copied := stats.Copied == size && stats.Mapped == 0; copied != c.copied || stats.Mapped+stats.Copied != size {
				t.Errorf("%+v, want copied: %v", stats, c.copied)
			}
		})
	}
}

// TestMappingBudget copies beyond it, and gives back what a closed lease had.
func TestMappingBudget(t *testing.T) {
	const page = 4096
	var files []openapi.LeaseFile
	for i, name := range []string{"a", "b", "c"} { // each of two pages apart
		f := oneFile(name, "t", int64(i)*page, page)
		f.Runs = append(f.Runs, openapi.LeaseRun{Segment: 7, Offset: int64(8+i) * page, Length: page})
		f.Size, f.Tensors[0].Bytes = 2*page, 2*page
		files = append(files, f)
	}
	files = append(files, oneFile("d", "t", 5*page, page), oneFile("e", "t", 6*page, page))
	l := leaseOf(t, agent.Options{Mappings: 5}, files...)
	for i, first := range []byte{0, 1, 2, 5, 6} {
		got, err := l.Tensor(files[i].Path, "t")
		if err != nil || got.Bytes[0] != first {
			t.Errorf("%s is wrong (%v)", files[i].Path, err)
		}
	}
	// Those of two pages take two mappings each, the others one together.
	if got, want := l.Stats(), (agent.Stats{Mapped: 6 * page, Copied: 2 * page, Mappings: 5}); got != want {
		t.Errorf("%+v, want %+v", got, want)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if got := l.Stats().Mappings; got != 0 {
		t.Errorf("%d mappings after Close", got)
	}
}

// TestNamesInSeveralFiles want the file.
func TestNamesInSeveralFiles(t *testing.T) {
	l := leaseOf(t, agent.Options{}, oneFile("a", "t", 0, 10), oneFile("b", "t", 4096, 10))
	if _, err := l.Tensor("", "t"); !errors.Is(err, &openapi.Error{Code: openapi.CodeConflict}) || !strings.Contains(err.Error(), `"a"`) {
		t.Errorf("%v, want conflict that names a file", err)
	}
	if got, err := l.Tensor("b", "t"); err != nil || got.Bytes[0] != 1 {
		t.Errorf("b is wrong (%v)", err)
	}
	if _, err := l.ReadFile("c", new(bytes.Buffer)); !errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
		t.Errorf("file c: %v, want not_found", err)
	}
}

// TestTensorsAreReadOnly writes to one, which the processor refuses.
func TestTensorsAreReadOnly(t *testing.T) {
	l := leaseOf(t, agent.Options{}, oneFile("a", "t", 0, 10))
	got, err := l.Tensor("a", "t")
	if err != nil {
		t.Fatal(err)
	}
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if recover() == nil {
			t.Error("a tensor can be written")
		}
	}()
	got.Bytes[0] = 1
}

// TestLostBeforeTheLease tells it.
func TestLostBeforeTheLease(t *testing.T) {
	a := fakeAgent(t, func(*leaseconn.Conn[openapi.LeaseFrame], openapi.LeaseFrame) {})
	if _, err := a.Lease(t.Context(), openapi.LeaseRequest{Ref: "a/b:c"}, agent.LeaseOptions{}); !errors.Is(err, agent.ErrLost) {
		t.Errorf("lease: %v, want ErrLost", err)
	}
	b, err := agent.New(filepath.Join(t.TempDir(), "s"), agent.Options{})
	if err != nil {
		t.Fatal(err)
	}
	b.Close()
}
