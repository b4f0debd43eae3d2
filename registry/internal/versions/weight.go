package versions

import (
	"context"
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// Quota bounds what namespaces hold. It is asked for every request that brings chunks,
// and answers from memory. Errors are *openapi.Error. It is safe for concurrent use.
type Quota interface {
	// Take counts chunks that a push is about to store: plain bytes, and bytes as they
	// will lie. It fails where the namespace has no room for them.
	Take(ctx context.Context, p QuotaPush, plain, stored int64) error
	// Give counts back what was taken and not stored.
	Give(p QuotaPush, plain, stored int64)
	// Fits counts a version that a push is about to make readable, and fails where there
	// is no room for it. Committed, or Failed, says what became of it.
	Fits(ctx context.Context, p QuotaPush, size int64) error
	Committed(p QuotaPush)
	Failed(p QuotaPush)
}

// QuotaPush is a push as a Quota knows it.
type QuotaPush struct {
	Namespace string
	ID        string
	Uploads   bool // it brings a file that waits for a commit
}

func quotaPush(id string, rec *record.Push) QuotaPush {
	return QuotaPush{Namespace: rec.Namespace, ID: id, Uploads: rec.Repo().Reserved()}
}

// unlimited is the Quota of a Service that has none.
type unlimited struct{}

func (unlimited) Take(context.Context, QuotaPush, int64, int64) error { return nil }
func (unlimited) Give(QuotaPush, int64, int64)                        {}
func (unlimited) Fits(context.Context, QuotaPush, int64) error        { return nil }
func (unlimited) Committed(QuotaPush)                                 {}
func (unlimited) Failed(QuotaPush)                                    {}

// Weight is what the versions of a namespace hold, in bytes.
type Weight struct {
	Bytes   int64 // of the files of all versions, each as if it was stored alone
	Uploads int64 // of files that wait for a commit
	Stored  int64 // encoded, of what all of them need, each once
}

// maxScaled is how many places a Scale keeps: some 5 MB. Beyond that it reckons, right
// to one per cent or so.
const maxScaled = 1 << 17

// Scale weighs one namespace again and again. It remembers what it has weighed, so that
// the next time it reads only what is new; when a version is gone, or lies elsewhere,
// it begins again. It is for one goroutine at a time.
type Scale struct {
	service   *Service
	namespace string
	heads     map[string]scaled // by key; registers are never deleted
	weight    Weight
	places    tally
}

// scaled is a head that was looked at.
type scaled struct {
	version registers.Version
	counts  bool
}

// Scale returns one for a namespace. Who weighs is somebody whom nobody has to allow it.
func (s *Service) Scale(namespace string) *Scale {
	w := &Scale{service: s, namespace: namespace, places: newTally(maxScaled)}
	w.reset()
	return w
}

func (w *Scale) reset() {
	w.heads, w.weight = map[string]scaled{}, Weight{}
	w.places.reset()
}

// errStale reports a version that was weighed and is not what it was.
var errStale = errors.New("a version has changed")

// Weigh returns what the namespace holds now.
func (w *Scale) Weigh(ctx context.Context) (Weight, error) {
	err := w.look(ctx)
	if errors.Is(err, errStale) {
		w.reset()
		err = w.look(ctx)
	}
	if err != nil {
		w.reset()
		return Weight{}, fmt.Errorf("weigh %s: %w", w.namespace, err)
	}
	w.weight.Stored = w.places.bytes()
	return w.weight, nil
}

// look weighs what was not weighed before.
func (w *Scale) look(ctx context.Context) error {
	return w.service.book.Each(ctx, record.HeadPrefix+w.namespace+"/", "", func(e registers.Entry) (bool, error) {
		known, ok := w.heads[e.Key]
		switch {
		case ok && known.version == e.Version:
			return true, nil
		case known.counts:
			return false, errStale
		}
		return true, w.head(ctx, e.Key)
	})
}

// head weighs one version.
func (w *Scale) head(ctx context.Context, key string) error {
	repo, _, err := record.ParseHeadKey(key)
	if err != nil {
		return err
	}
	var h record.Head
	v, err := w.service.book.Load(ctx, key, &h)
	if err != nil {
		return err
	}
	if h.Readable() {
		if err := w.body(ctx, h.Body); err != nil {
			return err
		}
		if repo.Reserved() {
			w.weight.Uploads += h.Size
		} else {
			w.weight.Bytes += h.Size
		}
	}
	w.heads[key] = scaled{v, h.Readable()}
	return nil
}

// body adds where the chunks of a body lie. One that cannot be read weighs nothing:
// whoever asks for the version is told of the damage.
func (w *Scale) body(ctx context.Context, name string) error {
	b, err := w.service.loadBody(ctx, name)
	if errors.Is(err, errDamaged) || errors.Is(err, blobs.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	for at, n := range b.needs() {
		w.places.add(hashOf(at), n.bytes)
	}
	return nil
}
