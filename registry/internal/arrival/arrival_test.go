package arrival

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"testing"
)

// memory is a Room that counts how often it was closed.
type memory struct {
	mu     sync.Mutex
	b      []byte
	closed int
}

func (m *memory) ReadAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return copy(p, m.b[off:]), nil
}

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return copy(m.b[off:], p), nil
}

func (m *memory) Close() error { m.closed++; return nil }

// far is the other side: what it sends of a file, and how it breaks.
type far struct {
	file   []byte
	whole  bool // it knows no parts
	cut    int  // a part breaks after so many bytes; 0 for never
	opens  atomic.Int64
	sent   atomic.Int64
	fail   error           // of Open, after
	sound  int64           // so many that do not fail
	gate   chan struct{}   // parts that begin at 0 wait here before their second piece
	begins chan<- [2]int64 // gets each part
}

var errBroken = errors.New("broken")

func (f *far) open(ctx context.Context, offset, end int64) (Part, error) {
	n := f.opens.Add(1)
	if f.begins != nil {
		f.begins <- [2]int64{offset, end}
	}
	if f.fail != nil && n > f.sound {
		return nil, f.fail
	}
	if f.whole {
		offset, end = 0, int64(len(f.file))
	}
	return &farPart{far: f, ctx: ctx, offset: offset, rest: f.file[offset:end]}, nil
}

type farPart struct {
	*far
	ctx    context.Context
	offset int64
	rest   []byte
	given  int
}

func (p *farPart) Offset() int64 { return p.offset }
func (p *farPart) Close()        {}

func (p *farPart) Read(b []byte) (int, error) {
	if p.gate != nil && p.offset == 0 && p.given > 0 {
		select {
		case <-p.gate:
		case <-p.ctx.Done():
			return 0, p.ctx.Err()
		}
	}
	if p.cut > 0 && p.given >= p.cut {
		return 0, errBroken
	}
	if len(p.rest) == 0 {
		return 0, io.EOF
	}
	most := 50_000
	if p.cut > 0 {
		most = min(most, p.cut-p.given)
	}
	n := copy(b[:min(len(b), most)], p.rest)
	p.rest = p.rest[n:]
	p.given += n
	p.sent.Add(int64(n))
	return n, nil
}

func bytesOf(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	return b
}

func begin(t *testing.T, f *far, c Config) (*Arrival, *memory) {
	t.Helper()
	room := &memory{b: make([]byte, len(f.file))}
	c.Size, c.Room, c.Open, c.Pause = int64(len(f.file)), room, f.open, 1
	if c.Proof == nil {
		c.Proof = func() error {
			if !bytes.Equal(room.b, f.file) {
				return errors.New("the room has other bytes")
			}
			return nil
		}
	}
	return New(c), room
}

func readPart(t *testing.T, a *Arrival, offset, n int64) ([]byte, error) {
	t.Helper()
	r, ok := a.Read()
	if !ok {
		t.Fatal("the arrival is closed")
	}
	defer func() { _ = r.Close() }()
	var out bytes.Buffer
	err := r.Send(t.Context(), &out, offset, n)
	return out.Bytes(), err
}

// TestReadersShare has many read a file while it comes, which is fetched once.
func TestReadersShare(t *testing.T) {
	f := &far{file: bytesOf(3<<20 + 7)}
	a, room := begin(t, f, Config{})
	var readers sync.WaitGroup
	for range 8 {
		readers.Go(func() {
			if got, err := readPart(t, a, 0, int64(len(f.file))); err != nil || !bytes.Equal(got, f.file) {
				t.Errorf("got %d bytes, %v", len(got), err)
			}
		})
	}
	if err := a.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	readers.Wait()
	if n := f.sent.Load(); n != int64(len(f.file)) {
		t.Errorf("%d bytes were sent, want %d", n, len(f.file))
	}
	if err := a.Close(); err != nil || room.closed != 1 {
		t.Errorf("the room was closed %d times, %v", room.closed, err)
	}
	if _, ok := a.Read(); ok {
		t.Error("a closed arrival is read")
	}
}

