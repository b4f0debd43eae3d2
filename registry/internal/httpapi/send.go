package httpapi

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"github.com/labstack/echo/v4"
)

const mediaJSON = "application/json"

// answer writes v, or returns the error that came instead of it.
func answer[T any](c echo.Context, status int, v T, err error) error {
	if err != nil {
		return err
	}
	return sendJSON(c, status, v)
}

func sendJSON(c echo.Context, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	return send(c, status, mediaJSON, b)
}

// send writes a body that is in memory.
func send(c echo.Context, status int, media string, b []byte) error {
	setLength(c, int64(len(b)))
	return c.Blob(status, media, b)
}

// setLength announces a body of n bytes, and until when it has to be taken, unless its
// sender says otherwise.
func setLength(c echo.Context, n int64) {
	c.Response().Header().Set("Content-Length", strconv.FormatInt(n, 10))
	// It fails as in arm; net/http takes the deadline back when the answer is out.
	_ = http.NewResponseController(c.Response().Writer).SetWriteDeadline(time.Now().Add(patience + time.Duration(n/DefaultBodyRate)*time.Second))
}

// done answers a request that has nothing to return.
func done(c echo.Context, err error) error {
	if err != nil {
		return err
	}
	return c.NoContent(http.StatusNoContent)
}
