package client_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// fake is a registry in memory that can be made to fail and to lie.
type fake struct {
	t *testing.T
	*httptest.Server
	// front is asked about every request first; true means that it has answered. While
	// requests are under way it is changed by ahead.
	front func(w http.ResponseWriter, q *http.Request) bool

	mu        sync.Mutex // protects the fields below, and front
	chunks    map[chunker.Digest][]byte
	manifests map[chunker.Digest][]byte
	tags      map[string]openapi.Tag
	pushes    map[string]*openapi.Push
	asked     map[string]int // requests by method and last word of the route
	committed []string       // ids of pushes, once for each commit
	deltas    deltas
}

func newFake(t *testing.T) *fake {
	t.Helper()
	f := &fake{
		t: t, chunks: map[chunker.Digest][]byte{}, manifests: map[chunker.Digest][]byte{},
		tags: map[string]openapi.Tag{}, pushes: map[string]*openapi.Push{}, asked: map[string]int{},
	}
	mux := http.NewServeMux()
	for pattern, handle := range map[string]func(w http.ResponseWriter, q *http.Request) error{
		"GET /healthz":                                   f.health,
		"GET /v1/repos/{ns}/{m}/tags":                    f.listTags,
		"GET /v1/repos/{ns}/{m}/tags/{tag}":              f.getTag,
		"GET /v1/repos/{ns}/{m}/versions":                f.listVersions,
		"GET /v1/repos/{ns}/{m}/versions/{d}":            f.getManifest,
		"GET /v1/repos/{ns}/{m}/versions/{d}/chunks/{i}": f.getChunk,
		"GET /v1/repos/{ns}/{m}/versions/{d}/chunks":     f.getChunks,
		"POST /v1/repos/{ns}/{m}/pushes":                 f.startPush,
		"GET /v1/pushes/{p}":                             f.getPush,
		"POST /v1/pushes/{p}/missing":                    f.missing,
		"PUT /v1/pushes/{p}/chunks/{d}":                  f.putChunk,
		"POST /v1/pushes/{p}/chunks":                     f.putChunks,
		"POST /v1/pushes/{p}/commit":                     f.commit,
	} {
		mux.HandleFunc(pattern, func(w http.ResponseWriter, q *http.Request) {
			f.count(pattern)
			if err := handle(w, q); err != nil {
				fail(w, err)
			}
		})
	}
	f.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		f.mu.Lock()
		front := f.front
		f.mu.Unlock()
		if front == nil || !front(w, q) {
			mux.ServeHTTP(w, q)
		}
	}))
	t.Cleanup(f.Close)
	return f
}

// ahead sets front, also behind requests that nobody waits for any more.
func (f *fake) ahead(front func(w http.ResponseWriter, q *http.Request) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.front = front
}

// client returns a client of f that is not patient.
func (f *fake) client() *client.Registry {
	f.t.Helper()
	return dial(f.t, f.URL, client.Options{Patience: 2 * time.Second})
}

func dial(t *testing.T, base string, o client.Options) *client.Registry {
	t.Helper()
	r, err := client.New(base, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func (f *fake) count(pattern string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked[pattern]++
}

// requests returns how many requests of a pattern came since the last call.
func (f *fake) requests(pattern string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	n := f.asked[pattern]
	f.asked[pattern] = 0
	return n
}

func fail(w http.ResponseWriter, err error) {
	e, ok := err.(*openapi.Error)
	if !ok {
		e = openapi.Errorf(openapi.CodeInternal, "%v", err)
	}
	w.WriteHeader(e.Code.Status())
	answer(w, openapi.ErrorBody{Error: e})
}

func answer(w http.ResponseWriter, v any) { _ = json.NewEncoder(w).Encode(v) }

func (f *fake) health(w http.ResponseWriter, _ *http.Request) error {
	answer(w, openapi.Health{Status: "ok", Version: "fake"})
	return nil
}

func (f *fake) listTags(w http.ResponseWriter, q *http.Request) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	prefix := q.PathValue("ns") + "/" + q.PathValue("m") + ":"
	page := openapi.TagList{Tags: []openapi.Tag{}}
	for i := range 5 { // pages of two, whatever the limit
		name := fmt.Sprintf("tag%d", i)
		if tag, ok := f.tags[prefix+name]; ok && name > q.FormValue("after") {
			if len(page.Tags) == 2 {
				page.Next = page.Tags[1].Name
				break
			}
			page.Tags = append(page.Tags, tag)
		}
	}
	answer(w, page)
	return nil
}

func (f *fake) getTag(w http.ResponseWriter, q *http.Request) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	tag, ok := f.tags[q.PathValue("ns")+"/"+q.PathValue("m")+":"+q.PathValue("tag")]
	if !ok {
		return openapi.Errorf(openapi.CodeNotFound, "no tag %s", q.PathValue("tag"))
	}
	answer(w, tag)
	return nil
}

