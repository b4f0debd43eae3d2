package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"iter"

	"github.com/ingot-ml/ingot/openapi"
)

// Tensor is a tensor of a leased version.
type Tensor struct {
	File  string
	Name  string
	DType string   // as the file spells it
	Shape []uint64 // outermost first
	// Bytes are read-only: to write to them ends the process. They are valid until
	// the lease is closed, in a window until the iterator goes on.
	Bytes []byte
}

// Files returns the files of the version, which the caller may not change. A
// stream does not know them before its end, a window never.
func (l *Lease) Files() []openapi.LeaseFile {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.layout == nil {
		return nil
	}
	return l.layout.files
}

// Stats says how the tensors got into the process so far.
func (l *Lease) Stats() Stats {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.views.stats
}

// Tensor returns the tensor with that name. file may be empty where only one file
// has it. Asked again it returns the same bytes.
func (l *Lease) Tensor(file, name string) (Tensor, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if errors.Is(l.err, ErrClosed) {
		return Tensor{}, l.err
	}
	s, err := l.find(file, name)
	if err != nil {
		return Tensor{}, err
	}
	return l.at(s)
}

// at returns a tensor of the layout. The caller holds mu.
func (l *Lease) at(s spot) (Tensor, error) {
	f := &l.layout.files[s.file]
	t := &f.Tensors[s.tensor]
	b, ok := l.views.known[s]
	if !ok {
		var err error
		parts := cut(l.layout.parts[s.file], t.Offset, t.Bytes)
		if b, err = l.views.view(t, parts); err != nil {
			return Tensor{}, fmt.Errorf("tensor %.80q of %s: %w", t.Name, l.ref, err)
		}
		l.views.known[s] = b
	}
	return Tensor{f.Path, t.Name, t.DType, t.Shape, b}, nil
}

// ReadFile writes a file to w, and returns how many bytes it is.
func (l *Lease) ReadFile(path string, w io.Writer) (int64, error) {
	l.mu.Lock()
	if errors.Is(l.err, ErrClosed) {
		l.mu.Unlock()
		return 0, ErrClosed
	}
	i, err := l.file(path)
	if err != nil {
		l.mu.Unlock()
		return 0, err
	}
	parts := l.layout.parts[i]
	l.mu.Unlock()
	var n int64
	for _, p := range parts {
		m, err := io.Copy(w, io.NewSectionReader(p.file, p.offset, p.length))
		n += m
		if err != nil {
			return n, fmt.Errorf("read %s: %w", path, err)
		}
	}
	return n, nil
}

// Tensors yields all tensors: those of a stream or window as they arrive, those
// of a whole version in the order of its files. It ends with the first error. Once
// a stream has ended well, the lease is as one of a whole version.
//
// In a window the bytes of a tensor are unmapped, and its room is given back, when
// the loop goes on; what was passed does not come again.
func (l *Lease) Tensors(ctx context.Context) iter.Seq2[Tensor, error] {
	if l.mode == openapi.LeaseWindow {
		return func(yield func(Tensor, error) bool) { l.slide(ctx, yield) }
	}
	return func(yield func(Tensor, error) bool) {
		for i := 0; ; i++ {
			t, ok, err := l.next(ctx, i)
			if err != nil {
				yield(Tensor{}, err)
				return
			}
			if !ok || !yield(t, nil) {
				return
			}
		}
	}
}

// next returns tensor i of a stream or of a whole version; not ok behind the
// last.
func (l *Lease) next(ctx context.Context, i int) (Tensor, bool, error) {
	if l.mode == openapi.LeaseWhole {
		l.mu.Lock()
		defer l.mu.Unlock()
		if errors.Is(l.err, ErrClosed) || i >= len(l.layout.order) {
			return Tensor{}, false, l.closed()
		}
		t, err := l.at(l.layout.order[i])
		return t, true, err
	}
	ok, err := l.await(ctx, i)
	if !ok || err != nil {
		return Tensor{}, false, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.closed(); err != nil {
		return Tensor{}, false, err
	}
	a := &l.arrived[i]
	if a.bytes == nil {
		if a.bytes, err = l.views.view(&a.tensor, a.parts); err != nil {
			return Tensor{}, false, fmt.Errorf("tensor %.80q of %s: %w", a.tensor.Name, l.ref, err)
		}
	}
	return a.tensorOf(a.bytes), true, nil
}

// closed returns ErrClosed once the lease is. The caller holds mu.
func (l *Lease) closed() error {
	if errors.Is(l.err, ErrClosed) {
		return ErrClosed
	}
	return nil
}

// await waits for arrival i; not ok when there are no more.
func (l *Lease) await(ctx context.Context, i int) (ok bool, err error) {
	for {
		l.mu.Lock()
		there, err, news := i < len(l.arrived), l.err, l.news
		done := l.done && (l.mode == openapi.LeaseWindow || l.layout != nil)
		l.mu.Unlock()
		switch {
		case errors.Is(err, ErrClosed):
			return false, err
		case there || done:
			return there, nil
		case err != nil:
			return false, err
		}
		select {
		case <-news:
		case <-ctx.Done():
			return false, fmt.Errorf("tensors of %s: %w", l.Ref(), context.Cause(ctx))
		}
	}
}
