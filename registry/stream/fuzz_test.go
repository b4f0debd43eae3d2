package stream_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/ingot-ml/ingot/registry/stream"
)

// FuzzServe asks for anything: whatever is sent is what the answer says that it is.
func FuzzServe(f *testing.F) {
	for _, seed := range [][2]string{{"bytes=0-0", ""}, {"bytes=-500", ""}, {"bytes=70000-", `"e"`}, {"bytes=5-1", ""}, {"bytes=0-1,3-4", ""}, {"bytes=18446744073709551615-", "*"}, {"lines=1-2", `W/"e", "x"`}, {"", `"e"`}} {
		f.Add(seed[0], seed[1])
	}
	c, file, whole := world(f)
	f.Fuzz(func(t *testing.T, ranges, match string) {
		r := httptest.NewRequest(http.MethodGet, "/", nil)
		r.Header.Set("Range", ranges)
		r.Header.Set("If-None-Match", match)
		w := httptest.NewRecorder()
		w.Header().Set("ETag", `"e"`)
		w.Header().Set("Content-Type", "application/octet-stream")
		stream.Serve(w, r, stream.Chunked(c.m, file, c, stream.NewAhead(1<<20, 2)), func(err error) { t.Error(err) })
		want, first, last, size := whole, 0, 0, 0
		switch w.Code {
		case http.StatusOK:
		case http.StatusPartialContent:
			if _, err := fmt.Sscanf(w.Header().Get("Content-Range"), "bytes %d-%d/%d", &first, &last, &size); err != nil || size != len(whole) {
				t.Fatalf("%q: range %q: %v", ranges, w.Header().Get("Content-Range"), err)
			}
			want = whole[first : last+1]
		case http.StatusNotModified:
			want = nil
		case http.StatusRequestedRangeNotSatisfiable:
			return
		default:
			t.Fatalf("%q, %q: %d", ranges, match, w.Code)
		}
		if !bytes.Equal(w.Body.Bytes(), want) {
			t.Errorf("%q, %q: %d bytes that are not those of %d", ranges, match, w.Body.Len(), w.Code)
		}
	})
}
