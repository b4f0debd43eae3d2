package nodeapi_test

import (
	"context"
	"iter"
	"os"
	"strconv"
	"sync"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/nodecache/internal/nodeapi"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// fakeNode is a node that holds one model. Its memory is real: memfds, as the RAM
// tier has them.
type fakeNode struct {
	model  *model
	memory *fakeMemory

	resident chan struct{} // closed when the version is there
	ready    error
	fail     error // of every request

	mu       sync.Mutex
	leases   []*fakeLease
	open     int // leases
	declared map[*fakeHeld]bool
	orphans  []node.Orphan
	waits    int           // leases that gave up waiting
	changed  chan struct{} // closed at every change
	events   chan openapi.NodeEvent
	orders   []node.LeaseOrder
	loads    []openapi.LoadRequest
	swaps    []node.SwapOrder
	gpu      gpuLease
	gpus     []openapi.GPUDevice
	panes    int // tensors that a window gives before it wants acknowledgements
}

func newFakeNode(t testing.TB, m *model) *fakeNode {
	t.Helper()
	n := &fakeNode{
		model: m, resident: make(chan struct{}), changed: make(chan struct{}), declared: map[*fakeHeld]bool{},
		events: make(chan openapi.NodeEvent, 16), panes: 2,
	}
	n.memory = newFakeMemory(t, m)
	close(n.resident)
	return n
}

// await waits until is holds of the node.
func (n *fakeNode) await(t testing.TB, what string, is func() bool) {
	t.Helper()
	for {
		n.mu.Lock()
		ok, changed := is(), n.changed
		n.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-t.Context().Done():
			t.Fatalf("%s: never", what)
		}
	}
}

// look reads what the node has noted.
func (n *fakeNode) look(do func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	do()
}

func (n *fakeNode) change(do func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	do()
	close(n.changed)
	n.changed = make(chan struct{})
}

func (n *fakeNode) Load(_ context.Context, o node.LoadOrder) (openapi.LoadReceipt, error) {
	n.change(func() {
		n.loads = append(n.loads, openapi.LoadRequest{Ref: o.Ref.String(), Tier: o.Tier, Deadline: o.Deadline.Seconds(), Device: o.Device, Hint: o.Hint})
	})
	return openapi.LoadReceipt{Ref: o.Ref.String(), Version: n.model.version, Tier: o.Tier, BytesTotal: int64(n.model.manifest.ChunkBytes())}, n.fail
}

func (n *fakeNode) Plan(_ context.Context, o node.LoadOrder) (openapi.LoadReceipt, error) {
	return openapi.LoadReceipt{Ref: o.Ref.String(), Version: n.model.version, Tier: o.Tier}, n.fail
}

func (n *fakeNode) Swap(_ context.Context, o node.SwapOrder) (openapi.SwapReceipt, error) {
	n.change(func() { n.swaps = append(n.swaps, o) })
	return openapi.SwapReceipt{From: o.From.String(), To: o.To.String(), Version: n.model.version, Device: o.Device, Kind: openapi.SwapRemap}, n.fail
}

func (n *fakeNode) LeaseGPU(ctx context.Context, o node.LeaseOrder, waiting func(done, total int64)) (nodeapi.GPULease, error) {
	var l gpuLease
	var resident <-chan struct{}
	n.change(func() { n.orders = append(n.orders, o); l, resident = n.gpu, n.resident })
	if l == nil {
		return nil, openapi.Errorf(openapi.CodeBadRequest, "lease %s: this node has no tier gpu", o.Ref)
	}
	waiting(1, 2)
	select {
	case <-resident:
	case <-ctx.Done():
		n.change(func() { n.waits++ })
		return nil, ctx.Err()
	}
	n.change(func() { l.begin(o.Ref, waiting); n.open++ })
	return l, nil
}

func (n *fakeNode) Unload(_ context.Context, ref name.Ref, to openapi.Tier) (openapi.UnloadReceipt, error) {
	return openapi.UnloadReceipt{Ref: ref.String(), Version: n.model.version, Tier: to}, n.fail
}

func (n *fakeNode) Materialize(_ context.Context, ref name.Ref) (openapi.MaterializeReceipt, error) {
	return openapi.MaterializeReceipt{Ref: ref.String(), Version: n.model.version, Files: 3}, n.fail
}

func (n *fakeNode) Pin(_ context.Context, ref name.Ref, pinned bool) (openapi.ModelStatus, error) {
	return openapi.ModelStatus{Ref: ref.String(), State: openapi.ModelReady, Pinned: pinned}, n.fail
}

func (n *fakeNode) Status() openapi.NodeStatus {
	return openapi.NodeStatus{
		Name: "fake", Models: []openapi.ModelStatus{{
			Ref: n.model.ref, Version: n.model.version.String(), Tier: openapi.TierRAM, State: openapi.ModelReady, Leases: 2,
			Old: []openapi.OldVersion{{Version: n.model.version.String(), Leases: 3}},
		}},
		Tiers: openapi.TierUsages{
			RAM: openapi.TierUsage{Used: 4096, Budget: 8192, Orphaned: 1024, Models: 1},
			GPU: openapi.GPUUsage{State: openapi.GPUOff, Devices: append([]openapi.GPUDevice{}, n.gpus...)},
		},
		Waiting: 7, Deltas: openapi.DeltaTotals{PatchMemory: 29},
	}
}