// TestRoomStaysForReaders closes an arrival that is read.
func TestRoomStaysForReaders(t *testing.T) {
	f := &far{file: bytesOf(100)}
	a, room := begin(t, f, Config{})
	r, _ := a.Read()
	if err := errors.Join(a.Run(t.Context()), a.Close()); err != nil || room.closed != 0 {
		t.Fatalf("the room of a reader was closed %d times, %v", room.closed, err)
	}
	var out bytes.Buffer
	if err := r.Send(t.Context(), &out, 10, 90); err != nil || !bytes.Equal(out.Bytes(), f.file[10:]) {
		t.Errorf("got %d bytes, %v", out.Len(), err)
	}
	if err := errors.Join(r.Close(), r.Close()); err != nil || room.closed != 1 {
		t.Errorf("the room was closed %d times, %v", room.closed, err)
	}
}

// TestBreaks goes on where a connection broke, with and without parts.
func TestBreaks(t *testing.T) {
	for _, whole := range []bool{false, true} {
		f := &far{file: bytesOf(1 << 20), cut: 300_000, whole: whole}
		a, _ := begin(t, f, Config{})
		err := a.Run(t.Context())
		if whole {
			if !errors.Is(err, errBroken) { // it never gets further than that
				t.Errorf("whole: %v", err)
			}
			continue
		}
		if err != nil || f.sent.Load() != 1<<20 || f.opens.Load() != 4 {
			t.Errorf("%d bytes in %d parts, %v", f.sent.Load(), f.opens.Load(), err)
		}
	}
}

// TestFails gives up after attempts that bring nothing, at once for an error that
// stays, and at once when nothing has come at all.
func TestFails(t *testing.T) {
	for _, c := range []struct {
		first, final bool
		opens        int64
	}{{false, false, 3}, {false, true, 2}, {true, false, 1}} {
		f := &far{file: bytesOf(1000), fail: errBroken, sound: 1, cut: 10}
		if c.first {
			f.sound = 0
		}
		a, _ := begin(t, f, Config{Tries: 3, Final: func(error) bool { return c.final && f.opens.Load() > 1 }})
		if err := a.Run(t.Context()); !errors.Is(err, errBroken) || f.opens.Load() != c.opens {
			t.Errorf("%+v: %d attempts, %v", c, f.opens.Load(), err)
		}
		if _, err := readPart(t, a, 0, 10); !errors.Is(err, errBroken) {
			t.Errorf("a reader got %v", err)
		}
		if err := a.Started(t.Context()); !errors.Is(err, errBroken) && c.first {
			t.Errorf("it has started: %v", err)
		}
		if err := a.Proven(t.Context()); !errors.Is(err, errBroken) {
			t.Errorf("it is proven: %v", err)
		}
	}
}

// TestLastByteWaits has a file turn out to be wrong: nobody has got all of it.
func TestLastByteWaits(t *testing.T) {
	f := &far{file: bytesOf(600_000)}
	wrong := errors.New("wrong")
	proof := make(chan struct{})
	a, _ := begin(t, f, Config{Proof: func() error { <-proof; return wrong }})
	var done sync.WaitGroup
	done.Go(func() {
		if err := a.Run(t.Context()); !errors.Is(err, wrong) {
			t.Errorf("it ended with %v", err)
		}
	})
	size := int64(len(f.file))
	if got, err := readPart(t, a, 0, size-1); err != nil || !bytes.Equal(got, f.file[:size-1]) {
		t.Errorf("%d bytes before the last, %v", len(got), err)
	}
	r, _ := a.Read()
	var out bytes.Buffer
	done.Go(func() {
		if err := r.Send(t.Context(), &out, 1, size-1); !errors.Is(err, wrong) {
			t.Errorf("the whole was read: %v", err)
		}
	})
	close(proof)
	done.Wait()
	if int64(out.Len()) >= size-1 {
		t.Error("the last byte was given")
	}
}

