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

// encode encodes pieces, as deltas where they may be.
func (p *pass) encode(ctx context.Context, whole bool, in <-chan *piece, out chan<- upload) error {
	d := differ{pass: p}
	for next := range in {
		buf, err := p.encoded.get(ctx)
		if err != nil {
			return err
		}
		var u upload
		if whole {
			u = uploadOf(next, codec.Append(buf, next.plain, next.cut.DType), "")
		} else {
			enc, base := d.encode(ctx, next, buf)
			u = uploadOf(next, enc, base)
		}
		u.from = p.encoded
		p.plain.put(next.plain)
		if err := send(ctx, out, u); err != nil {
			return err
		}
	}
	return nil
}

// sender uploads encoded chunks for a push. What comes to it are chunks, each in a
// buffer of the pool that it is from.
type sender struct {
	*push
	id      string
	batches *pool
	refused *refusals
}

func newSender(p *push, id string) sender {
	return sender{push: p, id: id, batches: newPool(batchBuffers, batchSize), refused: &refusals{}}
}

// upload is the body of one request.
type upload struct {
	digest         chunker.Digest   // zero for a batch
	inside         []chunker.Digest // of a batch
	body           []byte
	base           string // the version that the deltas are of; empty when there are none
	chunks, deltas int
	encoded, plain int // bytes of the chunks
	delta          int // encoded bytes of deltas
	from           *pool
}

// uploadOf returns the upload of one piece, a delta of base unless that is empty.
func uploadOf(next *piece, enc []byte, base string) upload {
	u := upload{digest: next.digest, body: enc, base: base, chunks: 1, encoded: len(enc), plain: next.cut.Length}
	if base != "" {
		u.deltas, u.delta = 1, len(enc)
	}
	return u
}

// gather sends large chunks on as they are, and small ones in batches.
func (s *sender) gather(ctx context.Context, in <-chan upload, out chan<- upload) error {
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
		if err := s.join(ctx, &batch, u); err != nil {
			return err
		}
	}
	if batch.chunks == 0 {
		return nil
	}
	return send(ctx, out, batch)
}

// join puts a chunk into a batch, and its buffer back.
func (s *sender) join(ctx context.Context, batch *upload, u upload) error {
	if batch.body == nil {
		buf, err := s.batches.get(ctx)
		if err != nil {
			return err
		}
		batch.body, batch.from = buf, s.batches
	}
	batch.body = openapi.AppendFrame(batch.body, u.digest, u.body)
	batch.inside = append(batch.inside, u.digest)
	batch.chunks++
	batch.encoded += u.encoded
	batch.plain += u.plain
	if u.base != "" { // there is one base in a push
		batch.base = u.base
		batch.deltas += u.deltas
		batch.delta += u.delta
	}
	u.from.put(u.body)
	return nil
}

// upload makes the requests.
func (s *sender) upload(ctx context.Context, in <-chan upload) error {
	for u := range in {
		got, err := s.put(ctx, u)
		if refusal(u, err) {
			s.refused.add(u)
			u.from.put(u.body)
			continue
		}
		if err != nil {
			return err
		}
		if u.base != "" {
			s.refused.taken()
		}
		u.from.put(u.body)
		s.uploaded.Add(int64(u.chunks))
		s.deltas.Add(int64(u.deltas))
		s.stored.Add(got.Stored)
		s.progress.Add(int64(u.plain))
	}
	return nil
}

func (s *sender) put(ctx context.Context, u upload) (openapi.Received, error) {
	attempt := func() {
		s.sent.Add(int64(u.encoded))
		s.sentDelta.Add(int64(u.delta))
	}
	if u.digest.IsZero() {
		return s.putBatch(ctx, s.id, u.base, u.body, attempt)
	}
	return s.putChunk(ctx, s.id, u.digest, u.base, u.body, attempt)
}