func (n *fakeNode) Counters() node.Counters {
	return node.Counters{
		Hits: node.Hits{RAM: 11, None: 3}, Received: 12, Bytes: openapi.Sources{Registry: 13}, Failed: 14,
		Idle: node.TierCounts{GPU: 15}, GPU: node.Moves{Loads: 16, Swaps: 17, Dropped: 18, Uploaded: 19, DeviceCopied: 20},
		Deltas: openapi.DeltaTotals{
			Chunks: 21, BytesReceived: 22, BytesBase: 23, BasesWrong: 24, Patches: 25, PatchesUndone: 26, PatchesLost: 27, BytesPatched: 28,
		},
	}
}

func (n *fakeNode) Ready() error { return n.ready }

func (n *fakeNode) Events(ctx context.Context) iter.Seq[openapi.NodeEvent] {
	return func(yield func(openapi.NodeEvent) bool) {
		for {
			select {
			case e, ok := <-n.events:
				if !ok || !yield(e) {
					return
				}
			case <-ctx.Done():
				return
			}
		}
	}
}

func (n *fakeNode) Lease(ctx context.Context, o node.LeaseOrder, waiting func(done, total int64)) (nodeapi.Lease, error) {
	var fail error
	n.change(func() { n.orders = append(n.orders, o); fail = n.fail })
	if fail != nil {
		return nil, fail
	}
	waiting(1, 2)
	select {
	case <-n.resident:
	case <-ctx.Done():
		n.change(func() { n.waits++ })
		return nil, ctx.Err()
	}
	l := &fakeLease{node: n, ref: o.Ref, moved: make(chan node.Move, 1), acks: make(chan struct{}, 1000)}
	if o.Mode == openapi.LeaseWindow {
		l.panes = n.panes
	}
	n.change(func() { n.leases = append(n.leases, l); n.open++ })
	return l, nil
}

func (n *fakeNode) Declare(_ context.Context, d openapi.LeaseDeclare, s []node.Orphan, _ int) (nodeapi.Held, error) {
	var fail error
	if n.look(func() { fail = n.fail }); fail != nil {
		return nil, fail
	}
	h := &fakeHeld{node: n, moved: make(chan node.Move, 1)}
	n.change(func() { n.declared[h] = true; n.orphans = append(n.orphans, s...) })
	return h, nil
}

type fakeHeld struct {
	node  *fakeNode
	moved chan node.Move
}

func (h *fakeHeld) Moved() <-chan node.Move { return h.moved }
func (h *fakeHeld) Release()                { h.node.change(func() { delete(h.node.declared, h) }) }

type fakeLease struct {
	node  *fakeNode
	ref   name.Ref
	moved chan node.Move
	acks  chan struct{}
	panes int // 0: no window
	acked int
}

func (l *fakeLease) Ref() name.Ref                { return l.ref }
func (l *fakeLease) Version() chunker.Digest      { return l.node.model.version }
func (l *fakeLease) Manifest() *manifest.Manifest { return l.node.model.manifest }
func (l *fakeLease) Moved() <-chan node.Move      { return l.moved }
func (l *fakeLease) Whole(context.Context) error  { return nil }
func (l *fakeLease) Release()                     { l.node.change(func() { l.node.open-- }) }

func (l *fakeLease) Ack() {
	l.node.change(func() { l.acked++ })
	l.acks <- struct{}{}
}

func (l *fakeLease) Place(c uint32) (node.Place, bool) { return l.node.memory.places[c], true }

func (l *fakeLease) Segment(id uint64) (node.Segment, error) { return l.node.memory.segments[id], nil }

func (l *fakeLease) Arrivals(ctx context.Context) iter.Seq2[node.Arrival, error] {
	return func(yield func(node.Arrival, error) bool) {
		given := 0
		for i, f := range l.node.model.manifest.Files {
			for j := range f.Tensors {
				if given++; l.panes > 0 && given > l.panes {
					select {
					case <-l.acks:
					case <-ctx.Done():
						yield(node.Arrival{}, ctx.Err())
						return
					}
				}
				if !yield(node.Arrival{File: i, Tensor: j}, nil) {
					return
				}
			}
		}
	}
}

// fakeMemory has every chunk at a page, those of whole pages behind each other
// unless scattered.
type fakeMemory struct {
	segments map[uint64]node.Segment
	places   []node.Place
}

const (
	segmentSize = 8 << 20
	pageSize    = 4096
)

func newFakeMemory(t testing.TB, m *model) *fakeMemory {
	t.Helper()
	mem := &fakeMemory{segments: map[uint64]node.Segment{}}
	var fd int
	var id uint64
	at := int64(segmentSize)
	for _, ref := range m.manifest.Chunks {
		if at+int64(ref.Size) > segmentSize {
			id, at = id+1, 0
			fd = mem.grow(t, id)
		}
		if _, err := unix.Pwrite(fd, m.chunks[ref.Digest], at); err != nil {
			t.Fatal(err)
		}
		mem.places = append(mem.places, node.Place{Segment: id, Offset: at, Length: int64(ref.Size)})
		at += (int64(ref.Size) + pageSize - 1) / pageSize * pageSize
		if m.scatter {
			at += pageSize
		}
	}
	return mem
}

// grow adds a segment and returns a descriptor to write to it.
func (mem *fakeMemory) grow(t testing.TB, id uint64) int {
	t.Helper()
	fd, err := unix.MemfdCreate("fake", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Close(fd) })
	if err := unix.Ftruncate(fd, segmentSize); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	mem.segments[id] = node.Segment{ID: id, Size: segmentSize, File: f}
	return fd
}
