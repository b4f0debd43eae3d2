package cas_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/registry/hub"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/cas"
	"github.com/ingot-ml/ingot/registry/internal/commits"
	"github.com/ingot-ml/ingot/registry/internal/xet"
)

// pair is a range in a plan.
type pair struct{ Start, End int64 }

// plan is how a client reads that of version 2.
type plan struct {
	Offset int64 `json:"offset_into_first_range"`
	Terms  []struct {
		Hash  string
		Size  int64 `json:"unpacked_length"`
		Range pair
	}
	Xorbs map[string][]struct {
		URL    string
		Ranges []struct{ Chunks, Bytes pair }
	}
	Infos map[string][]struct {
		URL   string
		Range pair
		Bytes pair `json:"url_range"`
	} `json:"fetch_info"`
}

// publish makes a commit of one file, and returns it.
func (w *world) publish(content []byte) (commit string) {
	w.t.Helper()
	commit, _, err := w.commits.Commit(w.t.Context(), alice, model, commits.Change{Create: true, Ops: []commits.Op{{
		Kind: commits.AddInline, Path: "weights.bin", Content: bytes.NewReader(content), Size: int64(len(content)), SHA256: sumOf(content),
	}}})
	if err != nil {
		w.t.Fatal(err)
	}
	return commit
}

// plan asks how a file is made.
func (w *world) plan(a hub.Access, version string, content []byte, ranges string) (p plan) {
	w.t.Helper()
	resp, got := w.ask("GET", a.URL+"/"+version+"/reconstructions/"+sumOf(content), a.Token, ranges, nil)
	if resp.StatusCode != http.StatusOK {
		w.t.Fatalf("%s: %d %s", ranges, resp.StatusCode, got)
	}
	if err := json.Unmarshal(got, &p); err != nil {
		w.t.Fatal(err)
	}
	return p
}

// fetch does what a client does with a plan: each term is fetched, and unpacked.
func (w *world) fetch(p plan) (all []byte) {
	w.t.Helper()
	for _, term := range p.Terms {
		from := p.Xorbs[term.Hash][0]
		if from.Ranges[0].Chunks != term.Range {
			w.t.Fatalf("chunks %v of %v", from.Ranges[0].Chunks, term.Range)
		}
		b := from.Ranges[0].Bytes
		resp, got := w.ask("GET", from.URL, "", fmt.Sprintf("bytes=%d-%d", b.Start, b.End), nil)
		if resp.StatusCode != http.StatusPartialContent || int64(len(got)) != b.End-b.Start+1 {
			w.t.Fatalf("%s: %d, %d bytes", from.URL, resp.StatusCode, len(got))
		}
		all = append(all, w.unpack(got, term.Range.End-term.Range.Start, term.Size)...)
	}
	return all
}

func (w *world) unpack(b []byte, chunks, size int64) (all []byte) {
	w.t.Helper()
	r := xet.NewReader(bytes.NewReader(b))
	for {
		plain, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			w.t.Fatal(err)
		}
		all = append(all, plain...)
		chunks--
	}
	if chunks != 0 || int64(len(all)) != size {
		w.t.Fatalf("%d chunks are missing, %d bytes of %d", chunks, len(all), size)
	}
	return all
}

// content makes bytes that are quickly stored.
func content(n int) []byte {
	b := bytes.Repeat([]byte("0123456789abcdefghijklmnopqrstuvwxyz"), n/36+1)[:n]
	copy(b[n/2:], noise(3, min(n/2, 100_000)))
	return b
}

// TestFetch fetches a file of two rows, and ranges of it.
func TestFetch(t *testing.T) {
	w := newWorld(t)
	want := content(xet.RowPlain + 3*xet.MaxChunk + 77)
	a := w.grant(alice, model, w.publish(want), false)
	p := w.plan(a, "v2", want, "")
	if got := w.fetch(p); len(p.Terms) != 2 || p.Offset != 0 || !bytes.Equal(got, want) {
		t.Fatalf("%d terms, %d bytes", len(p.Terms), len(got))
	}
	size := int64(len(want))
	for _, r := range [][2]int64{
		{0, 0}, {5, 5}, {xet.MaxChunk - 1, xet.MaxChunk}, {xet.RowPlain - 1, xet.RowPlain},
		{xet.RowPlain, xet.RowPlain}, {size - 1, size - 1}, {size - 100, 1 << 61},
	} {
		p := w.plan(a, "v2", want, fmt.Sprintf("bytes=%d-%d", r[0], r[1]))
		got, end := w.fetch(p)[p.Offset:], min(r[1], size-1)+1
		if int64(len(got)) < end-r[0] || !bytes.Equal(got[:end-r[0]], want[r[0]:end]) {
			t.Errorf("bytes %d to %d are others", r[0], end)
		}
		if over := int64(len(got)) - (end - r[0]); over >= xet.MaxChunk {
			t.Errorf("bytes %d to %d: %d bytes too many", r[0], end, over)
		}
	}
	w.plan(a, "v2", want, fmt.Sprintf("bytes=0-%d", uint64(1<<64-2)))
	first := w.plan(a, "v1", want, "bytes=0-1")
	info := first.Infos[first.Terms[0].Hash][0]
	if _, got := w.ask("GET", info.URL, "", fmt.Sprintf("bytes=%d-%d", info.Bytes.Start, info.Bytes.End), nil); len(got) != xet.MaxChunk+8 {
		t.Errorf("%d bytes by version 1", len(got))
	}
}