// TestFarReaders has one that wants the end get a part of its own, while what comes
// from the start stands still.
func TestFarReaders(t *testing.T) {
	begins := make(chan [2]int64, 16)
	f := &far{file: bytesOf(4 << 20), gate: make(chan struct{}), begins: begins}
	a, _ := begin(t, f, Config{Near: 1 << 20})
	var run sync.WaitGroup
	run.Go(func() {
		if err := a.Run(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if got := <-begins; got != [2]int64{0, 4 << 20} {
		t.Fatalf("the first part is %v", got)
	}
	if got, err := readPart(t, a, 3<<20, 1000); err != nil || !bytes.Equal(got, f.file[3<<20:3<<20+1000]) {
		t.Fatalf("%d bytes, %v", len(got), err)
	}
	if got := <-begins; got != [2]int64{3 << 20, 4 << 20} {
		t.Errorf("the second part is %v", got)
	}
	close(f.gate)
	run.Wait()
	if n := f.sent.Load(); n > 4<<20+piece {
		t.Errorf("%d bytes were sent", n)
	}
}

// TestFarReadersOfWholes has one that wants the end of a file whose source knows no
// parts: it waits.
func TestFarReadersOfWholes(t *testing.T) {
	f := &far{file: bytesOf(4 << 20), gate: make(chan struct{}, 1000), whole: true}
	a, _ := begin(t, f, Config{Near: 1 << 20})
	for range 1000 {
		f.gate <- struct{}{}
	}
	var run sync.WaitGroup
	run.Go(func() {
		if err := a.Run(t.Context()); err != nil {
			t.Error(err)
		}
	})
	if got, err := readPart(t, a, 3<<20, 1000); err != nil || !bytes.Equal(got, f.file[3<<20:3<<20+1000]) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	run.Wait()
}

// TestEnds ends with its context, and readers with theirs.
func TestEnds(t *testing.T) {
	f := &far{file: bytesOf(1 << 20), gate: make(chan struct{})}
	a, _ := begin(t, f, Config{})
	ctx, cancel := context.WithCancel(t.Context())
	var run sync.WaitGroup
	run.Go(func() {
		if err := a.Run(ctx); !errors.Is(err, context.Canceled) {
			t.Errorf("it ended with %v", err)
		}
	})
	if err := a.Started(t.Context()); err != nil {
		t.Error(err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	r, _ := a.Read()
	if err := r.Send(gone, io.Discard, 900_000, 10); !errors.Is(err, context.Canceled) {
		t.Errorf("a reader that has gone: %v", err)
	}
	cancel()
	run.Wait()
	if err := r.Send(t.Context(), io.Discard, 900_000, 10); !errors.Is(err, context.Canceled) {
		t.Errorf("a reader that stayed: %v", err)
	}
}

// TestEmpty is nothing to wait for.
func TestEmpty(t *testing.T) {
	f := &far{}
	a, _ := begin(t, f, Config{})
	if err := errors.Join(a.Run(t.Context()), a.Started(t.Context())); err != nil || f.opens.Load() != 0 {
		t.Errorf("%d parts, %v", f.opens.Load(), err)
	}
	if got, err := readPart(t, a, 0, 0); err != nil || len(got) != 0 {
		t.Error(got, err)
	}
}

// TestSpans compares spans with a map of bytes.
func TestSpans(t *testing.T) {
	const size = 40
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 7))
		var s spans
		var here [size + 1]bool
		for range 12 {
			from := r.Int64N(size)
			to := from + 1 + r.Int64N(size-from)
			s.add(from, to)
			for i := from; i < to; i++ {
				here[i] = true
			}
			check(t, s, here[:])
		}
	}
}

func check(t *testing.T, s spans, here []bool) {
	t.Helper()
	for i := range s {
		if s[i].from >= s[i].to || i > 0 && s[i-1].to >= s[i].from {
			t.Fatalf("%v are no spans", s)
		}
	}
	for at := range int64(len(here)) {
		gap := at
		for here[gap] {
			gap++
		}
		next := at + 1
		for next < int64(len(here)) && !(here[next] && !here[next-1]) {
			next++
		}
		if s.gap(at) != gap || s.has(at) != here[at] {
			t.Fatalf("%v: the gap behind %d is %d, want %d", s, at, s.gap(at), gap)
		}
		if n := s.next(at); n != next && next < int64(len(here)) {
			t.Fatalf("%v: the span behind %d is at %d, want %d", s, at, n, next)
		}
	}
}
