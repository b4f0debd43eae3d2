package versions

import (
	"bytes"
	"context"
	"errors"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/deltas"
	"github.com/ingot-ml/ingot/registry/internal/record"
)

// intake verifies the chunks of one request of a push, and decides how they are stored.
type intake struct {
	*Service
	principal access.Principal
	rec       *record.Push
	upload    *upload
	src       Source // the version that deltas are of; zero for none
}

func (s *Service) intake(ctx context.Context, p access.Principal, id string, src Source) (*intake, error) {
	rec, u, err := s.takingPush(ctx, p, id)
	return &intake{s, p, rec, u, src}, err
}

// store stores verified chunks, and adds what that brought.
func (n *intake) store(ctx context.Context, chunks []verified, got *openapi.Received) error {
	return n.within(ctx, chunks, func() (int64, error) {
		more, err := n.putFresh(ctx, n.rec.Attempt, n.upload, chunks)
		got.New += more.New
		got.Stored += more.Stored
		return more.Stored, err
	})
}

// within stores chunks as far as the namespace has room for them. put returns how many
// bytes it has stored.
func (n *intake) within(ctx context.Context, chunks []verified, put func() (int64, error)) error {
	push := quotaPush(n.upload.id, n.rec)
	var plain, encoded int64
	for i := range chunks {
		plain += int64(chunks[i].plain)
		encoded += int64(len(chunks[i].Bytes))
	}
	if err := n.Quota.Take(ctx, push, plain, encoded); err != nil {
		return err
	}
	stored, err := put()
	if err != nil {
		n.Quota.Give(push, plain, encoded)
	} else if stored < encoded { // some were there already
		n.Quota.Give(push, 0, encoded-stored)
	}
	return err
}

// verify decodes a chunk. A whole one is stored as it came, a delta in the form that its
// placement says is best.
func (n *intake) verify(ctx context.Context, e Encoded) (verified, error) {
	base, err := baseOf(e.Bytes)
	if err != nil || base.IsZero() {
		v, err := e.verify()
		return counted(v, err, &n.counters.receivedWhole)
	}
	v, err := n.delta(ctx, e, base)
	if errors.Is(err, errNoBase) {
		err = openapi.Errorf(openapi.CodeNoBase, "chunk %s: the chunk that it is a delta of cannot be used: send the chunks whole", e.Digest.Short())
	}
	return counted(v, err, &n.counters.receivedDelta)
}

// errNoBase reports a delta whose base is not there, or not for who sends it, or that
// there is no time for. Callers are told these alike.
var errNoBase = errors.New("no base")

// delta verifies a delta and encodes it as it is to be stored.
func (n *intake) delta(ctx context.Context, e Encoded, base chunker.Digest) (verified, error) {
	b, i, err := n.find(ctx, e, base)
	if err != nil {
		return verified{}, err
	}
	desk, err := n.desks.Take(ctx)
	if err != nil {
		return verified{}, err
	}
	defer n.desks.Return(desk)
	if err := n.openBase(ctx, desk, deltas.ChainOf(&b.entries[i]), base); err != nil {
		return verified{}, err
	}
	plain, err := desk.Decode(e.Bytes)
	if err != nil {
		return verified{}, badChunk(e.Digest, "%v", err)
	}
	v, err := e.named(plain, base)
	if err != nil {
		return verified{}, err
	}
	n.recent.Put(deltas.Pair{Chunk: e.Digest, Base: base, Namespace: n.rec.Namespace}, e.Bytes)
	if n.foreign(n.src) || n.upload.absent(&b.entries[i]) {
		v.take(desk.Whole(plain, b.types[i]))
	} else {
		v.take(desk.Encode(plain, b.types[i], e.Bytes))
	}
	return v, nil
}

// find returns the body that has the base of a delta, and where in its table. What the
// delta will cost is spent then.
func (n *intake) find(ctx context.Context, e Encoded, base chunker.Digest) (b *body, i int, err error) {
	size, err := codec.PlainLen(e.Bytes)
	if err != nil {
		return nil, 0, badChunk(e.Digest, "%v", err)
	}
	if b, err = n.body(ctx); err != nil {
		return nil, 0, err
	}
	i, ok := b.find(base)
	if !ok {
		return nil, 0, errNoBase
	}
	bases := len(b.entries[i].Closure)
	if !n.budget.Take(n.principal.Subject, deltas.CostOf(size, bases+2, min(bases+1, 2))) {
		n.counters.unaffordable.Add(1)
		return nil, 0, errNoBase
	}
	return b, i, nil
}

// take has the chunk stored in that form, whose bytes are lent.
func (v *verified) take(f deltas.Form) {
	if &f.Bytes[0] != &v.Bytes[0] {
		v.Bytes = bytes.Clone(f.Bytes)
	}
	v.base, v.closure = f.Base, f.Closure
}

// body returns the body of the version that deltas are of, by the rules of step P1.
func (n *intake) body(ctx context.Context) (*body, error) {
	if n.src == (Source{}) {
		return nil, errNoBase
	}
	q := newSearch(n.Service, n.principal, n.rec, n.upload, nil)
	q.most = 2 * maxSources // one that is named is looked at beside those that are hinted
	b, err := q.judge(ctx, n.src)
	if err == nil && b == nil {
		err = errNoBase
	}
	return b, err
}

func (n *intake) foreign(src Source) bool { return (&search{repo: n.rec.Repo()}).foreign(src) }

// openBase reads a base. One that is gone or damaged is none.
func (n *intake) openBase(ctx context.Context, desk *deltas.Desk, chain deltas.Chain, base chunker.Digest) error {
	err := desk.Open(ctx, n.Blobs, chain, base)
	switch {
	case errors.Is(err, blobs.ErrNotFound):
		return errNoBase
	case errors.Is(err, codec.ErrCorrupt), errors.Is(err, codec.ErrBase), errors.Is(err, codec.ErrUnsupported):
		n.Logger.ErrorContext(ctx, "a stored chunk is damaged: deltas of it are refused", "repo", n.src.Repo, "version", n.src.Version.Short(), "error", err)
		return errNoBase
	}
	return err
}
