package nodeapi_test

import (
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/gpu"
	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/nodecache/internal/nodeapi"
	"github.com/ingot-ml/ingot/openapi"
)

// pauseOf asks for a pause.
func pauseOf(id uint64, reason string, unmap ...int) gpu.Ask {
	return gpu.Ask{Pause: &openapi.LeasePause{ID: id, Reason: reason, Unmap: unmap, Deadline: 30}}
}

func paused(id uint64) openapi.LeaseFrame {
	return openapi.LeaseFrame{Type: openapi.FramePaused, ID: id}
}

func acquire(priority int, deadline float64) openapi.LeaseFrame {
	return openapi.LeaseFrame{Type: openapi.FrameAcquire, Acquire: &openapi.LeaseAcquire{Priority: priority, Deadline: deadline}}
}

// TestGPULease: the order reaches the node, and every slab comes once, with its
// descriptor, before the image.
func TestGPULease(t *testing.T) {
	n, l := newFakeGPU(t)
	var ids []uint64
	for id := range uint64(300) {
		ids = append(ids, id+1)
	}
	image := imageOf(append(slices.Clone(ids), 7, 7)...)
	l.asks <- gpu.Ask{Image: image}
	c := leaseGPU(t, n)
	f, slabs, frames := c.image()
	if !slices.Equal(slabs, ids) || frames != 3 || len(f.Image.Slabs) != 302 || f.Image.Reserve != 1<<30 || f.ID != 0 {
		t.Errorf("%d slabs in %d frames, an image of %d that reserves %d", len(slabs), frames, len(f.Image.Slabs), f.Image.Reserve)
	}
	var o node.LeaseOrder
	n.look(func() { o = n.orders[0] })
	if o.PID == 0 {
		t.Error("the process of the client is not known")
	}
	o.PID = 0
	want := node.LeaseOrder{
		Deadline: 1500 * time.Millisecond, Client: "engine", Device: someGPU, Priority: 3, Yield: true, Follow: true,
	}
	if want.Ref = o.Ref; !reflect.DeepEqual(o, want) || o.Ref.String() != modelRef {
		t.Errorf("the node was asked for %+v, want %+v", o, want)
	}
	next := chunker.Sum([]byte("next"))
	l.moved <- node.Move{Version: next}
	if f := c.next(openapi.FrameMoved); f.Version != next.String() || f.Ref != modelRef {
		t.Errorf("moved to %s of %s", f.Version, f.Ref)
	}
}

// TestGPUSwap: of a new image come the slabs that the client does not have any
// more, or never had. One that stays mapped at another place it has.
func TestGPUSwap(t *testing.T) {
	n, l := newFakeGPU(t)
	before, after := imageOf(1, 2, 3, 2), imageOf(1, 2, 3, 5)
	l.asks <- gpu.Ask{Image: before}
	c := leaseGPU(t, n)
	c.wantImage(before, 0, 1, 2, 3)

	l.asks <- pauseOf(1, openapi.PauseSwap, 1, 2)
	if f := c.next(openapi.FramePause); f.Pause.ID != 1 || !slices.Equal(f.Pause.Unmap, []int{1, 2}) || f.Pause.Deadline != 30 || f.Pause.Reason != "swap" {
		t.Errorf("pause %+v", f.Pause)
	}
	c.send(paused(1))
	l.awaitHeard(t, "paused 1")
	l.asks <- gpu.Ask{Image: after, ID: 1}
	c.wantImage(after, 1, 3, 5)

	l.asks <- pauseOf(2, openapi.PauseSwap) // in place: nothing is unmapped
	if f := c.next(openapi.FramePause); f.Pause.Unmap == nil {
		t.Error("the places to unmap are null")
	}
	c.send(paused(2))
	l.awaitHeard(t, "paused 1", "paused 2")
	l.asks <- gpu.Ask{Image: after, ID: 2}
	c.wantImage(after, 2)
	n.look(func() {
		if l.exports != 5 {
			t.Errorf("%d descriptors were made, want 5", l.exports)
		}
	})
}

