package nodeapi

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/ingot-ml/ingot/openapi"
)

const mediaJSON = "application/json"

// bodyTime is how long a request body may take to come in.
const bodyTime = 30 * time.Second

// receive reads a JSON body.
//
// The type is insisted on because a page in a browser can send bodies of the
// simple types to a node on the same machine without asking anybody.
func receive[T any](w http.ResponseWriter, r *http.Request) (v T, err error) {
	if got, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || got != mediaJSON {
		return v, openapi.Errorf(openapi.CodeBadRequest, "Content-Type %.80q, want %s", r.Header.Get("Content-Type"), mediaJSON)
	}
	conn := http.NewResponseController(w)
	// It fails for a writer without connection, as in tests, which has no slow
	// clients either.
	_ = conn.SetReadDeadline(time.Now().Add(bodyTime))
	b, err := io.ReadAll(http.MaxBytesReader(w, r.Body, openapi.MaxJSON))
	// The connection is watched while the request is worked on: the deadline would
	// end that work.
	_ = conn.SetReadDeadline(time.Time{})
	if _, large := errors.AsType[*http.MaxBytesError](err); large {
		return v, openapi.Errorf(openapi.CodeTooLarge, "the body has more than %d bytes", openapi.MaxJSON)
	}
	if errors.Is(err, os.ErrDeadlineExceeded) {
		return v, openapi.Errorf(openapi.CodeBusy, "the body did not come in within %v", bodyTime)
	}
	if err != nil {
		return v, openapi.Errorf(openapi.CodeBadRequest, "the body broke off: %v", err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		return v, openapi.Errorf(openapi.CodeBadRequest, "the body is not what is asked for: %.200s", err)
	}
	return v, nil
}

// answer writes v, or returns the error that came instead of it.
func answer[T any](w http.ResponseWriter, v T, err error) error {
	if err != nil {
		return err
	}
	return sendJSON(w, http.StatusOK, v)
}

func sendJSON(w http.ResponseWriter, status int, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("write answer: %w", err)
	}
	send(w, status, mediaJSON, b)
	return nil
}

// send writes a body that is in memory. A client that does not take it is gone,
// or cut off.
func send(w http.ResponseWriter, status int, media string, b []byte) {
	w.Header().Set("Content-Type", media)
	w.Header().Set("Content-Length", strconv.Itoa(len(b)))
	// It fails as in receive; net/http takes the deadline back when the answer is out.
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Minute))
	w.WriteHeader(status)
	_, _ = w.Write(b) // as said above
}
