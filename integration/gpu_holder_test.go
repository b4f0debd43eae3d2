package integration_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
	"unsafe"

	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/integration/gpuclient"
	"github.com/ingot-ml/ingot/openapi"
)

// holderVariable makes a run of the tests a holder: its value is the socket of the
// agent and the folder that knows what versions hold, with a space between.
const holderVariable = "INGOT_TEST_HOLDER"

// order is what a holder is told to do, a line of JSON.
type order struct {
	Do      string               `json:"do"`
	Lease   openapi.LeaseRequest `json:"lease"`
	Acquire openapi.LeaseAcquire `json:"acquire"`
	// Images is how many images to wait for, Lost how many losses.
	Images int `json:"images"`
	Lost   int `json:"lost"`
	Pauses int `json:"pauses"`
	Denied int `json:"denied"`
	// Turns is how often to work, and Bytes how much memory to take.
	Turns int   `json:"turns"`
	Bytes int64 `json:"bytes"`
}

// reply is what a holder says when it has done it, a line of JSON.
type reply struct {
	Error string          `json:"error,omitempty"`
	State gpuclient.State `json:"state"`
	Reads int             `json:"reads"` // of everything, all right
}

// TestGPUHolder is a holder, where holder has started it, and no test.
func TestGPUHolder(t *testing.T) {
	socket, known, ok := strings.Cut(os.Getenv(holderVariable), " ")
	if !ok {
		t.Skip("is run by other tests, as a process of its own")
	}
	h := &holding{socket: socket, known: known, sums: map[string]sums{}}
	for commands := bufio.NewScanner(os.Stdin); commands.Scan(); {
		var o order
		err := json.Unmarshal(commands.Bytes(), &o)
		if err == nil {
			err = h.obey(o)
		}
		if err := json.NewEncoder(os.Stdout).Encode(h.reply(err)); err != nil {
			t.Fatal(err)
		}
	}
	os.Exit(0) // nothing that a test would say is read
}

// holding is the inside of a holder.
type holding struct {
	socket, known string
	driver        *cuda.Driver
	lease         *gpuclient.Lease
	stop          chan struct{} // ends a use that goes on
	taken         []cuda.Handle // memory that nobody has asked for

	mu    sync.Mutex // protects what follows
	sums  map[string]sums
	reads int
}