// listVersions answers with all of them, of whatever repository.
func (f *fake) listVersions(w http.ResponseWriter, _ *http.Request) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	page := openapi.VersionList{Versions: []openapi.VersionInfo{}}
	for d := range f.manifests {
		page.Versions = append(page.Versions, openapi.VersionInfo{Digest: d})
	}
	answer(w, page)
	return nil
}

// version returns the document that a path names.
func (f *fake) version(q *http.Request) ([]byte, error) {
	d, err := chunker.ParseDigest(q.PathValue("d"))
	if err != nil {
		return nil, openapi.Errorf(openapi.CodeBadName, "%v", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	doc, ok := f.manifests[d]
	if !ok {
		return nil, openapi.Errorf(openapi.CodeNotFound, "no version %s", d)
	}
	return doc, nil
}

func (f *fake) getManifest(w http.ResponseWriter, q *http.Request) error {
	doc, err := f.version(q)
	if err == nil {
		_, _ = w.Write(doc)
	}
	return err
}

// table returns the chunks of the version that a path names.
func (f *fake) table(q *http.Request) ([]chunker.Ref, error) {
	doc, err := f.version(q)
	if err != nil {
		return nil, err
	}
	m, err := manifest.Parse(doc)
	if err != nil {
		return nil, err
	}
	return m.Chunks, nil
}

// encoded returns chunk i of a table.
func (f *fake) encoded(table []chunker.Ref, i int) (chunker.Digest, []byte, error) {
	if i >= len(table) {
		return chunker.Digest{}, nil, openapi.Errorf(openapi.CodeNotFound, "no chunk %d", i)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	return table[i].Digest, f.chunks[table[i].Digest], nil
}

func (f *fake) getChunk(w http.ResponseWriter, q *http.Request) error {
	table, err := f.table(q)
	if err != nil {
		return err
	}
	i := expand(q.PathValue("i"))[0]
	d, enc, err := f.encoded(table, i)
	if err != nil {
		return err
	}
	if _, ok := f.deltas.kept[d]; ok && q.FormValue("delta") == openapi.Yes {
		w.Header().Set("Content-Type", openapi.MediaChunks)
		enc, err = f.frames(nil, table, i, nil)
		_, _ = w.Write(enc)
		return err
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(enc)))
	_, _ = w.Write(enc)
	return nil
}

func (f *fake) getChunks(w http.ResponseWriter, q *http.Request) error {
	table, err := f.table(q)
	if err != nil {
		return err
	}
	var body []byte
	asked := expand(q.FormValue("i"))
	held, err := f.held(q, len(asked))
	if err != nil {
		return err
	}
	for n, i := range asked {
		d, enc, err := f.encoded(table, i)
		if err == nil && q.FormValue("delta") == openapi.Yes && f.deltas.known {
			body, err = f.frames(body, table, i, held[n])
		} else {
			body = openapi.AppendFrame(body, d, enc)
		}
		if err != nil {
			return err
		}
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	_, _ = w.Write(body)
	return nil
}

// expand lists the indexes that a request asks for, like 0-15,20.
func expand(list string) (indexes []int) {
	for part := range strings.SplitSeq(list, ",") {
		from, to, ok := strings.Cut(part, "-")
		if !ok {
			to = from
		}
		first, _ := strconv.Atoi(from)
		last, _ := strconv.Atoi(to)
		for i := first; i <= last; i++ {
			indexes = append(indexes, i)
		}
	}
	return indexes
}

func (f *fake) startPush(w http.ResponseWriter, q *http.Request) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	p := &openapi.Push{
		ID: fmt.Sprintf("push%d", len(f.pushes)), Repo: q.PathValue("ns") + "/" + q.PathValue("m"),
		State: openapi.PushOpen, Expires: time.Now().Add(time.Hour), Parallel: 8,
	}
	f.pushes[p.ID] = p
	w.WriteHeader(http.StatusCreated)
	answer(w, p)
	return nil
}

// push returns the push that a path names, if it is open.
func (f *fake) push(q *http.Request) (*openapi.Push, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.pushes[q.PathValue("p")]
	if !ok {
		return nil, openapi.Errorf(openapi.CodeNotFound, "no push %s", q.PathValue("p"))
	}
	if p.State != openapi.PushOpen {
		return nil, openapi.Errorf(openapi.CodePushClosed, "push %s is %s", p.ID, p.State)
	}
	return p, nil
}

func (f *fake) getPush(w http.ResponseWriter, q *http.Request) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	p, ok := f.pushes[q.PathValue("p")]
	if !ok {
		return openapi.Errorf(openapi.CodeNotFound, "no push %s", q.PathValue("p"))
	}
	answer(w, p)
	return nil
}

func (f *fake) missing(w http.ResponseWriter, q *http.Request) error {
	if _, err := f.push(q); err != nil {
		return err
	}
	body, err := io.ReadAll(q.Body)
	if err != nil {
		return err
	}
	n := len(body) / chunker.DigestSize
	bitmap := make([]byte, (n+7)/8)
	f.mu.Lock()
	defer f.mu.Unlock()
	for i := range n {
		if _, ok := f.chunks[chunker.Digest(body[i*chunker.DigestSize:])]; !ok {
			bitmap[i/8] |= 1 << (i % 8)
		}
	}
	_, _ = w.Write(bitmap)
	return nil
}

// keep verifies a chunk and stores it. It may be a delta of one of the version base.
func (f *fake) keep(base string, d chunker.Digest, enc []byte, got *openapi.Received) error {
	plain, err := f.undelta(base, enc)
	if errors.Is(err, &openapi.Error{Code: openapi.CodeNoBase}) {
		return err
	}
	if err != nil || chunker.Sum(plain) != d {
		return openapi.Errorf(openapi.CodeBadChunk, "chunk %s: %v", d.Short(), err)
	}
	if base, err := codec.Base(enc); err != nil || !base.IsZero() {
		enc = codec.Append(nil, plain, chunker.BF16)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	got.Chunks++
	if _, ok := f.chunks[d]; !ok {
		got.New++
		got.Stored += int64(len(enc))
		f.chunks[d] = append([]byte(nil), enc...)
	}
	return nil
}

func (f *fake) putChunk(w http.ResponseWriter, q *http.Request) error {
	if _, err := f.push(q); err != nil {
		return err
	}
	d, err := chunker.ParseDigest(q.PathValue("d"))
	if err != nil {
		return openapi.Errorf(openapi.CodeBadName, "%v", err)
	}
	enc, err := io.ReadAll(q.Body)
	if err != nil {
		return err
	}
	var got openapi.Received
	if err := f.keep(q.FormValue("base"), d, enc, &got); err != nil {
		return err
	}
	w.WriteHeader(http.StatusCreated)
	answer(w, got)
	return nil
}

func (f *fake) putChunks(w http.ResponseWriter, q *http.Request) error {
	if _, err := f.push(q); err != nil {
		return err
	}
	var got openapi.Received
	frames := openapi.NewFrameReader(q.Body, codec.MaxEncoded(chunker.MaxSize))
	for {
		d, enc, err := frames.Next(nil)
		if err == io.EOF {
			break
		}
		if err == nil {
			err = f.keep(q.FormValue("base"), d, enc, &got)
		}
		if err != nil {
			return err
		}
	}
	answer(w, got)
	return nil
}

func (f *fake) commit(w http.ResponseWriter, q *http.Request) error {
	p, err := f.push(q)
	if err != nil {
		return err
	}
	doc, err := io.ReadAll(q.Body)
	if err != nil {
		return err
	}
	m, err := manifest.Parse(doc)
	if err != nil {
		return openapi.Errorf(openapi.CodeBadManifest, "%v", err)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.committed = append(f.committed, p.ID)
	lacks := openapi.Errorf(openapi.CodeMissingChunks, "chunks are missing")
	for i, c := range m.Chunks {
		if _, ok := f.chunks[c.Digest]; !ok {
			lacks.Missing = append(lacks.Missing, uint32(i))
		}
	}
	if len(lacks.Missing) > 0 {
		return lacks
	}
	name := p.Repo + ":" + q.FormValue("tag")
	if expect := q.FormValue("expect"); expect != "" && expect != f.tags[name].Digest.String() {
		return openapi.Errorf(openapi.CodeTagMoved, "tag moved")
	}
	done := openapi.Committed{Digest: manifest.Name(doc), Created: f.manifests[manifest.Name(doc)] == nil}
	done.Tag = &openapi.Tag{Name: q.FormValue("tag"), Digest: done.Digest, Updated: time.Now(), By: "fake"}
	f.manifests[done.Digest] = doc
	f.tags[name] = *done.Tag
	p.State = openapi.PushDone
	answer(w, done)
	return nil
}