// TestFetchRefuses are mistakes of clients, and what is not there.
func TestFetchRefuses(t *testing.T) {
	w := newWorld(t)
	want := content(1000)
	commit := w.publish(want)
	a := w.grant(alice, model, commit, false)
	url := a.URL + "/v2/reconstructions/" + sumOf(want)
	for ranges, status := range map[string]int{
		"bytes=1000-1001": http.StatusRequestedRangeNotSatisfiable,
		"bytes=5-4":       http.StatusBadRequest,
		"bytes=-5":        http.StatusBadRequest,
		"bytes=x-y":       http.StatusBadRequest,
		"5":               http.StatusBadRequest,
	} {
		if resp, got := w.ask("GET", url, a.Token, ranges, nil); resp.StatusCode != status {
			t.Errorf("%s: %d %s", ranges, resp.StatusCode, got)
		}
	}
	w.want(http.StatusNotFound, "GET", a.URL+"/v2/reconstructions/"+sumOf([]byte("another")), a.Token, nil)
	w.want(http.StatusBadRequest, "GET", a.URL+"/v2/reconstructions/x", a.Token, nil)
	row := w.plan(a, "v2", want, "")
	at := row.Xorbs[row.Terms[0].Hash][0].URL
	w.want(http.StatusNotFound, "GET", strings.Replace(at, "rows/0", "rows/1", 1), "", nil)
	w.want(http.StatusNotFound, "GET", strings.Replace(at, "rows/0", "rows/x", 1), "", nil)
	w.want(http.StatusForbidden, "GET", at+"x", "", nil)
	w.want(http.StatusForbidden, "GET", strings.Split(at, "?")[0], "", nil)
	w.want(http.StatusForbidden, "GET", strings.Split(at, "?")[0]+"?grant="+a.Token, "", nil)
	w.want(http.StatusOK, "HEAD", at, "", nil)
	w.now = w.now.Add(2 * time.Hour)
	w.want(http.StatusForbidden, "GET", at, "", nil)
	w.config.WriteOnly = true
	w.start()
	a = w.grant(alice, model, commit, false)
	w.want(http.StatusNotFound, "GET", a.URL+"/v2/reconstructions/"+sumOf(want), a.Token, nil)
}

// TestTokens are wrong, or for something else.
func TestTokens(t *testing.T) {
	w := newWorld(t)
	x := makeXorb(chunksOf(1, 1)...)
	reads, writes := w.grant(alice, model, "", false), w.grant(alice, model, "", true)
	url := writes.URL + "/v1/xorbs/default/" + x.hash.String()
	w.want(http.StatusUnauthorized, "POST", url, "", x.body)
	w.want(http.StatusUnauthorized, "POST", url, writes.Token+"x", x.body)
	w.want(http.StatusForbidden, "POST", url, reads.Token, x.body)
	w.want(http.StatusForbidden, "POST", reads.URL+"/v2/shards", reads.Token, makeShard(nil))
	w.want(http.StatusMethodNotAllowed, "PUT", url, writes.Token, x.body)
	w.want(http.StatusNotFound, "GET", writes.URL+"/v1/nothing", writes.Token, nil)
	w.want(http.StatusNotFound, "GET", w.server.URL+"/xet/", writes.Token, nil)
	w.now = w.now.Add(2 * time.Hour)
	w.want(http.StatusUnauthorized, "POST", url, writes.Token, x.body)
	ctx := access.NewContext(t.Context(), bob)
	for _, write := range []bool{false, true} {
		if _, err := w.service.Grant(ctx, w.server.URL, secret, "", write); err == nil {
			t.Error("bob has a token for a model that he does not know of")
		}
	}
}

func TestOwns(t *testing.T) {
	w := newWorld(t)
	url := strings.TrimPrefix(w.grant(alice, model, "", true).URL, w.server.URL)
	for path, want := range map[string]bool{
		url + "/v1/xorbs/default/x":                 true,
		url + "/v2/shards":                          true,
		"/xet/model/resolve/main/config.json":       false,
		"/xet/0123456789abcdef/resolve/main/v1/a":   false,
		"/xet/v1.git/info/lfs/objects/batch":        false,
		"/api/models/xet/v1/xet-write-token/main":   false,
		"/acme/xet/0123456789abcdef/v1/xorbs/a/b":   false,
		"/xet/0123456789abcdef0/v1/reconstructions": false,
	} {
		if cas.Owns(path) != want {
			t.Errorf("%s: %v", path, !want)
		}
	}
}
