// Package stream owns the way between the chunks of a file and a reader of the
// file: it puts chunks together, reads ahead, and serves the bytes by HTTP with
// ranges and conditions.
//
// Laws:
//   - What is sent is right as far as it goes: after an error the connection is cut,
//     so that a body is never complete and wrong.
//   - Memory is bounded by an Ahead that all readers share. A reader always gets
//     forward, however many there are; only what it has beyond one chunk depends on
//     what the others leave.
//   - A call returns after every goroutine that it began has ended.
package stream

import (
	"context"
	"fmt"
	"io"

	"golang.org/x/sync/semaphore"

	"github.com/ingot-ml/ingot/registry/manifest"
)

// Content is the bytes of a file. It may be used by several goroutines at once,
// until Close.
type Content interface {
	Size() int64
	// Send writes n bytes from offset on to w, in pieces of any size. They lie inside
	// the file. Bytes that are still on the way are waited for.
	Send(ctx context.Context, w io.Writer, offset, n int64) error
	Close() error
}

// Chunks gives the plain bytes of chunks. It is safe for concurrent use.
type Chunks interface {
	// Chunk returns the verified bytes of the chunk with that index in the manifest.
	// They are not changed by the caller, and are good until it calls release, which
	// is never nil.
	Chunk(ctx context.Context, index uint32) (plain []byte, release func(), err error)
}

// DefaultAhead is how many chunks a reader has in memory: one that is sent, and
// enough behind it to hide the time that a store takes.
const DefaultAhead = 6

// Ahead bounds what readers have in memory. It is shared by all of them.
type Ahead struct {
	each   int
	budget *semaphore.Weighted // in chunks of the longest kind
}

// NewAhead returns an Ahead of memory bytes for all readers, and at most each
// chunks for one; 0 is DefaultAhead.
func NewAhead(memory int64, each int) *Ahead {
	if each <= 0 {
		each = DefaultAhead
	}
	return &Ahead{each: each, budget: semaphore.NewWeighted(max(1, memory/manifest.MaxChunk))}
}

// Chunked returns the content of f, a file of m, made of chunks.
func Chunked(m *manifest.Manifest, f *manifest.File, c Chunks, a *Ahead) Content {
	return &chunked{m: m, f: f, chunks: c, ahead: a}
}

type chunked struct {
	m      *manifest.Manifest
	f      *manifest.File
	chunks Chunks
	ahead  *Ahead
}

// Size implements Content.
func (c *chunked) Size() int64 { return int64(c.f.Size) }

// Close implements Content.
func (c *chunked) Close() error { return nil }

// part is a chunk that is being read for a reader.
type part struct {
	from, to int // of the chunk's bytes, those that the reader wants
	done     chan struct{}
	plain    []byte
	release  func()
	err      error
}

// Send implements Content. Chunks are read side by side and written in order.
func (c *chunked) Send(ctx context.Context, w io.Writer, offset, n int64) (err error) {
	ctx, cancel := context.WithCancel(ctx)
	var flying []*part
	defer func() {
		cancel()
		for _, p := range flying {
			c.land(p)
		}
	}()
	next := c.parts(offset, n)
	p, index, more := next()
	for {
		for more && len(flying) < c.ahead.each {
			if ok, err := c.takeOff(ctx, p, index, len(flying) == 0); err != nil {
				return err
			} else if !ok {
				break
			}
			flying = append(flying, p)
			p, index, more = next()
		}
		if len(flying) == 0 {
			return nil
		}
		first := flying[0]
		<-first.done
		if err = first.err; err == nil {
			_, err = w.Write(first.plain[first.from:first.to])
		}
		flying = flying[1:]
		c.land(first)
		if err != nil {
			return err
		}
	}
}

// takeOff begins to read a chunk. Without must it does so only if there is memory
// that nobody waits for.
func (c *chunked) takeOff(ctx context.Context, p *part, index uint32, must bool) (bool, error) {
	if !must && !c.ahead.budget.TryAcquire(1) {
		return false, nil
	}
	if must {
		if err := c.ahead.budget.Acquire(ctx, 1); err != nil {
			return false, err
		}
	}
	p.done = make(chan struct{})
	go func() {
		defer close(p.done)
		p.plain, p.release, p.err = c.chunks.Chunk(ctx, index)
		if p.err == nil && len(p.plain) < p.to {
			p.err = fmt.Errorf("chunk %d has %d bytes, want %d", index, len(p.plain), c.m.Chunks[index].Size)
		}
	}()
	return true, nil
}

// land waits for a chunk and gives back what it took.
func (c *chunked) land(p *part) {
	<-p.done
	if p.release != nil {
		p.release()
	}
	c.ahead.budget.Release(1)
}

// parts returns the chunks that hold n bytes from offset on, one after another.
func (c *chunked) parts(offset, n int64) func() (*part, uint32, bool) {
	end := offset + n
	at, i := int64(0), 0
	return func() (*part, uint32, bool) {
		for ; i < len(c.f.Chunks) && at < end; i++ {
			index := c.f.Chunks[i]
			size := int64(c.m.Chunks[index].Size)
			begin := at
			at += size
			if at <= offset {
				continue
			}
			i++
			return &part{from: int(max(0, offset-begin)), to: int(min(size, end-begin))}, index, true
		}
		return nil, 0, false
	}
}