// reply says how an order ended.
func (h *holding) reply(err error) reply {
	a := reply{}
	if err != nil {
		a.Error = strings.ReplaceAll(err.Error(), "\n", " ")
	}
	if h.lease != nil {
		a.State = h.lease.State()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	a.Reads = h.reads
	return a
}

// obey does what an order says.
func (h *holding) obey(o order) error {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	switch o.Do {
	case "attach":
		return h.attach(ctx, o.Lease)
	case "take":
		return h.take(o.Bytes)
	case "give":
		return h.give()
	}
	if h.lease == nil {
		return errors.New("it has no lease")
	}
	switch o.Do {
	case "state":
		return nil
	case "check":
		return h.lease.Use(h.check)
	case "wait":
		return h.lease.Await(ctx, func(s gpuclient.State) bool {
			return s.Images >= o.Images && s.Lost >= o.Lost && s.Pauses >= o.Pauses && s.Denied >= o.Denied
		})
	case "deaf", "hear":
		return h.lease.Deaf(o.Do == "deaf")
	case "hold":
		return h.hold()
	case "release":
		close(h.stop)
		return nil
	case "detach":
		return h.lease.Detach()
	case "acquire":
		return h.lease.Acquire(ctx, o.Acquire)
	case "turns":
		return h.turns(ctx, o)
	case "write":
		return h.lease.Use(scribble)
	case "close":
		l := h.lease
		h.lease = nil
		return l.Close()
	}
	return fmt.Errorf("what is %q", o.Do)
}

// open opens the driver.
func (h *holding) open() (err error) {
	if h.driver == nil {
		h.driver, err = cuda.Open("")
	}
	return err
}

// attach leases, instead of what it has, and goes on to read everything over and
// over.
func (h *holding) attach(ctx context.Context, q openapi.LeaseRequest) error {
	if err := h.open(); err != nil {
		return err
	}
	l, err := gpuclient.Attach(ctx, gpuclient.Options{Socket: h.socket, Driver: h.driver, Request: q, Check: h.check})
	if err != nil {
		return err
	}
	if h.lease != nil {
		err = h.lease.Close()
	}
	h.lease = l
	go h.always(l)
	return err
}

// take takes memory of the GPU, as a program that knows nothing of an agent.
func (h *holding) take(bytes int64) error {
	err := h.open()
	for err == nil && bytes > 0 {
		var m cuda.Handle
		n := min(bytes, 64*mib)
		if m, err = h.driver.Devices()[0].Create(n); err == nil {
			h.taken, bytes = append(h.taken, m), bytes-n
		}
	}
	return err
}

func (h *holding) give() (err error) {
	for _, m := range h.taken {
		err = errors.Join(err, h.driver.Devices()[0].Release(m))
	}
	h.taken = nil
	return err
}

// turns takes the image so many times, reads it, and lets go.
func (h *holding) turns(ctx context.Context, o order) error {
	for range o.Turns {
		err := h.lease.Acquire(ctx, o.Acquire)
		for err == nil {
			if err = h.lease.Use(h.check); err == nil {
				break
			}
			if !errors.Is(err, gpuclient.ErrParked) {
				return err
			}
			err = h.lease.Acquire(ctx, o.Acquire) // others came before it had begun
		}
		if err == nil {
			err = h.lease.Detach()
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// always reads everything, as long as the lease lasts.
func (h *holding) always(l *gpuclient.Lease) {
	for {
		time.Sleep(100 * time.Millisecond)
		err := l.Use(h.check)
		switch {
		case errors.Is(err, gpuclient.ErrEnded):
			return
		case err != nil && !errors.Is(err, gpuclient.ErrParked):
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

// hold uses the image until release, as an engine in the middle of its work.
func (h *holding) hold() error {
	h.stop = make(chan struct{})
	began := make(chan error, 1)
	go func() {
		err := h.lease.Use(func(v *gpuclient.View) error {
			began <- nil
			<-h.stop
			return h.check(v) // it is still what it was
		})
		if err != nil {
			began <- err
		}
	}()
	return <-began
}

// check reads every byte of every tensor and compares.
func (h *holding) check(v *gpuclient.View) error {
	s, err := h.sumsOf(v.Image.Version.String())
	if err != nil {
		return err
	}
	if len(v.Image.Tensors) != len(s.Tensors) {
		return fmt.Errorf("%s has %d tensors, want %d", v.Image.Version, len(v.Image.Tensors), len(s.Tensors))
	}
	for _, t := range v.Image.Tensors {
		b, err := v.Tensor(t)
		if err != nil {
			return err
		}
		if want, ok := s.Tensors[t.File+" "+t.Name]; !ok || sum(b) != want {
			return fmt.Errorf("tensor %s in %s of %s has wrong bytes", t.Name, t.File, v.Image.Version)
		}
	}
	h.mu.Lock()
	h.reads++
	h.mu.Unlock()
	return nil
}

// sumsOf returns what a version has to hold.
func (h *holding) sumsOf(version string) (s sums, err error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s, ok := h.sums[version]; ok {
		return s, nil
	}
	content, err := os.ReadFile(filepath.Join(h.known, version))
	if err == nil {
		err = json.Unmarshal(content, &s)
	}
	if err == nil {
		h.sums[version] = s
	}
	return s, err
}

// scribble writes to the weights, which nobody may. On the fake driver the memory of
// a GPU is that of the process.
func scribble(v *gpuclient.View) error {
	at := v.Address()
	p := *(**byte)(unsafe.Pointer(&at))
	*p++
	return errors.New("the weights could be written to")
}
