package gpuclient_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/cuda/cudatest"
	"github.com/ingot-ml/ingot/integration/gpuclient"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/leaseconn"
)

const slabSize = 2 << 20

// world is one end of a lease that does what a test says, on the fake driver.
type world struct {
	t      *testing.T
	fake   *cudatest.State
	driver *cuda.Driver
	device *cuda.Device
	conn   *leaseconn.Conn[openapi.LeaseFrame]
	slabs  map[uint64]cuda.Handle
	served chan struct{} // closed when the agent is done
}

// attach leases from an agent that goes on as serve says.
func attach(t *testing.T, serve func(w *world)) (*world, *gpuclient.Lease, error) {
	t.Helper()
	w := &world{t: t, fake: cudatest.Use(t, cudatest.Options{}), slabs: map[uint64]cuda.Handle{}, served: make(chan struct{})}
	var err error
	if w.driver, err = cuda.Open(""); err != nil {
		t.Fatal(err)
	}
	w.device = w.driver.Devices()[0]
	socket := filepath.Join(t.TempDir(), "s")
	l, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		defer close(w.served)
		c, err := l.Accept()
		if err != nil {
			return
		}
		w.conn = leaseconn.New[openapi.LeaseFrame](c.(*net.UnixConn), openapi.MaxLeaseFrame)
		if _, err := http.ReadRequest(bufio.NewReader(c)); err != nil {
			t.Error(err)
		}
		fmt.Fprintf(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: %s\r\n\r\n", openapi.LeaseProtocol)
		if f := w.hears(openapi.FrameLease); f.Lease == nil || f.Lease.Tier != openapi.TierGPU {
			t.Errorf("the first frame: %+v", f)
		}
		serve(w)
		_ = w.conn.Close() // the lease ends with it
	}()
	lease, err := gpuclient.Attach(t.Context(), gpuclient.Options{Socket: socket, Driver: w.driver,
		Request: openapi.LeaseRequest{Ref: "a/b:c", Device: w.device.UUID().String()}, Check: filled})
	return w, lease, err
}

// hears reads the next frame, which has to be of that type.
func (w *world) hears(kind string) openapi.LeaseFrame {
	f, _, err := w.conn.Read()
	if err != nil || f.Type != kind {
		w.t.Errorf("%+v, %v; want a frame %s", f, err, kind)
	}
	return f
}

// slab makes a slab that is full of its number, and sends it.
func (w *world) slab(id uint64) {
	h, err := w.device.Create(slabSize)
	if err != nil {
		w.t.Error(err)
		return
	}
	w.slabs[id] = h
	w.fill(id, byte(id))
	w.send(id)
}

func (w *world) send(id uint64) {
	f, err := w.device.Export(w.slabs[id])
	if err == nil {
		err = w.conn.Write(openapi.LeaseFrame{Type: openapi.FrameSlabs, Slabs: []openapi.LeaseSlab{{ID: id, Size: slabSize}}}, f)
		err = errors.Join(err, f.Close())
	}
	if err != nil {
		w.t.Error(err)
	}
}

// fill writes to a slab as a mover does.
func (w *world) fill(id uint64, with byte) {
	c, err := w.device.Retain()
	if err != nil {
		w.t.Error(err)
		return
	}
	err = c.With(func(b *cuda.Bound) error {
		p, err := b.Reserve(slabSize, 0)
		return errors.Join(err, b.Map(p, slabSize, w.slabs[id]), b.SetAccess(p, slabSize, true), b.Memset(p, with, slabSize, 0),
			b.Synchronize(0), b.Unmap(p, slabSize), b.FreeAddress(p, slabSize))
	})
	if err := errors.Join(err, c.Close()); err != nil {
		w.t.Error(err)
	}
}

// image shows slabs, with a tensor over each that is named for what it is full of.
func (w *world) image(pause uint64, ids ...uint64) {
	i := &openapi.LeaseImage{Version: chunker.Sum(nil), Device: w.device.UUID().String(), Size: int64(len(ids)) * slabSize, Reserve: 8 * slabSize}
	for k, id := range ids {
		i.Slabs = append(i.Slabs, openapi.LeaseSlab{ID: id, Size: slabSize})
		i.Tensors = append(i.Tensors, openapi.ImageTensor{Name: string(rune('0' + id)), Offset: int64(k) * slabSize, Bytes: slabSize})
	}
	if err := w.conn.Write(openapi.LeaseFrame{Type: openapi.FrameImage, ID: pause, Image: i}); err != nil {
		w.t.Error(err)
	}
}

func (w *world) detached() {
	if err := w.conn.Write(openapi.LeaseFrame{Type: openapi.FrameDetached}); err != nil {
		w.t.Error(err)
	}
}

func (w *world) pause(id uint64, reason string, places ...int) {
	p := &openapi.LeasePause{ID: id, Reason: reason, Unmap: places, Deadline: 10}
	if err := w.conn.Write(openapi.LeaseFrame{Type: openapi.FramePause, Pause: p}); err != nil {
		w.t.Error(err)
	}
}

// ended wants nothing of a lease left.
func (w *world) ended(l *gpuclient.Lease) {
	w.t.Helper()
	if l != nil {
		if err := l.Close(); err != nil {
			w.t.Error(err)
		}
	}
	<-w.served
	for _, h := range w.slabs {
		if err := w.device.Release(h); err != nil {
			w.t.Error(err)
		}
	}
	for _, p := range w.fake.Live() {
		if p.PID == os.Getpid() && (!p.Empty() || p.Contexts > 0) || w.fake.Used(0) != 0 {
			w.t.Errorf("left: %+v, %d bytes", p, w.fake.Used(0))
		}
	}
}

