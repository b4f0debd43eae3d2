package versions

import (
	"context"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/deltas"
	"github.com/ingot-ml/ingot/registry/internal/placement"
)

// rebase finds places for open chunks of which the store tells only that they are deltas:
// where their bases lie by the rules of step P1, in versions of the namespace. A delta
// whose base is found nowhere, or needs too many bases itself, is missing.
func (q *search) rebase(ctx context.Context) error {
	var lost []int
	var bases []chunker.Digest
	for _, i := range open(q.places) {
		if f, ok := q.upload.get(q.digests[i]); ok {
			q.places[i] = f
		} else if f, ok := q.upload.baseless(q.digests[i]); ok {
			lost = append(lost, i)
			bases = append(bases, f.base)
		}
	}
	if len(bases) == 0 {
		return nil
	}
	at, err := q.inNamespace(ctx, bases)
	if err != nil {
		return err
	}
	for n, i := range lost {
		base, ok := at[bases[n]]
		f, still := q.upload.baseless(q.digests[i])
		if ok && still && f.base == bases[n] {
			f.entry.Closure, f.base = closureOn(base, f.entry.Length), chunker.Digest{}
			q.upload.put(q.digests[i], f)
			q.places[i] = f
		}
	}
	return nil
}

// inNamespace returns where bases lie.
func (q *search) inNamespace(ctx context.Context, bases []chunker.Digest) (map[chunker.Digest]placement.Entry, error) {
	sub := *q
	sub.digests, sub.places, sub.near = bases, make([]found, len(bases)), true
	if err := sub.inVersions(ctx); err != nil {
		return nil, err
	}
	at := map[chunker.Digest]placement.Entry{}
	for i, f := range sub.places {
		if f.plain != 0 && len(f.entry.Closure) < deltas.MaxDepth {
			at[bases[i]] = f.entry
		}
	}
	return at, nil
}

// closureOn returns the closure of a delta of that many bytes whose base lies there. What
// others have spent on it is not known.
func closureOn(base placement.Entry, size uint32) []placement.Entry {
	chain := deltas.ChainOf(&base)
	return chain.Closure(0, int(size))
}
