package page

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"path"
	"strconv"
	"strings"

	"github.com/ingot-ml/ingot/openapi"
)

// media are the types of files that a page is made of.
var media = map[string]string{
	".html":  "text/html; charset=utf-8",
	".css":   "text/css; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".svg":   "image/svg+xml",
	".png":   "image/png",
	".woff2": "font/woff2",
	".txt":   "text/plain; charset=utf-8",
}

// file is a file as it is sent, plain or packed.
type file struct {
	media  string
	plain  []byte
	packed []byte // by gzip; nil where that is no shorter
	tag    string
}

func newFile(name string, b []byte) (*file, error) {
	m := media[path.Ext(name)]
	if m == "" {
		return nil, fmt.Errorf("%s: no media type for %q", name, path.Ext(name))
	}
	sum := sha256.Sum256(b)
	f := &file{media: m, plain: b, tag: `"` + hex.EncodeToString(sum[:]) + `"`}
	var packed bytes.Buffer
	z, err := gzip.NewWriterLevel(&packed, gzip.BestCompression)
	if err == nil {
		_, err = z.Write(b)
	}
	if err == nil {
		err = z.Close()
	}
	if err != nil {
		return nil, fmt.Errorf("pack %s: %w", name, err)
	}
	if packed.Len() < len(b) {
		f.packed = packed.Bytes()
	}
	return f, nil
}

func (f *file) serve(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header.Set("ETag", f.tag)
	header.Set("Vary", "Accept-Encoding")
	if strings.Contains(strings.Join(r.Header.Values("If-None-Match"), ","), f.tag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	b := f.plain
	if f.packed != nil && openapi.AcceptsGzip(r.Header.Get("Accept-Encoding")) {
		b = f.packed
		header.Set("Content-Encoding", "gzip")
	}
	header.Set("Content-Type", f.media)
	header.Set("Content-Length", strconv.Itoa(len(b)))
	_, _ = w.Write(b) // whoever asked may be gone
}

// refuse answers with an error as all of the registry's are.
func refuse(w http.ResponseWriter, e *openapi.Error) {
	b, err := json.Marshal(openapi.ErrorBody{Error: e})
	if err != nil {
		b = nil // it holds only text
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(e.Code.Status())
	_, _ = w.Write(b) // whoever asked may be gone
}
