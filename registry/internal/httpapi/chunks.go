package httpapi

import (
	"context"
	"fmt"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// forever is for chunks: what a digest names never changes. Who may read it may,
// so that shared caches have to ask.
const forever = "private, max-age=31536000, immutable"

func (a *API) getChunk(c echo.Context) error {
	index, err := parseIndex(c.Param("index"))
	if err != nil {
		return err
	}
	direct, err := saysYes(c, "direct")
	if err != nil {
		return err
	}
	located, err := a.locate(c, []uint32{index})
	if err != nil {
		return err
	}
	chunk, header := located[0], c.Response().Header()
	tag := entityTag(chunk.Digest)
	if has(c.Request(), tag) {
		header.Set("ETag", tag)
		header.Set("Cache-Control", forever)
		return c.NoContent(http.StatusNotModified)
	}
	if direct {
		if url, ok := a.elsewhere(c, chunk); ok {
			header.Set("Location", url)
			header.Set("Cache-Control", "no-store")
			header.Set("Ingot-Chunk", chunk.Digest.String())
			return c.NoContent(http.StatusTemporaryRedirect)
		}
	}
	r, err := a.service.OpenChunk(c.Request().Context(), chunk)
	if err != nil {
		return err
	}
	defer r.Close()
	header.Set("ETag", tag)
	header.Set("Cache-Control", forever)
	header.Set("Ingot-Chunk", chunk.Digest.String())
	a.stream(c, openapi.MediaChunk, chunk.Length, func(w io.Writer) error { return copyChunk(w, r, chunk) })
	return nil
}

// elsewhere returns where the caller can get the chunk, if anywhere. A store that
// gives no address now may still give the bytes. The address holds for GET alone,
// and is a secret that no log gets.
func (a *API) elsewhere(c echo.Context, chunk versions.Located) (url string, ok bool) {
	r := c.Request()
	if a.redirect == nil || r.Method != http.MethodGet {
		return "", false
	}
	url, ok, err := a.redirect(r.Context(), chunk)
	if err != nil {
		a.logger.WarnContext(r.Context(), "no address for a chunk, so its bytes are sent", "chunk", chunk.Digest.Short(), "error", err)
		return "", false
	}
	return url, ok
}

// locate finds chunks of the version that the path names.
func (a *API) locate(c echo.Context, indexes []uint32) ([]versions.Located, error) {
	repo, digest, err := versionOf(c)
	if err != nil {
		return nil, err
	}
	r := c.Request()
	located, err := a.service.Chunks(r.Context(), a.principal(r), repo, digest, indexes)
	if err == nil && len(located) != len(indexes) {
		err = fmt.Errorf("locate chunks: %d of %d found", len(located), len(indexes))
	}
	return located, err
}

// stream announces a body of n bytes and lets write write it, to the connection
// itself so that files go there without a copy. A HEAD request has no body.
func (a *API) stream(c echo.Context, media string, n int64, write func(io.Writer) error) {
	c.Response().Header().Set("Content-Type", media)
	setLength(c, n)
	c.Response().WriteHeader(http.StatusOK)
	if c.Request().Method == http.MethodHead {
		return
	}
	if err := write(c.Response().Writer); err != nil {
		a.abort(c, err)
	}
	c.Response().Size = n
}

func copyChunk(w io.Writer, r io.Reader, chunk versions.Located) error {
	n, err := io.Copy(w, r)
	if err == nil && n != chunk.Length {
		err = fmt.Errorf("%d bytes, want %d", n, chunk.Length)
	}
	if err != nil {
		return fmt.Errorf("send chunk %s: %w", chunk.Digest.Short(), err)
	}
	return nil
}

func (a *API) getChunks(c echo.Context) error {
	indexes, err := parseIndexes(c.QueryParam("i"))
	if err != nil {
		return err
	}
	located, err := a.locate(c, indexes)
	if err != nil {
		return err
	}
	length := int64(0)
	for _, chunk := range located {
		length += openapi.FrameHeader + chunk.Length
	}
	ctx := c.Request().Context()
	// What fails before the first byte can be told, so the first chunk is opened
	// ahead of it.
	first, err := a.service.OpenChunk(ctx, located[0])
	if err != nil {
		return err
	}
	defer first.Close()
	a.stream(c, openapi.MediaChunks, length, func(w io.Writer) error {
		if err := sendFrame(w, first, located[0]); err != nil {
			return err
		}
		return a.sendFrames(ctx, w, located[1:])
	})
	return nil
}

func (a *API) sendFrames(ctx context.Context, w io.Writer, located []versions.Located) error {
	for _, chunk := range located {
		r, err := a.service.OpenChunk(ctx, chunk)
		if err != nil {
			return err
		}
		err = sendFrame(w, r, chunk)
		_ = r.Close() // it was only read
		if err != nil {
			return err
		}
	}
	return nil
}

func sendFrame(w io.Writer, r io.Reader, chunk versions.Located) error {
	header := openapi.AppendFrameHeader(nil, chunk.Digest, int(chunk.Length))
	if _, err := w.Write(header); err != nil {
		return fmt.Errorf("send chunk %s: %w", chunk.Digest.Short(), err)
	}
	return copyChunk(w, r, chunk)
}
