package client

import (
	"context"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
)

// maxAsked is how many chunks one question for missing ones holds.
const maxAsked = 64

// ask sends on the pieces that the registry lacks. It asks for what has gathered
// and never waits for more, because what it holds may be all that there is.
func (p *pass) ask(ctx context.Context, in <-chan *piece, out chan<- *piece) error {
	for next := range in {
		group := waiting([]*piece{next}, in)
		var digests []byte
		for _, g := range group {
			digests = append(digests, g.digest[:]...)
		}
		bitmap, err := p.missing(ctx, p.id, p.fresh, digests)
		if err != nil {
			return err
		}
		for i, g := range group {
			if bitmap[i/8]>>(i%8)&1 == 0 {
				p.drop(g)
				continue
			}
			if err := send(ctx, out, g); err != nil {
				return err
			}
		}
	}
	return nil
}

// waiting adds what waits in the channel.
func waiting(group []*piece, in <-chan *piece) []*piece {
	for len(group) < maxAsked {
		select {
		case next, ok := <-in:
			if !ok {
				return group
			}
			group = append(group, next)
		default:
			return group
		}
	}
	return group
}

// encode encodes pieces.
func (p *pass) encode(ctx context.Context, in <-chan *piece, out chan<- upload) error {
	for next := range in {
		buf, err := p.encoded.get(ctx)
		if err != nil {
			return err
		}
		enc := codec.Append(buf, next.plain, next.cut.DType)
		p.plain.put(next.plain)
		u := upload{digest: next.digest, body: enc, chunks: 1, encoded: len(enc), plain: next.cut.Length, from: p.encoded}
		if err := send(ctx, out, u); err != nil {
			return err
		}
	}
	return nil
}

// upload is the body of one request.
type upload struct {
	digest         chunker.Digest // zero for a batch
	body           []byte
	chunks         int
	encoded, plain int // bytes of the chunks
	from           *pool
}

// gather sends large chunks on as they are, and small ones in batches.
func (p *pass) gather(ctx context.Context, in <-chan upload, out chan<- upload) error {
	var batch upload
	for u := range in {
		if len(u.body) >= openapi.SmallChunk {
			if err := send(ctx, out, u); err != nil {
				return err
			}
			continue
		}
		if batch.chunks == openapi.MaxBatchChunks || len(batch.body)+openapi.FrameHeader+len(u.body) > batchSize {
			if err := send(ctx, out, batch); err != nil {
				return err
			}
			batch = upload{}
		}
		if err := p.join(ctx, &batch, u); err != nil {
			return err
		}
	}
	if batch.chunks == 0 {
		return nil
	}
	return send(ctx, out, batch)
}

// join puts a chunk into a batch, and its buffer back.
func (p *pass) join(ctx context.Context, batch *upload, u upload) error {
	if batch.body == nil {
		buf, err := p.batches.get(ctx)
		if err != nil {
			return err
		}
		batch.body, batch.from = buf, p.batches
	}
	batch.body = openapi.AppendFrame(batch.body, u.digest, u.body)
	batch.chunks++
	batch.encoded += u.encoded
	batch.plain += u.plain
	u.from.put(u.body)
	return nil
}

// upload makes the requests.
func (p *pass) upload(ctx context.Context, in <-chan upload) error {
	for u := range in {
		got, err := p.put(ctx, u)
		if err != nil {
			return err
		}
		u.from.put(u.body)
		p.uploaded.Add(int64(u.chunks))
		p.stored.Add(got.Stored)
		p.progress.Add(int64(u.plain))
	}
	return nil
}

func (p *pass) put(ctx context.Context, u upload) (openapi.Received, error) {
	attempt := func() { p.sent.Add(int64(u.encoded)) }
	if u.digest.IsZero() {
		return p.putBatch(ctx, p.id, u.body, attempt)
	}
	return p.putChunk(ctx, p.id, u.digest, u.body, attempt)
}
