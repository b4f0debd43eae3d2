package cas_test

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"log/slog"
	mathrand "math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/hub"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/cas"
	"github.com/ingot-ml/ingot/registry/internal/commits"
	"github.com/ingot-ml/ingot/registry/internal/grants"
	"github.com/ingot-ml/ingot/registry/internal/ingest"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/internal/view"
	"github.com/ingot-ml/ingot/registry/internal/xet"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/stream"
)

var (
	model  = name.Repo{Namespace: "acme", Name: "model"}
	other  = name.Repo{Namespace: "acme", Name: "other"}
	secret = name.Repo{Namespace: "acme", Name: "secret"}
	alice  = access.Principal{Subject: "alice"}
	bob    = access.Principal{Subject: "bob"}
)

// policy lets only alice see the secret model.
type policy struct{}

func (policy) Allow(p access.Principal, repo name.Repo, _ access.Action) error {
	if repo == secret && p != alice {
		return access.ErrDenied
	}
	return nil
}

// noIndex is an index that knows nothing.
type noIndex struct{}

func (noIndex) Add(context.Context, string, chunker.Digest, []chunker.Ref) error { return nil }
func (noIndex) Lookup(_ context.Context, d []chunker.Digest, _ versions.Reach) ([][]versions.Source, error) {
	return make([][]versions.Source, len(d)), nil
}

type world struct {
	t       *testing.T
	config  cas.Config
	commits *commits.Service
	service *cas.Service
	server  *httptest.Server
	now     time.Time
}

func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{t: t, now: time.Now()}
	now := func() time.Time { return w.now }
	regs := registers.NewMemory()
	v := versions.New(versions.Config{
		Registers: regs, Blobs: blobs.NewMemory(), Index: noIndex{}, Policy: access.ByModel(policy{}),
		Now: now, Logger: slog.New(slog.DiscardHandler),
	})
	files, err := ingest.New(ingest.Config{Versions: v, Dir: t.TempDir(), Limit: 256 << 20, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	logger := slog.New(slog.DiscardHandler)
	w.commits = commits.New(v, files, logger)
	w.config = cas.Config{
		Source: view.New(v, stream.NewAhead(64<<20, 0)), Versions: v, Files: files,
		Grants:    grants.New(grants.Config{Registers: regs, Now: now, Rand: rand.Reader}),
		Registers: regs, Policy: access.ByModel(policy{}), Dir: t.TempDir(), Now: now, Rand: rand.Reader,
	}
	w.start()
	return w
}

// start begins a process that knows only what is stored, and what lies in the folder.
func (w *world) start() {
	w.t.Helper()
	s, err := cas.New(w.config)
	if err != nil {
		w.t.Fatal(err)
	}
	w.service, w.server = s, httptest.NewServer(s)
	w.t.Cleanup(w.server.Close)
}

// grant returns a token.
func (w *world) grant(p access.Principal, repo name.Repo, commit string, write bool) hub.Access {
	w.t.Helper()
	a, err := w.service.Grant(access.NewContext(w.t.Context(), p), w.server.URL, repo, commit, write)
	if err != nil {
		w.t.Fatal(err)
	}
	return a
}

// ask makes a request, and returns the answer with its body.
func (w *world) ask(method, url, token, ranges string, body []byte) (*http.Response, []byte) {
	w.t.Helper()
	r, err := http.NewRequestWithContext(w.t.Context(), method, url, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if ranges != "" {
		r.Header.Set("Range", ranges)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return resp, got
}

// want makes a request that gets that status.
func (w *world) want(status int, method, url, token string, body []byte) []byte {
	w.t.Helper()
	resp, got := w.ask(method, url, token, "", body)
	if resp.StatusCode != status {
		w.t.Fatalf("%s %s: %d %s, want %d", method, url, resp.StatusCode, got, status)
	}
	return got
}

// xorb is a xorb in the making.
type xorb struct {
	body []byte
	hash xet.Hash
	ends []int // where the chunks end among their bytes
	all  []byte
}

// makeXorb makes one of chunks that are stored as they are.
func makeXorb(chunks ...[]byte) *xorb {
	x := &xorb{}
	var nodes []xet.Node
	for _, c := range chunks {
		n := len(c)
		x.body = append(x.body, 0, byte(n), byte(n>>8), byte(n>>16), 0, byte(n), byte(n>>8), byte(n>>16))
		x.body = append(x.body, c...)
		x.all = append(x.all, c...)
		x.ends = append(x.ends, len(x.all))
		nodes = append(nodes, xet.Node{Hash: xet.ChunkHash(c), Size: uint64(n)})
	}
	x.hash = xet.XorbHash(nodes)
	return x
}

// noise makes n bytes.
func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = mathrand.NewChaCha8([32]byte{seed}).Read(b) // never fails
	return b
}

func (w *world) sendXorb(a hub.Access, x *xorb) string {
	w.t.Helper()
	return string(w.want(http.StatusOK, "POST", a.URL+"/v1/xorbs/default/"+x.hash.String(), a.Token, x.body))
}

// part is a row of chunks of a xorb.
type part struct {
	xorb       *xorb
	first, end int
}

func (p part) bytes() []byte {
	from := 0
	if p.first > 0 {
		from = p.xorb.ends[p.first-1]
	}
	return p.xorb.all[from:p.xorb.ends[p.end-1]]
}

// file is a file of a shard.
type file []part

func (f file) bytes() (b []byte) {
	for _, p := range f {
		b = append(b, p.bytes()...)
	}
	return b
}

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}

// makeShard makes a shard as clients do; change may change a record of it.
func makeShard(change func(record []byte), files ...file) []byte {
	end := append(bytes.Repeat([]byte{0xff}, xet.HashSize), make([]byte, 16)...)
	b := []byte("HFRepoMetaData\x00U\x69\x67\x45\x6a\x7b\x81\x57\x83\xa5\xbd\xd9\x5c\xcd\xd1\x4a\xa9")
	b = binary.LittleEndian.AppendUint64(binary.LittleEndian.AppendUint64(b, 2), 0)
	record := func(hash xet.Hash, numbers ...int) {
		at := len(b)
		b = append(b, hash[:]...)
		for _, n := range numbers {
			b = binary.LittleEndian.AppendUint32(b, uint32(n))
		}
		if change != nil {
			change(b[at:])
		}
	}
	for _, f := range files {
		sum, err := xet.ParseHash(sumOf(f.bytes()))
		if err != nil {
			panic(err)
		}
		record(xet.ChunkHash(f.bytes()), 1<<30, len(f), 0, 0)
		for _, p := range f {
			record(p.xorb.hash, 0, len(p.bytes()), p.first, p.end)
		}
		record(sum, 0, 0, 0, 0)
	}
	return append(append(b, end...), end...)
}

// sendShard sends a shard that is taken.
func (w *world) sendShard(a hub.Access, files ...file) {
	w.t.Helper()
	got := w.want(http.StatusOK, "POST", a.URL+"/v2/shards", a.Token, makeShard(nil, files...))
	if last := lastEvent(w.t, got); last["type"] != "result" {
		w.t.Fatalf("the shard: %s", got)
	}
}

// lastEvent returns the last line of an answer to a shard.
func lastEvent(t *testing.T, b []byte) (e map[string]any) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(string(b)), "\n")
	if err := json.Unmarshal([]byte(lines[len(lines)-1]), &e); err != nil {
		t.Fatalf("%s: %v", b, err)
	}
	return e
}

