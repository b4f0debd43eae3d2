package httpapi

import (
	"errors"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

func (a *API) putChunk(c echo.Context) error {
	id, err := pushOf(c)
	if err != nil {
		return err
	}
	digest, err := digestOf(c)
	if err != nil {
		return err
	}
	base, err := sourceOf(c, "base")
	if err != nil {
		return err
	}
	n, err := checkBody(c.Request(), openapi.MediaChunk, int64(maxEncoded))
	if err != nil {
		return err
	}
	// The encoded and the plain bytes, each in a buffer for the longest chunk.
	release, err := a.reserve(c.Request().Context(), 2*int64(maxEncoded))
	if err != nil {
		return err
	}
	defer release()
	buf := a.buffers.Get().(*[]byte)
	defer a.buffers.Put(buf)
	enc := (*buf)[:n]
	if err := a.fill(c, enc); err != nil {
		return err
	}
	r := c.Request()
	received, err := a.service.PutDelta(r.Context(), a.principal(r), id, digest, enc, base)
	return answer(c, created(received.New > 0), received, err)
}

func (a *API) putChunks(c echo.Context) error {
	id, err := pushOf(c)
	if err != nil {
		return err
	}
	base, err := sourceOf(c, "base")
	if err != nil {
		return err
	}
	n, err := checkBody(c.Request(), openapi.MediaChunks, openapi.MaxBatch)
	if err != nil {
		return err
	}
	// The body, and the plain bytes of one chunk after the other.
	need := n + chunker.MaxSize
	if base != (versions.Source{}) {
		need += versions.MaxRemade
	}
	release, err := a.reserve(c.Request().Context(), need)
	if err != nil {
		return err
	}
	defer release()
	var chunks []versions.Encoded
	err = a.receive(c, n, func(r io.Reader) (err error) {
		chunks, err = readBatch(r, n)
		return err
	})
	if err != nil {
		return err
	}
	r := c.Request()
	received, err := a.service.PutDeltas(r.Context(), a.principal(r), id, chunks, base)
	return answer(c, http.StatusOK, received, err)
}

// readBatch reads the frames of a body of n bytes into one buffer. It is not a
// pooled one, which would be longer than most bodies have reserved memory for.
func readBatch(r io.Reader, n int64) ([]versions.Encoded, error) {
	frames, free := openapi.NewFrameReader(r, maxEncoded), make([]byte, n)
	var chunks []versions.Encoded
	for {
		digest, enc, err := frames.Next(free[:0])
		switch {
		case errors.Is(err, io.EOF):
			return chunks, nil
		case errors.Is(err, openapi.ErrFrame):
			return nil, openapi.Errorf(openapi.CodeBadRequest, "chunk %d of the batch: %v", len(chunks), err)
		case err != nil:
			return nil, err
		case len(chunks) == openapi.MaxBatchChunks:
			return nil, openapi.Errorf(openapi.CodeTooLarge, "batch of more than %d chunks", openapi.MaxBatchChunks)
		}
		chunks = append(chunks, versions.Encoded{Digest: digest, Bytes: enc})
		free = free[min(len(enc), len(free)):]
	}
}
