package migrate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"
	"golang.org/x/sync/semaphore"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/record"
)

const (
	// listPrefix is what the names of lists of collections start with.
	listPrefix = "gl/"
	// saveEvery is after how many blobs the marker is written.
	saveEvery = 500
	// maxBlob is the largest blob that a registry makes, with room: nothing else is
	// read into memory.
	maxBlob = 512 << 20
)

// copyBlobs copies the blobs that the destination lacks, in the order of names, and
// compares those that it has from an earlier run which did not come so far.
func (r *run) copyBlobs(ctx context.Context) error {
	active, err := r.activeList(ctx)
	if err != nil {
		return err
	}
	there, stop := iter.Pull2(r.To.Blobs.List(ctx, "", ""))
	defer stop()
	workers, inner := errgroup.WithContext(ctx)
	workers.SetLimit(r.Workers)
	c := &copier{
		run: r, workers: workers, room: semaphore.NewWeighted(r.Memory),
		there: &cursor{next: there}, start: r.marker.Compared, compared: r.marker.Compared,
	}
	walked := c.walk(inner, active)
	if err := workers.Wait(); err != nil {
		return err // and not that of the walk, which it ended
	}
	c.tell()
	return walked
}

// activeList returns the list of the collection that is under way, whose blob is
// copied: who takes the collection over at the destination needs it.
func (r *run) activeList(ctx context.Context) (string, error) {
	var state record.Collection
	if _, err := (record.Book{Registers: r.From.Registers}).Load(ctx, record.CollectionKey, &state); err != nil {
		return "", fmt.Errorf("read the state of collection: %w", err)
	}
	return state.Active(), nil
}

// copier copies blobs. One goroutine walks through the lists and writes the marker,
// workers copy and compare.
type copier struct {
	*run
	workers *errgroup.Group
	room    *semaphore.Weighted // bytes in memory
	there   *cursor             // in the destination
	start   string              // up to here an earlier run has compared

	mu       sync.Mutex // protects the fields below, and the run's report
	order    []*job     // that began, in the order of names
	compared string     // all up to here are done
	unsaved  int
}

// job is one blob on its way.
type job struct {
	blobs.Info
	found bool // in the destination
	done  bool
}

// walk goes through both lists at once, and hands what there is to do to workers.
func (c *copier) walk(ctx context.Context, active string) error {
	for info, err := range c.From.Blobs.List(ctx, "", "") {
		if err != nil {
			return fmt.Errorf("list the source: %w", err)
		}
		if strings.HasPrefix(info.Name, listPrefix) && info.Name != active {
			continue
		}
		if err := c.step(ctx, info); err != nil {
			return err
		}
	}
	_, _, err := c.find("") // counts what is left
	return err
}

// step deals with one blob of the source.
func (c *copier) step(ctx context.Context, info blobs.Info) error {
	size, found, err := c.find(info.Name)
	switch {
	case err != nil:
		return err
	case found && size != info.Size:
		return fmt.Errorf("%w: blob %s has %d bytes there, and %d in the source", ErrDiffers, info.Name, size, info.Size)
	case info.Size > maxBlob:
		return fmt.Errorf("blob %s of the source has %d bytes, no registry makes one of more than %d: take it away", info.Name, info.Size, maxBlob)
	}
	j := c.begin(info, found)
	if found && info.Name <= c.start {
		c.finish(j)
		return c.saveIfDue(ctx)
	}
	weight := min(2*info.Size, c.Memory) // what is read from either side
	if err := c.room.Acquire(ctx, weight); err != nil {
		return err
	}
	c.workers.Go(func() error {
		defer c.room.Release(weight)
		if err := c.copyOne(ctx, info, found); err != nil {
			return err
		}
		c.finish(j)
		return nil
	})
	return c.saveIfDue(ctx)
}