// check compares an object with what it has to be.
func (w *world) check(p access.Principal, repo name.Repo, want []byte) {
	w.t.Helper()
	o, ok, err := w.config.Files.Find(w.t.Context(), p, repo, sumOf(want))
	if err != nil || !ok {
		w.t.Fatalf("%s has no file of %d bytes: %v", repo, len(want), err)
	}
	commit, _, err := w.commits.Commit(w.t.Context(), p, repo, commits.Change{
		Create: true, Ops: []commits.Op{{Kind: commits.AddObject, Path: "weights.bin", Object: o}},
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx := access.NewContext(w.t.Context(), p)
	rev, err := w.config.Source.Revision(ctx, repo, commit)
	if err != nil {
		w.t.Fatal(err)
	}
	c, err := w.config.Source.Open(ctx, rev, rev.File("weights.bin"))
	if err != nil {
		w.t.Fatal(err)
	}
	defer func() { _ = c.Close() }() // it was only read
	var got bytes.Buffer
	if err := c.Send(ctx, &got, 0, c.Size()); err != nil || !bytes.Equal(got.Bytes(), want) {
		w.t.Fatalf("%d bytes came, which are others, %v", got.Len(), err)
	}
}

// lacks fails if the repository has such a file.
func (w *world) lacks(repo name.Repo, content []byte) {
	w.t.Helper()
	if _, ok, err := w.config.Files.Find(w.t.Context(), alice, repo, sumOf(content)); ok || err != nil {
		w.t.Fatalf("%s has the file: %v", repo, err)
	}
}
