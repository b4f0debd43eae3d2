package client

import (
	"context"
	"iter"
)

// Small chunks are fetched in batches, which are bounded by the plain bytes and
// by what the request's line can hold.
const (
	smallChunk  = 256 << 10
	mostInBatch = 1024
)

// batch gathers small chunks for one request.
type batch struct {
	chunks []uint32
	bytes  int
}

// add takes chunk c of size bytes, and returns the job that is complete by that,
// nil for none: a large chunk is one by itself.
func (b *batch) add(c, size uint32) (job []uint32) {
	if size >= smallChunk {
		return []uint32{c}
	}
	if len(b.chunks) == mostInBatch || b.bytes+int(size) > batchSize {
		job = b.chunks
		*b = batch{}
	}
	b.chunks = append(b.chunks, c)
	b.bytes += int(size)
	return job
}

// each makes jobs of chunks, as few as it can.
func (f *fetch) each(chunks iter.Seq[uint32]) func(context.Context, chan<- []uint32) error {
	return func(ctx context.Context, jobs chan<- []uint32) error {
		var b batch
		for c := range chunks {
			if job := b.add(c, f.m.Chunks[c].Size); job != nil {
				if err := send(ctx, jobs, job); err != nil {
					return err
				}
			}
		}
		return sendRest(ctx, jobs, b)
	}
}

// arriving makes jobs of chunks that somebody still thinks of. A batch grows while
// all fetchers are busy and goes as soon as one is idle, so that no chunk waits
// for others that may depend on it.
func (f *fetch) arriving(chunks <-chan uint32) func(context.Context, chan<- []uint32) error {
	return func(ctx context.Context, jobs chan<- []uint32) error {
		var b batch
		for {
			var idle chan<- []uint32
			if len(b.chunks) > 0 {
				idle = jobs
			}
			select {
			case c, more := <-chunks:
				if !more {
					return sendRest(ctx, jobs, b)
				}
				if job := b.add(c, f.m.Chunks[c].Size); job != nil {
					if err := send(ctx, jobs, job); err != nil {
						return err
					}
				}
			case idle <- b.chunks:
				b = batch{}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// sendRest sends what is left in a batch at the end.
func sendRest(ctx context.Context, jobs chan<- []uint32, b batch) error {
	if len(b.chunks) == 0 {
		return nil
	}
	return send(ctx, jobs, b.chunks)
}