// filled looks at every byte.
func filled(v *gpuclient.View) error {
	for _, t := range v.Image.Tensors {
		b, err := v.Tensor(t)
		if err != nil {
			return err
		}
		if !bytes.Equal(b, bytes.Repeat([]byte{t.Name[0] - '0'}, len(b))) {
			return fmt.Errorf("tensor %s is full of %d", t.Name, b[0])
		}
	}
	return nil
}

// TestLeaseFake goes through the life of a lease.
func TestLeaseFake(t *testing.T) {
	goOn, served := make(chan struct{}), make(chan struct{})
	w, l, err := attach(t, func(w *world) {
		w.slab(1)
		w.slab(2)
		w.image(0, 1, 2, 1)
		<-goOn
		w.pause(1, openapi.PauseSwap, 1)
		if f := w.hears(openapi.FramePaused); f.ID != 1 {
			t.Errorf("%+v", f)
		}
		w.slab(3)
		w.image(1, 1, 3, 1)
		w.pause(2, openapi.PauseRoom, 0, 1, 2)
		w.hears(openapi.FramePaused)
		w.hears(openapi.FrameAcquire)
		w.image(7, 9) // which is void
		w.detached()
		w.send(3)
		w.image(0, 3)
		w.hears(openapi.FrameDetach)
		w.detached()
		if err := w.conn.Write(openapi.LeaseFrame{Type: openapi.FrameLost, Error: openapi.Errorf(openapi.CodeUnavailable, "gone")}); err != nil {
			t.Error(err)
		}
		<-served
	})
	if err != nil {
		t.Fatal(err)
	}
	first := l.State()
	close(goOn)
	wait := func(ready func(gpuclient.State) bool) {
		t.Helper()
		if err := l.Await(t.Context(), ready); err != nil {
			t.Fatal(err)
		}
	}
	wait(func(s gpuclient.State) bool { return s.Pauses == 2 && s.Paused })
	if err := l.Use(filled); !errors.Is(err, gpuclient.ErrParked) {
		t.Errorf("the use of nothing: %v", err)
	}
	if err := l.Acquire(t.Context(), openapi.LeaseAcquire{}); err != nil {
		t.Fatal(err)
	}
	if err := l.Use(filled); err != nil {
		t.Error(err)
	}
	if now := l.State(); now.Images != 3 || now.Slabs != 4 || now.Address != first.Address || now.Imported != 1 {
		t.Errorf("at last: %+v, first %+v", now, first)
	}
	if err := l.Detach(); err != nil {
		t.Error(err)
	}
	wait(func(s gpuclient.State) bool { return s.Lost == 1 })
	close(served)
	w.ended(l)
}

// TestAgentsThatBreakTheRulesFake has agents do what they may not.
func TestAgentsThatBreakTheRulesFake(t *testing.T) {
	for what, serve := range map[string]func(w *world){
		"an unknown slab":      func(w *world) { w.slab(1); w.image(0, 2) },
		"no reason to pause":   func(w *world) { w.slab(1); w.image(0, 1); w.pause(1, "") },
		"part of the room":     func(w *world) { w.slab(1); w.slab(2); w.image(0, 1, 2); w.pause(1, openapi.PauseRoom, 1) },
		"a place that is none": func(w *world) { w.slab(1); w.image(0, 1); w.pause(1, openapi.PauseSwap, 1) },
		"another pause": func(w *world) {
			w.slab(1)
			w.image(0, 1)
			w.pause(1, openapi.PauseSwap)
			w.hears(openapi.FramePaused)
			w.image(2, 1)
		},
		"another device": func(w *world) {
			w.slab(1)
			if err := w.conn.Write(openapi.LeaseFrame{Type: openapi.FrameImage, Image: &openapi.LeaseImage{Version: chunker.Sum(nil), Device: "GPU-0"}}); err != nil {
				w.t.Error(err)
			}
		},
		"fewer descriptors": func(w *world) {
			if err := w.conn.Write(openapi.LeaseFrame{Type: openapi.FrameSlabs, Slabs: []openapi.LeaseSlab{{ID: 1, Size: slabSize}}}); err != nil {
				w.t.Error(err)
			}
		},
	} {
		t.Run(what, func(t *testing.T) {
			w, l, err := attach(t, func(w *world) {
				serve(w)
				_, _, _ = w.conn.Read() // until the client has had enough
			})
			if err == nil {
				err = l.Await(t.Context(), func(s gpuclient.State) bool { return s.Error != "" && s.Images > 9 })
			}
			if !errors.Is(err, gpuclient.ErrRules) {
				t.Errorf("%v, want ErrRules", err)
			}
			w.ended(l)
		})
	}
}

// TestWrongBytesFake has an image that is not what it should be: nobody gets it.
func TestWrongBytesFake(t *testing.T) {
	w, l, err := attach(t, func(w *world) {
		w.slab(1)
		w.fill(1, 9)
		w.image(0, 1)
		_, _, _ = w.conn.Read()
	})
	if err == nil || l != nil {
		t.Errorf("wrong bytes were attached: %v", err)
	}
	w.ended(l)
}
