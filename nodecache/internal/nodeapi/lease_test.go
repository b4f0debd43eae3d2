package nodeapi_test

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/openapi"
)

// lease leases the model and closes the lease when the test ends.
func lease(t *testing.T, a *agent.Agent, mode string) *agent.Lease {
	t.Helper()
	l, err := a.Lease(t.Context(), openapi.LeaseRequest{Ref: modelRef, Mode: mode}, agent.LeaseOptions{})
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

// checkTensors compares every tensor with the file that it is part of, and
// returns how many there were.
func checkTensors(t *testing.T, m *model, l *agent.Lease) (n int) {
	t.Helper()
	for got, err := range l.Tensors(t.Context()) {
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.Bytes, m.want(t, got.File, got.Name)) {
			t.Errorf("%s in %s is wrong", got.Name, got.File)
		}
		n++
	}
	return n
}

func TestLeaseWhole(t *testing.T) {
	for _, scatter := range []bool{false, true} {
		m := newModel(t, scatter)
		n := newFakeNode(t, m)
		_, a := start(t, n)
		l := lease(t, a, openapi.LeaseWhole)
		if l.Ref() != modelRef || l.Version() != m.version {
			t.Errorf("leased %s at %s", l.Ref(), l.Version().Short())
		}
		if got := checkTensors(t, m, l); got != m.tensors() {
			t.Errorf("%d tensors, want %d", got, m.tensors())
		}
		for path, want := range m.files {
			var got bytes.Buffer
			if _, err := l.ReadFile(path, &got); err != nil || !bytes.Equal(got.Bytes(), want) {
				t.Errorf("%s is wrong (%v)", path, err)
			}
		}
		got := l.Stats()
		if want := int64(5<<20 + 4000); got.Mapped != want {
			t.Errorf("scattered %v: %d bytes are mapped, want %d", scatter, got.Mapped, want)
		}
		if want := int64(16 + 2000); got.Copied != want {
			t.Errorf("scattered %v: %d bytes are copied, want %d", scatter, got.Copied, want)
		}
		// Scattered, the large tensor is three pieces; the small ones share one.
		if want := map[bool]int{false: 1, true: 4}[scatter]; got.Mappings != want {
			t.Errorf("scattered %v: %d mappings, want %d", scatter, got.Mappings, want)
		}
	}
}

func TestTensorByName(t *testing.T) {
	m := newModel(t, false)
	_, a := start(t, newFakeNode(t, m))
	l := lease(t, a, openapi.LeaseWhole)
	first, err := l.Tensor("", "big")
	if err != nil || !bytes.Equal(first.Bytes, m.want(t, "model.safetensors", "big")) {
		t.Fatalf("big is wrong (%v)", err)
	}
	again, err := l.Tensor("model.safetensors", "big")
	if err != nil || &again.Bytes[0] != &first.Bytes[0] {
		t.Errorf("asked again, big is elsewhere (%v)", err)
	}
	for _, c := range [][2]string{{"", "absent"}, {"odd.bin", "big"}} {
		if _, err := l.Tensor(c[0], c[1]); !errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
			t.Errorf("tensor %q of %q: %v, want not_found", c[1], c[0], err)
		}
	}
}

func TestLeaseStream(t *testing.T) {
	m := newModel(t, true)
	n := newFakeNode(t, m)
	_, a := start(t, n)
	l := lease(t, a, openapi.LeaseStream)
	for range 2 { // what has come can be looked at again
		if got := checkTensors(t, m, l); got != m.tensors() {
			t.Errorf("%d tensors, want %d", got, m.tensors())
		}
	}
	if got, want := l.Stats().Copied, int64(16+2000); got != want {
		t.Errorf("%d bytes are copied, want %d", got, want)
	}
}

func TestLeaseWindow(t *testing.T) {
	m := newModel(t, true)
	n := newFakeNode(t, m)
	_, a := start(t, n)
	l := lease(t, a, openapi.LeaseWindow)
	if got := checkTensors(t, m, l); got != m.tensors() {
		t.Errorf("%d tensors, want %d", got, m.tensors())
	}
	n.await(t, "all acknowledgements", func() bool { return n.leases[0].acked == m.tensors() })
	if got := l.Stats().Mappings; got != 0 {
		t.Errorf("%d mappings are left of what was passed", got)
	}
	if got := checkTensors(t, m, l); got != 0 {
		t.Errorf("%d tensors came again", got)
	}
}

