package client

import (
	"context"
	"iter"
)

// Small chunks are fetched in batches, which are bounded by the plain bytes and
// by what the request's line can hold. So are chunks that may come as deltas: these are
// short, and a round trip for each would take longer than they do.
const (
	smallChunk  = 256 << 10
	mostInBatch = 512
	deltaBatch  = 16 << 20
)

// job is what one fetcher does at a time: chunks of one request.
type job struct {
	chunks []uint32
	from   int // the holding that they may be deltas of, 1 for the first; 0 for none
}

// batch gathers a job.
type batch struct {
	job
	bytes int
}

// batches gather jobs: small chunks at 0, and behind those what may be deltas of each
// holding.
type batches []batch

// add takes chunk c, and returns the job that is complete by that, nil for none: a large
// chunk of which nothing is held is one by itself.
func (f *fetch) add(b batches, c uint32) *job {
	size, from, most := int(f.m.Chunks[c].Size), f.from(c), deltaBatch
	if from == 0 {
		if size >= smallChunk {
			return &job{chunks: []uint32{c}}
		}
		most = batchSize
	}
	var full *job
	to := &b[from]
	if len(to.chunks) == mostInBatch || len(to.chunks) > 0 && to.bytes+size > most {
		full = &job{to.chunks, from}
		*to = batch{}
	}
	to.chunks = append(to.chunks, c)
	to.bytes += size
	return full
}

// take returns what has gathered of one job, nil when there is nothing, and leaves it
// there.
func (b batches) take() *job {
	for from := range b {
		if len(b[from].chunks) > 0 {
			return &job{b[from].chunks, from}
		}
	}
	return nil
}

// each makes jobs of chunks, as few as it can.
func (f *fetch) each(chunks iter.Seq[uint32]) func(context.Context, chan<- *job) error {
	return func(ctx context.Context, jobs chan<- *job) error {
		b := make(batches, 1+len(f.held))
		for c := range chunks {
			if full := f.add(b, c); full != nil {
				if err := send(ctx, jobs, full); err != nil {
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
func (f *fetch) arriving(chunks <-chan uint32) func(context.Context, chan<- *job) error {
	return func(ctx context.Context, jobs chan<- *job) error {
		b := make(batches, 1+len(f.held))
		for {
			var idle chan<- *job
			next := b.take()
			if next != nil {
				idle = jobs
			}
			select {
			case c, more := <-chunks:
				if !more {
					return sendRest(ctx, jobs, b)
				}
				if full := f.add(b, c); full != nil {
					if err := send(ctx, jobs, full); err != nil {
						return err
					}
				}
			case idle <- next:
				b[next.from] = batch{}
			case <-ctx.Done():
				return ctx.Err()
			}
		}
	}
}

// sendRest sends what is left in the batches at the end.
func sendRest(ctx context.Context, jobs chan<- *job, b batches) error {
	for next := b.take(); next != nil; next = b.take() {
		if err := send(ctx, jobs, next); err != nil {
			return err
		}
		b[next.from] = batch{}
	}
	return nil
}