// find returns the size of a blob of the destination. Names come in ascending
// order; "" is behind all.
func (c *copier) find(name string) (size int64, found bool, err error) {
	for {
		info, ok, err := c.there.peek()
		switch {
		case err != nil:
			return 0, false, fmt.Errorf("list the destination: %w", err)
		case !ok || name != "" && info.Name > name:
			return 0, false, nil
		case info.Name == name:
			c.there.take()
			return info.Size, true, nil
		}
		c.there.take()
		c.mu.Lock()
		c.report.Left++
		c.mu.Unlock()
	}
}

// copyOne copies a blob, unless it was found, and compares both.
func (c *copier) copyOne(ctx context.Context, info blobs.Info, found bool) error {
	body, err := read(ctx, c.From.Blobs, info)
	if errors.Is(err, blobs.ErrNotFound) {
		return fmt.Errorf("%w: blob %s was deleted there; %s", ErrWritten, info.Name, rest)
	}
	if err != nil {
		return fmt.Errorf("read blob %s of the source: %w", info.Name, err)
	}
	if !found {
		// What another run has made at this moment is compared like all.
		if err := c.To.Blobs.Put(ctx, info.Name, body); err != nil && !errors.Is(err, blobs.ErrExists) {
			return fmt.Errorf("copy to the destination: %w", err)
		}
	}
	copied, err := read(ctx, c.To.Blobs, info)
	if err != nil {
		return fmt.Errorf("read blob %s back: %w", info.Name, err)
	}
	if !bytes.Equal(copied, body) {
		return fmt.Errorf("%w: blob %s has other bytes there", ErrDiffers, info.Name)
	}
	return nil
}

// read returns a whole blob, which has to be as long as it was listed.
func read(ctx context.Context, s blobs.Store, info blobs.Info) ([]byte, error) {
	r, err := s.Open(ctx, info.Name, 0, -1)
	if err != nil {
		return nil, err
	}
	body := make([]byte, info.Size)
	_, err = io.ReadFull(r, body)
	if err == nil {
		var more [1]byte
		if n, _ := r.Read(more[:]); n > 0 {
			err = fmt.Errorf("it has more than the %d bytes that it was listed with", info.Size)
		}
	}
	if err = errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	return body, nil
}

// begin notes a blob in the order of names.
func (c *copier) begin(info blobs.Info, found bool) *job {
	c.mu.Lock()
	defer c.mu.Unlock()
	j := &job{Info: info, found: found}
	c.order = append(c.order, j)
	return j
}

// finish counts a blob that is copied and compared.
func (c *copier) finish(j *job) {
	c.mu.Lock()
	defer c.mu.Unlock()
	j.done = true
	if j.found {
		c.report.Found++
		c.report.FoundBytes += j.Size
	} else {
		c.report.Copied++
		c.report.CopiedBytes += j.Size
	}
	c.unsaved++
	for len(c.order) > 0 && c.order[0].done {
		c.compared = max(c.compared, c.order[0].Name)
		c.order = c.order[1:]
	}
}

// saveIfDue tells how far the walk is, and writes it down now and then.
func (c *copier) saveIfDue(ctx context.Context) error {
	c.tell()
	c.mu.Lock()
	due := c.unsaved >= saveEvery
	if due {
		c.unsaved = 0
		c.marker.Compared = c.compared
	}
	c.mu.Unlock()
	if !due {
		return nil
	}
	return c.save(ctx)
}

func (c *copier) tell() {
	c.mu.Lock()
	done := c.report.Found + c.report.Copied
	c.mu.Unlock()
	c.Progress(Progress{PhaseBlobs, done})
}

// cursor is a list that can be looked ahead in.
type cursor struct {
	next func() (blobs.Info, error, bool)
	info blobs.Info
	full bool
	end  bool
}

func (c *cursor) peek() (blobs.Info, bool, error) {
	if !c.full && !c.end {
		info, err, more := c.next()
		if err != nil {
			return info, false, err
		}
		c.info, c.full, c.end = info, more, !more
	}
	return c.info, c.full, nil
}

func (c *cursor) take() { c.full = false }
