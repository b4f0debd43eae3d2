package cas

import (
	"bufio"
	"errors"
	"io"
	"net/http"

	"github.com/ingot-ml/ingot/registry/internal/ingest"
	"github.com/ingot-ml/ingot/registry/internal/xet"
	"github.com/ingot-ml/ingot/registry/stream"
)

// body returns the body of the request, of at most limit bytes.
func (c *call) body(limit int64) io.Reader {
	n := c.r.ContentLength
	if n < 0 || n > limit {
		n = limit
	}
	return http.MaxBytesReader(c.w, io.NopCloser(stream.Body(c.w, c.r, n)), limit)
}

// postXorb takes a xorb, whose chunks a shard will speak of.
func (c *call) postXorb(text string) error {
	hash, err := xet.ParseHash(text)
	if err != nil {
		return err
	}
	if err := c.writes(); err != nil {
		return err
	}
	key := poolKey{senderKey(c.asks.Subject, c.repo.Namespace), hash}
	body := c.body(xet.MaxXorb)
	if c.pool.has(key) {
		if _, err := io.Copy(io.Discard, body); err != nil {
			return c.came(err)
		}
		return c.answer(http.StatusOK, map[string]bool{"was_inserted": false})
	}
	if err := c.xorbs.Acquire(c.r.Context(), 1); err != nil {
		return err
	}
	defer c.xorbs.Release(1)
	if err := c.receive(key, body); err != nil {
		return c.came(err)
	}
	if c.Replicas && c.Address == "" {
		if err := c.share(key); err != nil {
			return err
		}
	}
	return c.answer(http.StatusOK, map[string]bool{"was_inserted": true})
}

// receive keeps a xorb if it has the name that it was sent under.
func (c *call) receive(key poolKey, body io.Reader) error {
	a, err := c.pool.begin()
	if err != nil {
		return err
	}
	defer a.abort()
	r := xet.NewReader(bufio.NewReaderSize(body, xet.MaxChunk))
	for {
		plain, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err == nil {
			err = a.add(plain)
		}
		if err != nil {
			return err
		}
	}
	if got := r.Hash(); got != key.hash || a.plain == 0 {
		return &failure{http.StatusBadRequest, "the chunks make xorb " + got.String() + ", not " + key.hash.String() + ": nothing is kept"}
	}
	return a.commit(key)
}

// share makes a xorb a file of the registry, so that every replica can take the shard
// that names it. As an upload that nobody commits it goes after some days.
func (c *call) share(key poolKey) error {
	ctx := c.r.Context()
	f, err := c.pool.open(key)
	if err != nil || f == nil { // or a replica shares it just now
		return err
	}
	size := int64(f.ends[len(f.ends)-1])
	o, err := c.Files.Receive(ctx, c.asks, c.repo, io.NewSectionReader(f.file, 0, size), "", ingest.Want{Size: size})
	if err == nil {
		_, err = c.note(ctx, c.repo.Namespace, key.hash, f.ends, []place{{c.repo.String(), o.SHA256, 0, 0, uint32(len(f.ends))}})
	}
	if err == nil {
		err = c.pool.keep(key)
	}
	return errors.Join(err, f.Close())
}

// came explains why a body did not come.
func (c *call) came(err error) error {
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return &failure{http.StatusRequestEntityTooLarge, "the body is longer than any of its kind"}
	}
	return err
}
