package integration_test

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/chunker/format"
	"github.com/ingot-ml/ingot/chunker/synth"
)

// deltaReceipt is what a push or a pull says of deltas.
type deltaReceipt struct {
	receipt
	SentDelta     int64 `json:"bytes_sent_delta"`
	ReceivedDelta int64 `json:"bytes_received_delta"`
	ReceivedBase  int64 `json:"bytes_received_base"`
	ChunksDelta   int   `json:"chunks_delta"`
}

// series are the checkpoints of a training in a registry.
type series struct {
	*registry
	*training
	repo  string
	sums  [][sha256.Size]byte
	first []byte
	total struct{ raw, stored, sent, delta int64 }
}

// TestCheckpoints pushes checkpoints in each of which 2 % of the values moved, and
// holds what they cost to what deltas promise: stored, sent, and for who has the first
// and wants the last. Then the first half goes, and what is left needs no base that
// went with it.
func TestCheckpoints(t *testing.T) {
	t.Parallel()
	count, most := 16, 1.15
	if large() {
		count, most = 100, 7
	}
	s := &series{registry: servePlain(t), training: train(t, 1), repo: "bench/series"}
	s.first = slices.Clone(s.file)
	for n := range count {
		if n > 0 {
			s.move(0.02)
		}
		s.pushNext()
	}
	atMost(t, "all checkpoints stored, of one", s.total.stored, most, s.total.raw/int64(count), 0)
	atMost(t, "all checkpoints sent, of one", s.total.sent, 0.7+0.013*float64(count), s.total.raw/int64(count), 0)
	s.lastOntoFirst()
	s.compact()
	s.forget(count / 2)
}

// pushNext pushes what the training has come to.
func (s *series) pushNext() {
	s.t.Helper()
	var got deltaReceipt
	n := len(s.sums)
	s.json(&got, "push", s.checkpoint(s.t), s.ref(n))
	s.sums = append(s.sums, s.sum())
	s.total.raw += got.BytesTotal
	s.total.stored += got.BytesStored
	s.total.sent += got.BytesSent
	s.total.delta += got.SentDelta
	if n > 0 && got.ChunksDelta == 0 {
		s.t.Errorf("checkpoint %d: no chunk was sent as a delta: %+v", n, got)
	}
}

func (s *series) ref(n int) string { return fmt.Sprintf("%s:step-%d", s.repo, n) }

// pullInto pulls a checkpoint into a folder and compares it.
func (s *series) pullInto(dir string, n int, args ...string) (got deltaReceipt) {
	s.t.Helper()
	s.json(&got, append([]string{"pull", s.ref(n), dir}, args...)...)
	file, err := os.ReadFile(filepath.Join(dir, trainedFile))
	if err != nil {
		s.t.Fatal(err)
	}
	if sha256.Sum256(file) != s.sums[n] {
		s.t.Errorf("%s has other bytes", s.ref(n))
	}
	return got
}

// lastOntoFirst pulls the last checkpoint into the folder of the first: about what a
// delta between these two takes.
func (s *series) lastOntoFirst() {
	s.t.Helper()
	dir, last := filepath.Join(s.t.TempDir(), "pulled"), len(s.sums)-1
	s.pullInto(dir, 0, "--no-cache")
	got := s.pullInto(dir, last, "--no-cache")
	atMost(s.t, "the last onto the first", got.BytesReceived, 1.5, freshDelta(s.t, s.first, s.file), 0)
	if got.ReceivedDelta == 0 {
		s.t.Errorf("the last onto the first: %+v", got)
	}
}

// freshDelta returns how many bytes make one file of another: of each chunk a delta or
// the whole, whichever is less.
func freshDelta(t *testing.T, old, now []byte) (total int64) {
	t.Helper()
	f, err := format.Open(trainedFile, bytes.NewReader(now), int64(len(now)))
	if err != nil {
		t.Fatal(err)
	}
	for c, err := range f.Cuts(bytes.NewReader(now)) {
		if err != nil {
			t.Fatal(err)
		}
		a, b := old[c.Offset:c.Offset+int64(c.Length)], now[c.Offset:c.Offset+int64(c.Length)]
		if bytes.Equal(a, b) {
			continue
		}
		whole := codec.Append(nil, b, c.DType)
		if delta, ok := codec.AppendDelta(nil, b, a, chunker.Sum(a), c.DType, len(whole)); ok {
			whole = delta
		}
		total += int64(len(whole))
	}
	return total
}

// compact has encodings chosen anew, twice: the second time there is nothing to gain.
func (s *series) compact() {
	s.t.Helper()
	var got struct {
		Versions int   `json:"versions"` // that were changed
		Gained   int64 `json:"bytes_gained"`
	}
	for range 2 {
		s.json(&got, "compact", s.repo)
		s.t.Logf("compact: %+v", got)
	}
	if got.Gained != 0 || got.Versions != 0 {
		s.t.Errorf("a second compaction: %+v, want nothing to be changed", got)
	}
}

// forget removes all checkpoints before that one and what only they need.
func (s *series) forget(before int) {
	s.t.Helper()
	for n := range before {
		var gone struct{}
		s.json(&gone, "rm", s.ref(n))
	}
	var freed struct{}
	s.json(&freed, "gc", "--grace", "none")
	s.verifyAll()
	for _, n := range []int{before, len(s.sums) - 1} {
		s.pullInto(filepath.Join(s.t.TempDir(), "pulled"), n, "--no-cache")
	}
}

// verifyAll has the registry decode everything that versions need.
func (r *registry) verifyAll() {
	r.t.Helper()
	var got struct {
		Versions     int
		Bad, Missing []any
	}
	r.json(&got, "verify", "--all")
	if len(got.Bad) > 0 || len(got.Missing) > 0 || got.Versions == 0 {
		r.t.Errorf("verify --all: %+v", got)
	}
}

// TestFinetunes pushes fine-tunes of a base, of which ever more values moved, and holds
// what each takes to what its share allows.
func TestFinetunes(t *testing.T) {
	t.Parallel()
	r := servePlain(t)
	spec := trained
	spec.Vocab = 256 // about 1.8 MiB
	if large() {
		spec = synth.ForSize(64 << 20)
	}
	base := weightsOf(t, spec)
	first := r.push(base, "bench/tuned:base")
	for _, tc := range []struct{ percent, most float64 }{{1, 1}, {5, 3}, {20, 9}, {40, 16}, {70, 28}} {
		ref := fmt.Sprintf("bench/tuned:moved-%g", tc.percent)
		dir := weightsOf(t, spec, synth.Train(uint64(tc.percent), tc.percent/100))
		var got deltaReceipt
		r.json(&got, "push", dir, ref, "--base", "bench/tuned:base")
		atMost(t, ref+" stored", got.BytesStored, tc.most/100, first.BytesTotal, 0)
		atMost(t, ref+" sent", got.BytesSent, tc.most/100, first.BytesTotal, 0)
		if got.ChunksDelta != got.ChunksNew {
			t.Errorf("%s: %d of %d new chunks are deltas", ref, got.ChunksDelta, got.ChunksNew)
		}
		r.pull(ref, dir)
	}
}
