package node

import (
	"context"
	"fmt"
	"iter"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/nodecache/internal/bell"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/nodecache/internal/ram"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// windowSize is how many bytes a window has if the tensors and the budget allow:
// enough for a few tensors to be on their way while one is in use.
const windowSize = 256 << 20

// window is a part of the RAM through which a version is streamed that is too
// large for it: one tensor after another comes, is used, and makes room.
type window struct {
	node    *Node
	key     ledger.Key
	m       *manifest.Manifest
	tensors tensors
	order   []Arrival
	name    string // in the account
	size    int64
	domain  *ram.Domain
	held    func() []client.Held // what the node has, that chunks may be a difference from

	mu     sync.Mutex
	bell   bell.Bell
	chunks map[uint32]*pane
	used   int64
	queue  []Arrival // given to the client and not acknowledged
	closed bool
}

// pane is a chunk in a window, for as many tensors as need it.
type pane struct {
	place *ram.Pane
	uses  int
}

// leaseWindow leases a version through a window.
func (n *Node) leaseWindow(ctx context.Context, o LeaseOrder, k ledger.Key) (*Lease, error) {
	m, err := n.manifest(ctx, k)
	if err != nil {
		return nil, err
	}
	w := &window{
		node: n, key: k, m: m, tensors: newTensors(m), chunks: map[uint32]*pane{},
		domain: n.config.RAM.Domain(k.Repo.Namespace),
		held:   sync.OnceValue(func() []client.Held { return n.held(k, m) }),
	}
	w.order = w.tensors.inOrder(o.First)
	var largest int64
	for _, a := range w.order {
		largest = max(largest, w.cost(w.tensors.chunks(a)))
	}
	budget := n.config.RAMLimits.Bytes
	if largest > budget {
		f := largestTensor(m)
		return nil, openapi.Errorf(openapi.CodeTooLarge, "its largest tensor %q needs %s, and the RAM budget is %s", f, spell(largest), spell(budget))
	}
	w.size = min(budget, max(largest, windowSize))
	w.name = fmt.Sprintf("window of %s for %s (%p)", o.Ref, o.Client, w)
	if err := n.ram.hold(ctx, w.name, w.size); err != nil {
		return nil, err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.version(k).manifest = m
	l := n.newLease(o, k)
	l.window = w
	return l, nil
}

// largestTensor names the tensor of the most bytes.
func largestTensor(m *manifest.Manifest) (name string) {
	var most uint64
	for i := range m.Files {
		for _, t := range m.Files[i].Tensors {
			if t.Length >= most {
				name, most = t.Name, t.Length
			}
		}
	}
	return name
}

// cost is the bytes that chunks take of the window.
func (w *window) cost(chunks []uint32) (bytes int64) {
	for _, c := range chunks {
		bytes += w.node.config.RAM.Cost(w.m.Chunks[c].Size)
	}
	return bytes
}

func (w *window) place(c uint32) (Place, bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.chunks[c]
	if p == nil {
		return Place{}, false
	}
	segment, offset, length := p.place.Place()
	return Place{segment, offset, length}, true
}

// arrivals brings one tensor after another, as many ahead of the client as there
// is room for, and yields each when it is there.
func (w *window) arrivals(ctx context.Context) iter.Seq2[Arrival, error] {
	return func(yield func(Arrival, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		there := make(chan Arrival)
		var g errgroup.Group
		g.Go(func() error {
			defer close(there)
			for _, a := range w.order {
				if err := w.bring(ctx, a); err != nil {
					return err
				}
				select {
				case there <- a:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			return nil
		})
		for a := range there {
			w.give(a)
			if !yield(a, nil) {
				cancel()
				break
			}
		}
		cancelled := ctx.Err() != nil
		cancel()
		for range there { // let it end
		}
		if err := g.Wait(); err != nil && !cancelled {
			yield(Arrival{}, told("stream "+w.key.Repo.String(), err))
		}
	}
}

// bring makes room for a tensor and fills it.
func (w *window) bring(ctx context.Context, a Arrival) error {
	missing, err := w.room(ctx, w.tensors.chunks(a))
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(w.node.config.Workers)
	var fetch []uint32
	for _, c := range missing {
		if !w.node.config.Disk.Has(w.m.Chunks[c].Digest) {
			fetch = append(fetch, c)
			continue
		}
		g.Go(func() error { return w.read(ctx, c) })
	}
	if len(fetch) > 0 {
		g.Go(func() error { return w.fetch(ctx, fetch) })
	}
	return g.Wait()
}

// room waits until the chunks of a tensor have places, and returns those that are
// new and have to be filled.
func (w *window) room(ctx context.Context, chunks []uint32) (missing []uint32, err error) {
	for {
		rung := w.bell.Next()
		missing, ok, err := w.tryRoom(chunks)
		if ok || err != nil {
			return missing, err
		}
		select {
		case <-rung:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (w *window) tryRoom(chunks []uint32) (missing []uint32, ok bool, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var sizes []uint32
	for i, c := range chunks {
		if w.chunks[c] == nil && !contains(chunks[:i], c) {
			missing = append(missing, c)
			sizes = append(sizes, w.m.Chunks[c].Size)
		}
	}
	need := w.cost(missing)
	if w.closed || w.used+need > w.size {
		return nil, false, nil
	}
	places, err := w.domain.Window(sizes)
	if err != nil {
		return nil, false, err
	}
	for i, c := range missing {
		w.chunks[c] = &pane{place: places[i]}
	}
	for i, c := range chunks {
		if !contains(chunks[:i], c) {
			w.chunks[c].uses++
		}
	}
	w.used += need
	return missing, true, nil
}

func contains(chunks []uint32, c uint32) bool {
	for _, have := range chunks {
		if have == c {
			return true
		}
	}
	return false
}

// read fills a chunk from the disk, or else from the registry.
func (w *window) read(ctx context.Context, c uint32) error {
	ref := w.m.Chunks[c]
	if _, err := w.node.config.Disk.Read(ctx, ref, w.bytes(c)[:0]); err == nil {
		return nil
	} else if ctx.Err() != nil {
		return ctx.Err()
	}
	return w.fetch(ctx, []uint32{c})
}

// bytes is the memory of a chunk.
func (w *window) bytes(c uint32) []byte {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.chunks[c].place.Bytes()
}

func (w *window) fetch(ctx context.Context, chunks []uint32) error {
	n := w.node
	if n.config.Registry == nil {
		return errNoRegistry
	}
	queue := make(chan uint32, len(chunks))
	for _, c := range chunks {
		queue <- c
	}
	close(queue)
	received, err := n.config.Registry.Fetch(ctx, w.key.Repo, w.key.Digest, w.m, queue, windowSink{w}, client.FetchOptions{Held: w.held()})
	n.count(func(c *Counters) { c.received(received) })
	return err
}

// windowSink has fetched chunks decoded into the window.
type windowSink struct{ *window }

func (s windowSink) Room(_ context.Context, c uint32) ([]byte, error) { return s.bytes(c), nil }

func (s windowSink) Take(context.Context, uint32, []byte, []byte) error { return nil }

// give notes that the client has a tensor.
func (w *window) give(a Arrival) {
	w.mu.Lock()
	w.queue = append(w.queue, a)
	w.mu.Unlock()
}

// ack takes the oldest tensor back from the client.
func (w *window) ack() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) == 0 {
		return
	}
	a := w.queue[0]
	w.queue = w.queue[1:]
	chunks := w.tensors.chunks(a)
	for i, c := range chunks {
		p := w.chunks[c]
		if p == nil || contains(chunks[:i], c) {
			continue
		}
		if p.uses--; p.uses == 0 {
			w.drop(c, p)
		}
	}
	w.bell.Ring()
}

// drop gives a place back. w.mu is held.
func (w *window) drop(c uint32, p *pane) {
	w.used -= w.node.config.RAM.Cost(w.m.Chunks[c].Size)
	delete(w.chunks, c)
	p.place.Free()
}

// close gives everything back. Nobody brings anything any more. A client of a node
// that stops still has what it has mapped.
func (w *window) close() {
	if w.node.ctx.Err() != nil {
		return
	}
	w.mu.Lock()
	w.closed = true
	for c, p := range w.chunks {
		w.drop(c, p)
	}
	w.mu.Unlock()
	w.node.ram.unhold(w.name)
}
