package integration_test

import (
	"bufio"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/openapi"
)

// TestAgentLease leases a model that is in memory and reads all of it. None of it is
// copied: the reader has the agent's pages, and no memory of its own for them. With
// INGOT_LARGE the model has 1 GiB.
func TestAgentLease(t *testing.T) {
	size := int64(48 << 20)
	if large() {
		size = 1 << 30
	}
	r := servePlain(t)
	dir := weightsOf(t, synth.ForSize(size))
	r.push(dir, oddRef)
	want := sumsOf(t, dir)
	n := r.node("", "--ram", strconv.FormatInt(size+size/8, 10))
	n.load(oddRef, openapi.TierRAM)

	began := time.Now()
	l, err := n.Lease(t.Context(), openapi.LeaseRequest{Ref: oddRef}, agent.LeaseOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }() // the test is over
	file := "model.safetensors"
	first, err := l.Tensor(file, "model.embed_tokens.weight")
	if err != nil {
		t.Fatal(err)
	}
	touched := first.Bytes[len(first.Bytes)-1]
	t.Logf("lease to first tensor of %d bytes (last byte %d): %v", len(first.Bytes), touched, time.Since(began))

	if err := want.checkTensors(t.Context(), l); err != nil {
		t.Error(err)
	}
	stats := l.Stats()
	t.Logf("%d bytes are mapped by %d mappings, %d are copied", stats.Mapped, stats.Mappings, stats.Copied)
	if stats.Copied != 0 || stats.Mapped < size*9/10 {
		t.Errorf("tensors: %+v", stats)
	}
	shared, private := mapped(t)
	t.Logf("of the agent's memory the reader shares %d bytes, and has changed %d", shared, private)
	if private != 0 || shared < size*9/10 {
		t.Errorf("the reader shares %d bytes and has %d of its own", shared, private)
	}
}

// mapped returns how many resident bytes of this process's mappings of an agent's
// memory are the agent's, and how many are copies.
func mapped(t *testing.T) (shared, private int64) {
	t.Helper()
	f, err := os.Open("/proc/self/smaps")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = f.Close() }() // it is only read
	ours := false
	for lines := bufio.NewScanner(f); lines.Scan(); {
		fields := strings.Fields(lines.Text())
		if len(fields) >= 5 && strings.Contains(fields[0], "-") {
			ours = len(fields) > 5 && isSegment(fields[5])
			continue
		}
		if !ours || len(fields) < 2 {
			continue
		}
		kib, _ := strconv.ParseInt(fields[1], 10, 64) // lines without a number are of no interest
		switch fields[0] {
		case "Rss:":
			shared += kib << 10
		case "Anonymous:":
			private += kib << 10
		}
	}
	return shared - private, private
}
