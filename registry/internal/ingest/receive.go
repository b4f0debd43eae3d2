package ingest

import (
	"context"
	"fmt"
	"io"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/name"
)

// Receive is Keep for a file whose bytes come from r: it is cut and stored while it
// comes. Chunks of one that turns out to be another than what was announced are of no
// version, and the next collection frees them.
func (s *Store) Receive(ctx context.Context, p access.Principal, repo name.Repo, r io.Reader, path string, want Want) (Object, error) {
	uploads, err := repo.Uploads()
	if err != nil {
		return Object{}, openapi.Errorf(openapi.CodeBadName, "%v", err)
	}
	f, err := s.Spool(want.Size)
	if err != nil {
		return Object{}, err
	}
	defer func() { _ = f.Close() }() // what is worth it is kept
	push, err := s.versions.StartPush(ctx, p, uploads)
	if err != nil {
		return Object{}, err
	}
	sent, err := s.flow(ctx, p, push.ID, f, r, path)
	if err != nil {
		return Object{}, err
	}
	sha, err := f.check(want)
	if err != nil {
		return Object{}, err
	}
	if o, ok, err := s.Find(ctx, p, repo, sha); ok || err != nil {
		return o, err
	}
	sent.SHA256 = sha
	o, err := s.publish(ctx, p, uploads, push.ID, Input{Path: path, Content: f, Size: f.size, SHA256: sha}, sent)
	if err != nil {
		return Object{}, fmt.Errorf("keep %.12s for %s: %w", sha, repo, err)
	}
	return o, nil
}

// flow writes what comes to the file, and sends its chunks as far as they are there.
func (s *Store) flow(ctx context.Context, p access.Principal, push string, f *Spooled, r io.Reader, path string) (o Object, err error) {
	in := newInflow(f)
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error {
		n, err := io.Copy(&inflowWriter{in, ctx}, io.LimitReader(r, f.size))
		if err == nil && n < f.size {
			err = openapi.Errorf(openapi.CodeBadRequest, "%d of %d bytes came: nothing is kept, send them again", n, f.size)
		}
		in.end(err)
		return err
	})
	group.Go(func() error {
		sent, err := s.Send(ctx, p, push, false, []Input{{Path: path, Content: in, Size: f.size}})
		if err != nil {
			in.end(err) // nobody waits any more
			return err
		}
		o = sent[0]
		return nil
	})
	return o, group.Wait()
}

// inflow is a file of which bytes come in order while it is read. A read waits for
// the bytes that it wants.
type inflow struct {
	*Spooled

	mu      sync.Mutex // protects what follows
	here    int64      // bytes from the start
	err     error      // why no more come
	changed *sync.Cond
}

func newInflow(f *Spooled) *inflow {
	in := &inflow{Spooled: f}
	in.changed = sync.NewCond(&in.mu)
	return in
}

// end says that no more bytes come; err is nil when all are there.
func (in *inflow) end(err error) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.err == nil {
		in.err = err
	}
	in.changed.Broadcast()
}

// await waits until the first n bytes are there.
func (in *inflow) await(n int64) error {
	in.mu.Lock()
	defer in.mu.Unlock()
	for in.here < n && in.err == nil {
		in.changed.Wait()
	}
	if in.here < n {
		return in.err
	}
	return nil
}

// ReadAt implements io.ReaderAt.
func (in *inflow) ReadAt(p []byte, offset int64) (int, error) {
	if err := in.await(min(offset+int64(len(p)), in.size)); err != nil {
		return 0, err
	}
	return in.Spooled.ReadAt(p, offset)
}

// inflowWriter takes the bytes that come.
type inflowWriter struct {
	in  *inflow
	ctx context.Context // ends when nobody wants them
}

// Write implements io.Writer.
func (w *inflowWriter) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := w.in.WriteAt(p, w.in.here) // only changed here
	w.in.mu.Lock()
	defer w.in.mu.Unlock()
	w.in.here += int64(n)
	w.in.changed.Broadcast()
	return n, err
}