func TestLeaseWaits(t *testing.T) {
	m := newModel(t, false)
	n := newFakeNode(t, m)
	n.resident = make(chan struct{})
	_, a := start(t, n)
	var done, total int64
	l, err := a.Lease(t.Context(), openapi.LeaseRequest{Ref: modelRef, Deadline: 1.5, First: []string{"norm"}}, agent.LeaseOptions{
		Waiting: func(d, of int64) { done, total = d, of; close(n.resident) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if done != 1 || total != 2 {
		t.Errorf("heard of %d of %d bytes, want 1 of 2", done, total)
	}
	var o node.LeaseOrder
	n.look(func() { o = n.orders[0] })
	if o.Deadline.Seconds() != 1.5 || len(o.First) != 1 || o.Client != "test" || o.Ref.String() != modelRef || o.PID == 0 {
		t.Errorf("the node was asked for %+v", o)
	}
}

func TestLeaseMoves(t *testing.T) {
	m := newModel(t, false)
	n := newFakeNode(t, m)
	_, a := start(t, n)
	l := lease(t, a, openapi.LeaseWhole)
	next := chunker.Sum([]byte("next"))
	n.look(func() { n.leases[0].moved <- node.Move{Version: next} })
	if got := <-l.Moved(); got != next {
		t.Errorf("moved to %s, want %s", got.Short(), next.Short())
	}
	if l.Version() != m.version {
		t.Error("the lease itself has moved")
	}
}

func TestCloseReleases(t *testing.T) {
	for _, mode := range []string{openapi.LeaseWhole, openapi.LeaseStream, openapi.LeaseWindow} {
		n := newFakeNode(t, newModel(t, false))
		_, a := start(t, n)
		l := lease(t, a, mode)
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		n.await(t, "release", func() bool { return n.open == 0 })
		if _, err := l.Tensor("", "big"); !errors.Is(err, agent.ErrClosed) {
			t.Errorf("mode %q: a tensor of a closed lease: %v", mode, err)
		}
		for _, err := range l.Tensors(t.Context()) {
			if !errors.Is(err, agent.ErrClosed) {
				t.Errorf("mode %q: tensors of a closed lease: %v", mode, err)
			}
		}
		if _, ok := <-l.Moved(); ok {
			t.Errorf("mode %q: a closed lease has moved", mode)
		}
	}
}

// TestCloseInLoop closes a window while a tensor of it is in use.
func TestCloseInLoop(t *testing.T) {
	n := newFakeNode(t, newModel(t, false))
	_, a := start(t, n)
	l := lease(t, a, openapi.LeaseWindow)
	count := 0
	for _, err := range l.Tensors(t.Context()) {
		if count++; count == 1 {
			if err := l.Close(); err != nil {
				t.Error(err)
			}
			continue
		}
		if !errors.Is(err, agent.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	}
	if count != 2 {
		t.Errorf("%d steps, want a tensor and an error", count)
	}
}

func TestGivingUpWaitingReleases(t *testing.T) {
	n := newFakeNode(t, newModel(t, false))
	n.resident = make(chan struct{})
	_, a := start(t, n)
	ctx, cancel := context.WithCancel(t.Context())
	_, err := a.Lease(ctx, openapi.LeaseRequest{Ref: modelRef}, agent.LeaseOptions{Waiting: func(_, _ int64) { cancel() }})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("lease: %v, want canceled", err)
	}
	n.await(t, "the node gives up", func() bool { return n.waits == 1 && n.open == 0 })
}

func TestLeaseRefused(t *testing.T) {
	n := newFakeNode(t, newModel(t, false))
	_, a := start(t, n)
	for _, c := range []struct {
		q    openapi.LeaseRequest
		want openapi.Code
	}{
		{openapi.LeaseRequest{Ref: "no name"}, openapi.CodeBadName},
		{openapi.LeaseRequest{Ref: modelRef, Mode: "all"}, openapi.CodeBadRequest},
		{openapi.LeaseRequest{Ref: modelRef, Deadline: -1}, openapi.CodeBadRequest},
		{openapi.LeaseRequest{Ref: modelRef, Deadline: 1e300}, openapi.CodeBadRequest},
	} {
		if _, err := a.Lease(t.Context(), c.q, agent.LeaseOptions{}); !errors.Is(err, &openapi.Error{Code: c.want}) {
			t.Errorf("%+v: %v, want %s", c.q, err, c.want)
		}
	}
	busy := openapi.Errorf(openapi.CodeBusy, "others hold it")
	n.change(func() { n.fail = busy })
	if _, err := a.Lease(t.Context(), openapi.LeaseRequest{Ref: modelRef}, agent.LeaseOptions{}); !errors.Is(err, busy) {
		t.Errorf("lease: %v, want %v", err, busy)
	}
	n.change(func() { n.fail = errors.New("secret") })
	_, err := a.Lease(t.Context(), openapi.LeaseRequest{Ref: modelRef}, agent.LeaseOptions{})
	if !errors.Is(err, &openapi.Error{Code: openapi.CodeInternal}) || bytes.Contains([]byte(err.Error()), []byte("secret")) {
		t.Errorf("lease: %v, want internal without its cause", err)
	}
}