// TestGPULatePause: a client that did not pause in time gets the image again, with
// what it may have unmapped; and all slabs when it says afterwards that it has
// paused, because it may have read that image before.
func TestGPULatePause(t *testing.T) {
	n, l := newFakeGPU(t)
	image := imageOf(1, 2, 3)
	l.asks <- gpu.Ask{Image: image}
	c := leaseGPU(t, n)
	c.wantImage(image, 0, 1, 2, 3)
	l.asks <- pauseOf(4, openapi.PauseSwap, 2)
	l.asks <- gpu.Ask{Image: image, ID: 4} // the time is over
	c.next(openapi.FramePause)
	c.wantImage(image, 4, 3)
	c.send(paused(4))
	l.awaitHeard(t, "paused 4")
	l.asks <- gpu.Ask{Image: image, ID: 4}
	c.wantImage(image, 4, 1, 2, 3)
}

// TestGPURoom: a client that has made room has nothing, waits for its image when
// it wants it again, may be denied, and asks again.
func TestGPURoom(t *testing.T) {
	n, l := newFakeGPU(t)
	image := imageOf(1, 2)
	l.asks <- gpu.Ask{Image: image}
	c := leaseGPU(t, n)
	c.wantImage(image, 0, 1, 2)
	l.asks <- pauseOf(1, openapi.PauseRoom, 0, 1)
	c.next(openapi.FramePause)
	c.send(paused(1))
	c.send(acquire(5, 2))
	c.next(openapi.FrameDetached)
	l.awaitHeard(t, "paused 1", "detach", "acquire 5 2s")
	n.look(func() { l.waiting(3, 4) })
	if f := c.next(openapi.FrameWaiting); f.Bytes == 1 { // of the lease itself
		f = c.next(openapi.FrameWaiting)
		if f.Bytes != 3 || f.Total != 4 || f.Ref != modelRef {
			t.Errorf("waiting %+v", f)
		}
	} else if f.Bytes != 3 || f.Total != 4 {
		t.Errorf("waiting %+v", f)
	}
	l.asks <- gpu.Ask{Denied: openapi.Errorf(openapi.CodeBusy, "others have it")}
	if f := c.next(openapi.FrameDenied); f.Error == nil || f.Error.Code != openapi.CodeBusy {
		t.Errorf("denied %+v", f.Error)
	}
	c.send(acquire(0, 0))
	c.next(openapi.FrameDetached)
	l.awaitHeard(t, "paused 1", "detach", "acquire 5 2s", "detach", "acquire 0 0s")
	l.asks <- gpu.Ask{Image: image}
	c.wantImage(image, 0, 1, 2)
}

// TestGPUDetach and what is lost: the client knows no slab any more.
func TestGPUDetach(t *testing.T) {
	n, l := newFakeGPU(t)
	image := imageOf(1, 2)
	l.asks <- gpu.Ask{Image: image}
	c := leaseGPU(t, n)
	c.wantImage(image, 0, 1, 2)
	c.send(openapi.LeaseFrame{Type: openapi.FrameDetach})
	c.next(openapi.FrameDetached)
	c.send(acquire(0, 0))
	c.next(openapi.FrameDetached)
	l.awaitHeard(t, "detach", "detach", "acquire 0 0s")
	l.asks <- gpu.Ask{Image: image}
	c.wantImage(image, 0, 1, 2)

	l.asks <- gpu.Ask{Lost: openapi.Errorf(openapi.CodeUnavailable, "the GPU is gone")}
	if f := c.next(openapi.FrameLost); f.Error == nil || f.Error.Code != openapi.CodeUnavailable {
		t.Errorf("lost %+v", f.Error)
	}
	c.send(acquire(0, 0))
	c.next(openapi.FrameDetached)
	l.awaitHeard(t, "detach", "detach", "acquire 0 0s", "detach", "acquire 0 0s")
	l.asks <- gpu.Ask{Image: image}
	c.wantImage(image, 0, 1, 2)
}

