package agent_test

import (
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/catalog"
	"github.com/ingot-ml/ingot/registry/name"
)

var tiny = name.Repo{Namespace: "acme", Name: "tiny"}

// filesOf returns who reads files from a server that answers so.
func filesOf(t *testing.T, answer http.HandlerFunc) agent.Files {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	a, err := agent.New(server.URL, agent.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(a.Close)
	return a.Files()
}

// TestFiles reads a model as an agent shows it.
func TestFiles(t *testing.T) {
	const commit = "0123456789012345678901234567890123456789"
	f := filesOf(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.EscapedPath() {
		case "/api/models/acme/tiny/revision/a%2Fb":
			fmt.Fprintf(w, `{"sha":%q,"siblings":[{"rfilename":"d/ü%%.bin","size":10,"blobId":"x","lfs":{"sha256":"s"}},{"rfilename":"e","size":0,"blobId":"y"}]}`, commit)
		case "/acme/tiny/resolve/" + commit + "/d/%C3%BC%25.bin":
			http.ServeContent(w, r, "", time.Time{}, bytes.NewReader([]byte("0123456789")))
		}
	})
	r, err := f.Revision(t.Context(), tiny, "a/b")
	if err != nil || r.Commit != commit || len(r.Files) != 2 || r.Files[0].SHA256 != "s" || r.Files[1].SHA256 != "" || r.Files[1].ETag != "y" {
		t.Fatalf("%+v, %v", r, err)
	}
	content, err := f.Open(t.Context(), r, &r.Files[0])
	if err != nil {
		t.Fatal(err)
	}
	for _, span := range [][2]int64{{0, 10}, {3, 4}, {9, 1}, {5, 0}} {
		var got bytes.Buffer
		if err := content.Send(t.Context(), &got, span[0], span[1]); err != nil || got.String() != "0123456789"[span[0]:span[0]+span[1]] {
			t.Errorf("%v: %q, %v", span, got.String(), err)
		}
	}
}

// TestFilesHostile reads from what is no agent, or a broken one.
func TestFilesHostile(t *testing.T) {
	r := &catalog.Revision{Repo: tiny, Commit: "c", Files: []catalog.File{{Path: "a", Size: 10}}}
	for what, c := range map[string]struct {
		answer http.HandlerFunc
		want   error
	}{
		"the whole": {func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "0123456789") }, agent.ErrProtocol},
		"another range": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 1-10/11")
			w.WriteHeader(http.StatusPartialContent)
			fmt.Fprint(w, "0123456789")
		}, agent.ErrProtocol},
		"too little": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Range", "bytes 0-9/10")
			w.WriteHeader(http.StatusPartialContent)
			fmt.Fprint(w, "01234")
		}, agent.ErrLost},
		"no such file": {func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("X-Error-Code", "EntryNotFound")
			w.WriteHeader(http.StatusNotFound)
		}, &openapi.Error{Code: openapi.CodeNotFound}},
		"busy": {func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusServiceUnavailable) }, &openapi.Error{Code: openapi.CodeUnavailable}},
	} {
		f := filesOf(t, c.answer)
		content, err := f.Open(t.Context(), r, &r.Files[0])
		if err != nil {
			t.Fatal(err)
		}
		var got bytes.Buffer
		if err := content.Send(t.Context(), &got, 0, 10); !errors.Is(err, c.want) || got.Len() > 10 {
			t.Errorf("%s: %d bytes, %v; want %v", what, got.Len(), err, c.want)
		}
	}
	f := filesOf(t, func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "<html>") })
	if _, err := f.Revision(t.Context(), tiny, "main"); !errors.Is(err, agent.ErrProtocol) {
		t.Errorf("%v, want ErrProtocol", err)
	}
}
