package nodeapi_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/gpu"
	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/nodecache/internal/nodeapi"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/leaseconn"
	"github.com/ingot-ml/ingot/registry/name"
)

// fakeGPULease asks what a test says, and notes what it hears. Its slabs are plain
// files that hold their number.
type fakeGPULease struct {
	node   *fakeNode
	dir    string
	asks   chan gpu.Ask
	silent bool // it does not answer to detach by itself
	moved  chan node.Move

	// node.mu protects what follows.
	ref      name.Ref
	waiting  func(done, total int64)
	heard    []string
	exports  int
	released int
	gone     bool // slabs cannot be exported
}

// gpuLease is what a fake node gives.
type gpuLease interface {
	nodeapi.GPULease
	begin(ref name.Ref, waiting func(done, total int64))
}

func newFakeGPU(t *testing.T) (*fakeNode, *fakeGPULease) {
	t.Helper()
	n := newFakeNode(t, newModel(t, false))
	l := &fakeGPULease{node: n, dir: t.TempDir(), asks: make(chan gpu.Ask, 16), moved: make(chan node.Move, 1)}
	n.gpu = l
	return n, l
}

func (l *fakeGPULease) begin(ref name.Ref, waiting func(done, total int64)) {
	l.ref, l.waiting = ref, waiting
}

func (l *fakeGPULease) Ref() name.Ref           { return l.ref }
func (l *fakeGPULease) Version() chunker.Digest { return l.node.model.version }
func (l *fakeGPULease) Moved() <-chan node.Move { return l.moved }
func (l *fakeGPULease) Asks() <-chan gpu.Ask    { return l.asks }
func (l *fakeGPULease) Paused(id uint64)        { l.hear("paused %d", id) }

func (l *fakeGPULease) Detach() {
	l.hear("detach")
	var silent bool
	l.node.look(func() { silent = l.silent })
	if !silent {
		l.asks <- gpu.Ask{Detached: true}
	}
}

func (l *fakeGPULease) Acquire(priority int, deadline time.Duration) {
	l.hear("acquire %d %s", priority, deadline)
}

func (l *fakeGPULease) Release() {
	l.node.change(func() {
		l.node.open--
		l.released++
		close(l.asks)
	})
}

func (l *fakeGPULease) hear(format string, args ...any) {
	l.node.change(func() { l.heard = append(l.heard, fmt.Sprintf(format, args...)) })
}

func (l *fakeGPULease) Export(id uint64) (*os.File, error) {
	var gone bool
	l.node.look(func() { gone = l.gone; l.exports++ })
	if gone {
		return nil, errors.New("the GPU has fallen off the bus")
	}
	f, err := os.CreateTemp(l.dir, "slab")
	if err == nil {
		_, err = f.WriteAt(fmt.Append(nil, id), 0)
	}
	return f, err
}

// awaitHeard waits until the lease has heard so much, in this order.
func (l *fakeGPULease) awaitHeard(t *testing.T, want ...string) {
	t.Helper()
	l.node.await(t, fmt.Sprintf("hear %q", want), func() bool { return len(l.heard) >= len(want) })
	l.node.look(func() {
		if !slices.Equal(l.heard, want) {
			t.Errorf("the lease heard %q, want %q", l.heard, want)
		}
	})
}

// imageOf is an image of these slabs.
func imageOf(ids ...uint64) *openapi.LeaseImage {
	image := &openapi.LeaseImage{Ref: modelRef, Version: chunker.Sum(fmt.Append(nil, ids)), Device: someGPU, Reserve: 1 << 30, Tensors: []openapi.ImageTensor{}}
	for _, id := range ids {
		image.Slabs = append(image.Slabs, openapi.LeaseSlab{ID: id, Size: 2 << 20})
		image.Size += 2 << 20
	}
	return image
}

const someGPU = "GPU-6f1a2b3c-4d5e-6f70-8192-a3b4c5d6e7f8"

// gpuClient is a client that sees every frame.
type gpuClient struct {
	t    *testing.T
	conn *leaseconn.Conn[openapi.LeaseFrame]
}

// leaseGPU leases the model on a GPU.
func leaseGPU(t *testing.T, n *fakeNode) *gpuClient {
	t.Helper()
	s, _ := start(t, n)
	c := &gpuClient{t, framesOf(raw(t, s.socket))}
	c.send(wantedGPU())
	return c
}