// TestGPUVoid: what was asked for before the client said that it has nothing is not
// sent, and it is told where that ends.
func TestGPUVoid(t *testing.T) {
	n, l := newFakeGPU(t)
	l.asks <- gpu.Ask{Image: imageOf(1)}
	c := leaseGPU(t, n)
	c.wantImage(imageOf(1), 0, 1)
	n.look(func() { l.silent = true })
	c.send(acquire(0, 0))
	c.send(openapi.LeaseFrame{Type: openapi.FrameDetach})
	l.awaitHeard(t, "detach", "acquire 0 0s", "detach")
	l.asks <- pauseOf(1, openapi.PauseSwap, 0)
	l.asks <- gpu.Ask{Image: imageOf(2), ID: 1}
	l.asks <- gpu.Ask{Detached: true}
	l.asks <- gpu.Ask{Lost: openapi.Errorf(openapi.CodeUnavailable, "gone")}
	l.asks <- gpu.Ask{Denied: openapi.Errorf(openapi.CodeBusy, "no room")}
	l.asks <- gpu.Ask{Detached: true}
	l.asks <- gpu.Ask{Image: imageOf(1, 3)}
	c.next(openapi.FrameDetached)
	c.next(openapi.FrameDetached)
	c.wantImage(imageOf(1, 3), 0, 1, 3)
}

// TestGPUExportFails: the client is told that it has nothing, not why in detail,
// and may ask again.
func TestGPUExportFails(t *testing.T) {
	n, l := newFakeGPU(t)
	l.gone = true
	l.asks <- gpu.Ask{Image: imageOf(1, 2)}
	c := leaseGPU(t, n)
	if f := c.next(openapi.FrameLost); f.Error == nil || f.Error.Code != openapi.CodeInternal {
		t.Errorf("lost %+v", f.Error)
	}
	l.awaitHeard(t, "detach")
	n.look(func() { l.gone = false })
	c.send(acquire(0, 0))
	c.next(openapi.FrameDetached) // one: the client has said so once
	l.awaitHeard(t, "detach", "detach", "acquire 0 0s")
	l.asks <- gpu.Ask{Image: imageOf(1, 2)}
	c.wantImage(imageOf(1, 2), 0, 1, 2)
}

// TestGPUMistakesOfClients says what they were, and releases.
func TestGPUMistakesOfClients(t *testing.T) {
	detach := openapi.LeaseFrame{Type: openapi.FrameDetach}
	none := []gpu.Ask(nil)
	shown := []gpu.Ask{{Image: imageOf(1)}}
	pausing := append(slices.Clone(shown), pauseOf(1, openapi.PauseSwap))
	for name, tc := range map[string]struct {
		asks   []gpu.Ask
		frames []openapi.LeaseFrame
	}{
		"paused of nothing":          {none, []openapi.LeaseFrame{paused(1)}},
		"detach before an image":     {none, []openapi.LeaseFrame{detach}},
		"acquire before an image":    {none, []openapi.LeaseFrame{acquire(0, 0)}},
		"paused without a pause":     {shown, []openapi.LeaseFrame{paused(1)}},
		"paused without id":          {pausing, []openapi.LeaseFrame{paused(0)}},
		"paused of a later pause":    {pausing, []openapi.LeaseFrame{paused(2)}},
		"acquire of nothing":         {shown, []openapi.LeaseFrame{{Type: openapi.FrameAcquire}}},
		"acquire with odd deadline":  {shown, []openapi.LeaseFrame{detach, acquire(0, -1)}},
		"more voids than it reads":   {shown, slices.Repeat([]openapi.LeaseFrame{detach}, 9)},
		"ack":                        {shown, []openapi.LeaseFrame{{Type: openapi.FrameAck}}},
		"a second lease":             {shown, []openapi.LeaseFrame{wantedGPU()}},
		"what only an agent may say": {shown, []openapi.LeaseFrame{{Type: openapi.FrameImage, Image: imageOf(1)}}},
		"what nobody says":           {shown, []openapi.LeaseFrame{{Type: "steal"}}},
	} {
		t.Run(name, func(t *testing.T) {
			n, l := newFakeGPU(t)
			l.silent = true
			for _, a := range tc.asks {
				l.asks <- a
			}
			c := leaseGPU(t, n)
			for _, a := range tc.asks {
				if a.Image != nil {
					c.image()
				} else {
					c.next(openapi.FramePause)
				}
			}
			for _, f := range tc.frames {
				c.send(f)
			}
			if got := lastError(t, c.conn); got == nil || got.Code != openapi.CodeBadRequest {
				t.Errorf("the client is told %v, want bad_request", got)
			}
			n.await(t, "release", func() bool { return n.open == 0 })
		})
	}
}

