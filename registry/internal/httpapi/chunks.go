package httpapi

import (
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/labstack/echo/v4"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/name"
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
	deltas, err := saysYes(c, "delta")
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
	out, release, err := a.outgoing(c, located, nil, versions.Wish{Deltas: deltas})
	if err != nil {
		return err
	}
	defer release()
	frames, err := out.frames(c.Request().Context(), 0)
	if err != nil {
		return err
	}
	defer closeFrames(frames)
	header.Set("ETag", tag)
	header.Set("Cache-Control", forever)
	header.Set("Ingot-Chunk", chunk.Digest.String())
	if len(frames) == 1 {
		a.stream(c, openapi.MediaChunk, frames[0].Length, func(w io.Writer) error { return copyChunk(w, frames[0]) })
	} else {
		a.stream(c, openapi.MediaChunks, lengthOf(frames), func(w io.Writer) error { return sendFrames(w, frames) })
	}
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

// stream announces a body of n bytes, unknown if that is negative, and lets write write
// it, to the connection itself so that files go there without a copy. A HEAD request has
// no body.
func (a *API) stream(c echo.Context, media string, n int64, write func(io.Writer) error) {
	c.Response().Header().Set("Content-Type", media)
	if n >= 0 {
		setLength(c, n)
		a.allow(c, n)
	}
	c.Response().WriteHeader(http.StatusOK)
	if c.Request().Method == http.MethodHead {
		return
	}
	if err := write(c.Response().Writer); err != nil {
		a.abort(c, err)
	}
	c.Response().Size = n
}

func copyChunk(w io.Writer, f versions.Frame) error {
	n, err := io.Copy(w, f.ReadCloser) // a file goes by itself
	if err == nil && n != f.Length {
		err = fmt.Errorf("%d bytes, want %d", n, f.Length)
	}
	if err != nil {
		return fmt.Errorf("send chunk %s: %w", f.Digest.Short(), err)
	}
	return nil
}

func (a *API) getChunks(c echo.Context) error {
	indexes, err := parseIndexes(c.QueryParam("i"), "i")
	if err != nil {
		return err
	}
	wish, held, err := a.wish(c, len(indexes))
	if err != nil {
		return err
	}
	located, err := a.locate(c, indexes)
	if err != nil {
		return err
	}
	out, release, err := a.outgoing(c, located, held, wish)
	if err != nil {
		return err
	}
	defer release()
	// What fails before the first byte can be told, so the first chunk is opened
	// ahead of it.
	ctx := c.Request().Context()
	first, err := out.frames(ctx, 0)
	if err != nil {
		return err
	}
	a.stream(c, openapi.MediaChunks, out.length(), func(w io.Writer) error { return out.send(ctx, w, first) })
	closeFrames(first)
	return nil
}

// wish reads what the caller understands, and which n chunks of another version it holds:
// as many as it asks for, or none.
func (a *API) wish(c echo.Context, n int) (w versions.Wish, held []versions.Located, err error) {
	if w.Deltas, err = saysYes(c, "delta"); err != nil {
		return w, nil, err
	}
	src, err := sourceOf(c, "have")
	if err != nil {
		return w, nil, err
	}
	h := c.QueryParam("h")
	if h == "" {
		return w, nil, nil
	}
	indexes, err := parseIndexes(h, "h")
	if err != nil || !w.Deltas || len(indexes) != n || src == (versions.Source{}) {
		return w, nil, err
	}
	held, err = a.held(c, src, indexes)
	return w, held, err
}

// held finds chunks that the caller says it has. Of a version that it may not read, or
// that lacks one of them, it has none.
func (a *API) held(c echo.Context, src versions.Source, indexes []uint32) ([]versions.Located, error) {
	repo, err := name.ParseRepo(src.Repo)
	if err != nil {
		return nil, badName(err)
	}
	r := c.Request()
	held, err := a.service.Chunks(r.Context(), a.principal(r), repo, src.Version, indexes)
	if errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) || errors.Is(err, &openapi.Error{Code: openapi.CodeUnavailable}) {
		return nil, nil
	}
	return held, err
}