func wantedGPU() openapi.LeaseFrame {
	return openapi.LeaseFrame{Type: openapi.FrameLease, Lease: &openapi.LeaseRequest{
		Ref: modelRef, Tier: openapi.TierGPU, Device: someGPU, Priority: 3, Yield: true, Follow: true, Deadline: 1.5, Client: "engine\x1b",
	}}
}

func (c *gpuClient) send(f openapi.LeaseFrame) {
	c.t.Helper()
	write(c.t, c.conn, f)
}

// frameSchema is what the specification says of frames.
var frameSchema = sync.OnceValues(func() (*openapi3.Schema, error) {
	spec, err := openapi3.NewLoader().LoadFromData(openapi.NodeSpec)
	if err != nil {
		return nil, err
	}
	return spec.Components.Schemas["LeaseFrame"].Value, nil
})

// read returns the next frame, which has to be one of the specification.
func (c *gpuClient) read() (openapi.LeaseFrame, []*os.File, error) {
	f, files, err := c.conn.Read()
	if err != nil {
		return f, files, err
	}
	schema, wrong := frameSchema()
	text, fault := json.Marshal(f)
	var doc any
	if wrong = errors.Join(wrong, fault, json.Unmarshal(text, &doc)); wrong == nil {
		wrong = schema.VisitJSON(doc)
	}
	if wrong != nil {
		c.t.Errorf("frame %s: %v", f.Type, wrong)
	}
	return f, files, nil
}

// next returns the next frame that is not of the type waiting.
func (c *gpuClient) next(kind string) openapi.LeaseFrame {
	c.t.Helper()
	for {
		f, files, err := c.read()
		leaseconn.CloseAll(files)
		if err != nil {
			c.t.Fatalf("want a frame %s: %v", kind, err)
		}
		if f.Type == openapi.FrameWaiting && kind != openapi.FrameWaiting {
			continue
		}
		if f.Type != kind || len(files) > 0 {
			c.t.Fatalf("frame %s with %d descriptors (%v), want %s", f.Type, len(files), f.Error, kind)
		}
		return f
	}
}

// image reads up to the next image, and returns it with the slabs that came before
// it, each of which has to be what it is called.
func (c *gpuClient) image() (f openapi.LeaseFrame, slabs []uint64, frames int) {
	c.t.Helper()
	for {
		f, files, err := c.read()
		if err != nil {
			c.t.Fatal(err)
		}
		switch f.Type {
		case openapi.FrameWaiting:
		case openapi.FrameSlabs:
			frames++
			slabs = append(slabs, c.slabs(f, files)...)
		case openapi.FrameImage:
			leaseconn.CloseAll(files)
			return f, slabs, frames
		default:
			c.t.Fatalf("frame %s (%v), want an image", f.Type, f.Error)
		}
	}
}

func (c *gpuClient) slabs(f openapi.LeaseFrame, files []*os.File) (ids []uint64) {
	c.t.Helper()
	defer leaseconn.CloseAll(files)
	if len(files) != len(f.Slabs) || len(files) > openapi.MaxLeaseFiles {
		c.t.Fatalf("%d slabs and %d descriptors", len(f.Slabs), len(files))
	}
	for i, file := range files {
		got, err := io.ReadAll(io.NewSectionReader(file, 0, 100))
		if err != nil || string(got) != fmt.Sprint(f.Slabs[i].ID) || f.Slabs[i].Size != 2<<20 {
			c.t.Errorf("the descriptor of slab %+v is that of %q (%v)", f.Slabs[i], got, err)
		}
		ids = append(ids, f.Slabs[i].ID)
	}
	return ids
}

// wantImage reads the next image, which has to be that one and come with those
// slabs.
func (c *gpuClient) wantImage(image *openapi.LeaseImage, pause uint64, slabs ...uint64) {
	c.t.Helper()
	f, got, _ := c.image()
	if f.Image.Version != image.Version || f.ID != pause {
		c.t.Errorf("image %s ends pause %d, want %s and %d", f.Image.Version.Short(), f.ID, image.Version.Short(), pause)
	}
	if !slices.Equal(got, slabs) {
		c.t.Errorf("slabs %d came with the image, want %d", got, slabs)
	}
}
