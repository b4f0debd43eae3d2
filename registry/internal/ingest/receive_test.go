package ingest_test

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"testing"
	"testing/iotest"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/ingest"
)

// TestReceive has files come in small pieces.
func TestReceive(t *testing.T) {
	w := newWorld(t, 0)
	for name, b := range map[string][]byte{"weights": safetensors(1, 3<<20), "content": noise(2, 2<<20), "empty": nil, "zip": append([]byte("PK\x03\x04"), noise(3, 100_000)...)} {
		r, slow := io.Pipe()
		go func() {
			for at := 0; at < len(b); at += 10_000 {
				_, _ = slow.Write(b[at:min(at+10_000, len(b))]) // fails when nobody reads any more
			}
			_ = slow.Close()
		}()
		o, err := w.Receive(t.Context(), alice, model, r, "", ingest.Want{SHA256: sumOf(b), Size: int64(len(b))})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		w.check(o, b)
		again, err := w.Receive(t.Context(), alice, model, iotest.HalfReader(iotest.DataErrReader(bytes.NewReader(b))), "", ingest.Want{Size: int64(len(b))})
		if err != nil || again.From != o.From {
			t.Errorf("%s comes again as %v, %v", name, again.From, err)
		}
		if kept := w.keep(b, ""); kept.From != o.From {
			t.Errorf("%s is kept as %v", name, kept.From)
		}
	}
}

// TestReceiveFails has what comes end early, fail, or be other bytes, and the room
// given back.
func TestReceiveFails(t *testing.T) {
	b := safetensors(1, 3<<20)
	w := newWorld(t, int64(len(b)))
	broken := errors.New("broken")
	bad := &openapi.Error{Code: openapi.CodeBadRequest}
	for range 2 {
		for name, tt := range map[string]struct {
			r    io.Reader
			want ingest.Want
			err  error
		}{
			"early":      {bytes.NewReader(b[:1<<20]), ingest.Want{Size: int64(len(b))}, bad},
			"nothing":    {bytes.NewReader(nil), ingest.Want{Size: int64(len(b))}, bad},
			"an error":   {io.MultiReader(bytes.NewReader(b[:1<<20]), iotest.ErrReader(broken)), ingest.Want{Size: int64(len(b))}, broken},
			"others":     {bytes.NewReader(b), ingest.Want{SHA256: sumOf(nil), Size: int64(len(b))}, bad},
			"too long":   {bytes.NewReader(b), ingest.Want{Size: int64(len(b)) + 1}, &openapi.Error{Code: openapi.CodeTooLarge}},
			"an end too": {iotest.DataErrReader(bytes.NewReader(b[:len(b)-1])), ingest.Want{Size: int64(len(b))}, bad},
		} {
			if _, err := w.Receive(t.Context(), alice, model, tt.r, "x", tt.want); !errors.Is(err, tt.err) {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	if _, ok, err := w.Find(t.Context(), alice, model, sumOf(b)); ok || err != nil {
		t.Errorf("something was kept: %v", err)
	}
	if _, err := w.Receive(t.Context(), alice, model, bytes.NewReader(b), "x", ingest.Want{SHA256: sumOf(b), Size: int64(len(b))}); err != nil {
		t.Error(err)
	}
}

// TestSlowSenders has many files that stop in the middle of coming: one that comes is
// not kept waiting by them.
func TestSlowSenders(t *testing.T) {
	w := newWorld(t, 0)
	b := safetensors(1, 9<<20)
	var slow []*io.PipeWriter
	ended := make(chan error)
	for range 4*runtime.GOMAXPROCS(0) + 1 {
		r, sender := io.Pipe()
		slow = append(slow, sender)
		go func() {
			_, err := w.Receive(t.Context(), alice, model, r, "x", ingest.Want{Size: int64(len(b))})
			ended <- err
		}()
		if _, err := sender.Write(b[:4<<20]); err != nil {
			t.Fatal(err)
		}
	}
	quick := safetensors(2, 9<<20)
	if _, err := w.Receive(t.Context(), alice, model, bytes.NewReader(quick), "x", ingest.Want{Size: int64(len(quick))}); err != nil {
		t.Error(err)
	}
	for _, sender := range slow {
		_ = sender.Close() // never fails
	}
	for range slow {
		if err := <-ended; !errors.Is(err, &openapi.Error{Code: openapi.CodeBadRequest}) {
			t.Errorf("half a file: %v", err)
		}
	}
}
