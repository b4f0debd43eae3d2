package artifact

import (
	"context"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/client"
)

const (
	// parallel is how many layers come at a time.
	parallel = 4
	// tries is how often a layer is asked for in a row without getting more of it.
	tries = 5
)

// The folders below that of Fetch.
const (
	filesDir = "files"
	partsDir = "parts" // layers on their way, by their digests
)

var errStalled = errors.New("the registry sends nothing any more")

// Fetch makes the files of the artifact in a folder below dir, which is only for this
// artifact, and returns that folder. What an earlier Fetch has left there is gone on
// with. The errors are those of Open, or of the file system.
func (a *Artifact) Fetch(ctx context.Context, dir string) (string, error) {
	files := filepath.Join(dir, filesDir)
	for _, d := range []string{files, filepath.Join(dir, partsDir)} {
		if err := os.MkdirAll(d, 0o777); err != nil {
			return "", err
		}
	}
	root, err := os.OpenRoot(files)
	if err != nil {
		return "", err
	}
	defer func() { _ = root.Close() }() // the files are closed already
	if a.progress != nil {
		a.progress.Total(a.Size)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, l := range a.layers {
		g.Go(func() error {
			if err := a.layer(ctx, l, root, dir); err != nil {
				return fmt.Errorf("layer %.19s: %w", l.Digest, a.judge(ctx, err))
			}
			return nil
		})
	}
	return files, g.Wait()
}

// layer gets one layer, unless its file is there and right, and makes its files.
func (a *Artifact) layer(ctx context.Context, l layer, files *os.Root, dir string) error {
	if l.packed == raw && a.has(ctx, l, files) {
		a.add(l.Size)
		return nil
	}
	// Layers of one digest have parts of their own, as they come side by side.
	part := filepath.Join(dir, partsDir, l.Digest.Encoded()+"-"+nameOf(l.path))
	if err := a.download(ctx, l, part); err != nil {
		return err
	}
	if l.packed != raw {
		if err := l.unpack(ctx, part, files); err != nil {
			return err
		}
		return os.Remove(part)
	}
	if err := makeFolders(files, l.path); err != nil {
		return err
	}
	return os.Rename(part, filepath.Join(dir, filesDir, filepath.FromSlash(l.path)))
}

// has reports whether the file of a layer is there, with the right bytes.
func (a *Artifact) has(ctx context.Context, l layer, files *os.Root) bool {
	f, err := files.Open(filepath.FromSlash(l.path))
	if err != nil {
		return false
	}
	defer func() { _ = f.Close() }() // it was only read
	info, err := f.Stat()
	if err != nil || info.Size() != l.Size {
		return false
	}
	h := l.Digest.Algorithm().Hash()
	if _, err := io.Copy(h, &reading{ctx, f}); err != nil {
		return false
	}
	return l.Digest.Algorithm().Encode(h.Sum(nil)) == l.Digest.Encoded()
}

func (a *Artifact) add(n int64) {
	if a.progress != nil {
		a.progress.Add(n)
	}
}

// download makes the file part, which may be there in part, of a layer. A connection
// that breaks off is made again as long as more comes by that.
func (a *Artifact) download(ctx context.Context, l layer, part string) error {
	f, err := os.OpenFile(part, os.O_RDWR|os.O_CREATE, 0o666)
	if err != nil {
		return err
	}
	d := &download{Artifact: a, of: l, file: f, hash: l.Digest.Algorithm().Hash()}
	err = errors.Join(d.all(ctx), f.Close())
	if errors.Is(err, client.ErrCorrupt) {
		_ = os.Remove(part) // it is of no use; the error tells the rest
	}
	return err
}

// download is a layer on its way.
type download struct {
	*Artifact
	of   layer
	file *os.File
	hash hash.Hash
	have int64 // bytes in the file, which the hash has seen
}

func (d *download) all(ctx context.Context) error {
	if err := d.resume(ctx); err != nil {
		return err
	}
	for failed := 0; d.have < d.of.Size; {
		before := d.have
		err := d.more(ctx)
		if err == nil {
			continue
		}
		if d.have > before {
			failed = 0
		}
		if failed++; failed == tries || ctx.Err() != nil || !isTransient(d.judge(ctx, err)) {
			return err
		}
		select {
		case <-time.After(time.Duration(failed) * 200 * time.Millisecond):
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if got := d.of.Digest.Algorithm().Encode(d.hash.Sum(nil)); got != d.of.Digest.Encoded() {
		return fmt.Errorf("its bytes are those of %.12s, want %.12s: %w", got, d.of.Digest.Encoded(), client.ErrCorrupt)
	}
	return nil
}

func isTransient(err error) bool { return errors.Is(err, client.ErrUnreachable) }

// resume takes in what is in the file already.
func (d *download) resume(ctx context.Context) error {
	n, err := io.Copy(d.hash, &reading{ctx, io.LimitReader(d.file, d.of.Size+1)})
	if err != nil {
		return err
	}
	if n > d.of.Size {
		d.hash.Reset()
		n = 0
		if err := d.file.Truncate(0); err != nil {
			return err
		}
		if _, err := d.file.Seek(0, io.SeekStart); err != nil {
			return err
		}
	}
	d.have = n
	d.add(n)
	return nil
}

// more gets what is left of the layer, or a part of that.
func (d *download) more(ctx context.Context) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	watchdog := time.AfterFunc(d.stall, func() { cancel(errStalled) })
	defer watchdog.Stop()
	body, err := d.repo.Blobs().Fetch(ctx, d.of.Descriptor)
	if err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	defer func() { _ = body.Close() }() // it was only read
	if d.have > 0 {
		if err := skip(body, d.have); err != nil {
			return err
		}
	}
	to := &filling{d, watchdog}
	n, err := io.CopyN(to, body, d.of.Size-d.have)
	if errors.Is(err, io.EOF) {
		err = fmt.Errorf("%d bytes came, %d are missing: %w", n, d.of.Size-d.have, io.ErrUnexpectedEOF)
	}
	if err != nil {
		return errors.Join(err, context.Cause(ctx))
	}
	return nil
}

// skip passes over the first bytes of a body.
func skip(body io.Reader, n int64) error {
	if s, ok := body.(io.Seeker); ok {
		_, err := s.Seek(n, io.SeekStart)
		return err
	}
	_, err := io.CopyN(io.Discard, body, n)
	return err
}

// filling writes what comes into the file of a download.
type filling struct {
	*download
	watchdog *time.Timer
}

// Write implements io.Writer.
func (f *filling) Write(b []byte) (int, error) {
	f.watchdog.Reset(f.stall)
	n, err := f.file.Write(b)
	_, _ = f.hash.Write(b[:n]) // never fails
	f.have += int64(n)
	f.add(int64(n))
	return n, err
}

// reading stops with its context.
type reading struct {
	ctx context.Context
	io.Reader
}

// Read implements io.Reader.
func (r *reading) Read(b []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.Reader.Read(b)
}