// TestGPULeaseRefused refuses what does not go together.
func TestGPULeaseRefused(t *testing.T) {
	n, _ := newFakeGPU(t)
	s, _ := start(t, n)
	refusal := func(q openapi.LeaseRequest) *openapi.Error {
		c := framesOf(raw(t, s.socket))
		write(t, c, openapi.LeaseFrame{Type: openapi.FrameLease, Lease: &q})
		return lastError(t, c)
	}
	for _, q := range []openapi.LeaseRequest{
		{Ref: modelRef, Tier: openapi.TierGPU, Mode: openapi.LeaseStream},
		{Ref: modelRef, Tier: openapi.TierGPU, First: []string{"x"}},
		{Ref: modelRef, Tier: openapi.TierGPU, Device: "a\nb"},
		{Ref: modelRef, Tier: openapi.TierDisk},
		{Ref: modelRef, Device: someGPU},
		{Ref: modelRef, Tier: openapi.TierRAM, Priority: 1},
		{Ref: modelRef, Yield: true},
		{Ref: modelRef, Follow: true},
	} {
		if got := refusal(q); got == nil || got.Code != openapi.CodeBadRequest {
			t.Errorf("%+v: the client is told %v, want bad_request", q, got)
		}
	}
	n.look(func() {
		if len(n.orders) != 0 {
			t.Errorf("the node was asked for %+v", n.orders)
		}
	})
	n.change(func() { n.gpu = nil })
	if got := refusal(*wantedGPU().Lease); got == nil || got.Code != openapi.CodeBadRequest {
		t.Errorf("on a node without GPU the client is told %v", got)
	}
}

// TestDeadGPUClientReleases lets clients vanish at every point of a lease, and
// counts descriptors.
func TestDeadGPUClientReleases(t *testing.T) {
	n, _ := newFakeGPU(t)
	s, _ := start(t, n)
	for range 3 {
		before := openFiles(t)
		for point := range 5 {
			l := &fakeGPULease{node: n, dir: t.TempDir(), asks: make(chan gpu.Ask, 16)}
			n.change(func() { n.gpu = l; n.resident = make(chan struct{}) })
			unix := raw(t, s.socket)
			c := &gpuClient{t, framesOf(unix)}
			c.send(wantedGPU())
			waits := 0
			n.look(func() { waits = n.waits })
			if point > 0 {
				close(n.resident)
				n.change(func() { l.asks <- gpu.Ask{Image: imageOf(1, 2)} })
			}
			if point > 1 {
				c.image()
				n.change(func() { l.asks <- pauseOf(1, openapi.PauseRoom, 0, 1) })
			}
			if point > 2 {
				c.next(openapi.FramePause)
				c.send(paused(1))
			}
			if point > 3 {
				c.send(acquire(0, 0))
			}
			if point == 0 {
				c.next(openapi.FrameWaiting)
			}
			if err := unix.Close(); err != nil {
				t.Fatal(err)
			}
			n.await(t, "release", func() bool { return n.open == 0 && (l.released == 1 || n.waits == waits+1) })
		}
		if got := openFiles(t); got > before {
			t.Errorf("%d descriptors are open, %d were", got, before)
		}
	}
}

// TestStalledGPUClientIsCut has a client that does not read.
func TestStalledGPUClientIsCut(t *testing.T) {
	n, l := newFakeGPU(t)
	s := serve(t, n, filepath.Join(t.TempDir(), "s"), nodeapi.Config{Stall: 50 * time.Millisecond})
	image := imageOf(1)
	for range 20_000 {
		image.Tensors = append(image.Tensors, openapi.ImageTensor{Name: "model.layers.0.mlp.down_proj.weight", Shape: []uint64{4096, 4096}})
	}
	l.asks <- gpu.Ask{Image: image}
	write(t, framesOf(raw(t, s.socket)), wantedGPU())
	n.await(t, "release", func() bool { return l.released == 1 })
}
