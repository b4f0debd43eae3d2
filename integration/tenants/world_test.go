package tenants

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// The two tenants: alice pushes what is secret to acme, bob looks at it from rival.
const (
	secretRepo = "acme/secret"
	ownRepo    = "rival/own"
)

// world is a registry with both tenants in it.
type world struct {
	t        *testing.T
	registry *registry.Registry
	url      string
	admin    string
	alice    string
	bob      string
	secret   held // what alice has
	own      held // what bob has
	counted  map[string]float64
}

// fileSize is that of the one file of a version.
const fileSize = 100_000

// held is a version that somebody has.
type held struct {
	digest chunker.Digest
	doc    []byte
	chunks []chunker.Ref
	plain  []byte // of its one file
	sha256 string
}

func newWorld(t *testing.T) *world {
	t.Helper()
	r, err := registry.Open(t.Context(), registry.Config{Data: t.TempDir(), Access: registry.AccessTokens})
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewServer(r.Handler())
	t.Cleanup(func() {
		server.Close()
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	})
	w := &world{t: t, registry: r, url: server.URL, admin: r.AdminToken()}
	w.alice, w.bob = w.token("alice", "acme/*:push"), w.token("bob", "rival/*:admin")
	w.secret = w.push(w.alice, secretRepo, random(1, fileSize))
	w.own = w.push(w.bob, ownRepo, random(2, fileSize))
	return w
}

// random returns bytes that nobody else has.
func random(seed uint64, n int) []byte {
	b := make([]byte, n)
	r := rand.New(rand.NewPCG(seed, 9))
	for i := range b {
		b[i] = byte(r.Uint32())
	}
	return b
}

// token makes one.
func (w *world) token(who string, scopes ...string) string {
	w.t.Helper()
	body, err := json.Marshal(openapi.TokenSpec{Name: who, Scopes: scopes})
	if err != nil {
		w.t.Fatal(err)
	}
	var made openapi.NewToken
	w.want(http.StatusCreated, w.admin, "POST", "/v1/tokens", "application/json", body, &made)
	return made.Text
}

// push stores a file as a version, with the tag main.
func (w *world) push(token, repo string, plain []byte) held {
	w.t.Helper()
	dir := w.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "weights.bin"), plain, 0o600); err != nil {
		w.t.Fatal(err)
	}
	ref, err := name.ParseRef(repo + ":main")
	if err != nil {
		w.t.Fatal(err)
	}
	c := w.client(token)
	defer c.Close()
	w.counted = nil
	receipt, err := c.Push(w.t.Context(), dir, ref, client.PushOptions{})
	if err != nil {
		w.t.Fatal(err)
	}
	sum := sha256.Sum256(plain)
	h := held{plain: plain, sha256: hex.EncodeToString(sum[:])}
	if h.digest, err = chunker.ParseDigest(receipt.Digest); err != nil {
		w.t.Fatal(err)
	}
	a := w.send(token, "GET", "/v1/repos/"+repo+"/versions/"+h.digest.String(), map[string]string{"Accept": openapi.MediaManifest}, nil)
	m, err := manifest.Parse(a.body)
	if err != nil {
		w.t.Fatalf("%d: %v", a.status, err)
	}
	h.doc, h.chunks = a.body, m.Chunks
	return h
}

func (w *world) client(token string) *client.Registry {
	w.t.Helper()
	c, err := client.New(w.url, client.Options{Token: fixed(token)})
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// answer is what was answered, and what the registry asked of its store meanwhile.
type answer struct {
	status int
	header http.Header
	body   []byte
	asked  map[string]float64
}

// send makes a request.
func (w *world) send(token, method, path string, headers map[string]string, body []byte) answer {
	w.t.Helper()
	before := w.counted // what comes between two requests counts for the second
	if before == nil {
		before = w.asked()
	}
	q, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, bytes.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	if token != "" {
		q.Header.Set("Authorization", "Bearer "+token)
	}
	for k, v := range headers {
		q.Header.Set(k, v)
	}
	resp, err := http.DefaultTransport.RoundTrip(q) // which follows nothing
	if err != nil {
		w.t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		w.t.Fatalf("%s %s: %v", method, path, err)
	}
	w.counted = w.asked()
	asked := maps.Clone(w.counted)
	for k, n := range before {
		if asked[k] -= n; asked[k] == 0 {
			delete(asked, k)
		}
	}
	return answer{resp.StatusCode, resp.Header, got, asked}
}

// asked counts the requests to the store by what they were.
func (w *world) asked() map[string]float64 {
	w.t.Helper()
	rec := httptest.NewRecorder()
	w.registry.Metrics().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	counts := map[string]float64{}
	lines := bufio.NewScanner(rec.Body)
	for lines.Scan() {
		what, ok := strings.CutPrefix(lines.Text(), "ingot_registry_store_seconds_count{")
		if !ok {
			continue
		}
		labels, n, ok := strings.Cut(what, "} ")
		count, err := strconv.ParseFloat(n, 64)
		if !ok || err != nil {
			w.t.Fatalf("metrics: %q", lines.Text())
		}
		counts[labels] = count
	}
	if len(counts) == 0 {
		w.t.Fatal("nothing counts what the store is asked")
	}
	return counts
}

// want makes a request that has to be answered with that status, into a document.
func (w *world) want(status int, token, method, path, media string, body []byte, into any) {
	w.t.Helper()
	headers := map[string]string{}
	if media != "" {
		headers["Content-Type"] = media
	}
	a := w.send(token, method, path, headers, body)
	if a.status != status {
		w.t.Fatalf("%s %s: %d, want %d: %s", method, path, a.status, status, a.body)
	}
	if into != nil {
		if err := json.Unmarshal(a.body, into); err != nil {
			w.t.Fatalf("%s %s: %v: %s", method, path, err, a.body)
		}
	}
}

// startPush begins a push.
func (w *world) startPush(token, repo string) string {
	w.t.Helper()
	var p openapi.Push
	w.want(http.StatusCreated, token, "POST", "/v1/repos/"+repo+"/pushes", "", nil, &p)
	return p.ID
}

// hexDigits are names of content, that differ as what is asked for does.
var hexDigits = regexp.MustCompile(`[0-9a-f]{12,}`)

// requestID is of the request, not of what is asked.
var requestID = regexp.MustCompile(`"request_id":"[^"]*"`)

// times are when something was looked at.
var times = regexp.MustCompile(`20\d\d-\d\d-\d\dT[0-9:.]+Z`)

// same reports what tells one answer from another, when each speaks of what it was
// asked by its names.
func same(a, b answer, aNames, bNames target) string {
	if a.status != b.status {
		return fmt.Sprintf("status %d and %d: %s and %s", a.status, b.status, a.body, b.body)
	}
	if x, y := aNames.hide(a.body), bNames.hide(b.body); x != y {
		return fmt.Sprintf("body %q and %q", x, y)
	}
	if x, y := headersOf(a, aNames), headersOf(b, bNames); !maps.Equal(x, y) {
		return fmt.Sprintf("headers %v and %v", x, y)
	}
	if !maps.Equal(a.asked, b.asked) {
		return fmt.Sprintf("the store was asked %v and %v", a.asked, b.asked)
	}
	return ""
}

// hide takes the names that were asked for out of a text.
func (t target) hide(b []byte) string {
	s := times.ReplaceAllString(requestID.ReplaceAllString(string(b), ""), "TIME")
	namespace, model, _ := strings.Cut(t.repo, "/")
	for _, n := range []string{t.repo, t.tag, namespace, model} {
		s = strings.ReplaceAll(s, n, "NAME")
	}
	return hexDigits.ReplaceAllString(s, "HEX")
}

func headersOf(a answer, t target) map[string]string {
	h := map[string]string{}
	for _, k := range slices.Sorted(maps.Keys(a.header)) {
		switch {
		case k == "Date", k == "X-Request-Id":
		case k == "Content-Length" && times.Match(a.body): // which are not all of one length
		default:
			h[k] = t.hide([]byte(strings.Join(a.header[k], ",")))
		}
	}
	return h
}

// encoded returns a chunk as it travels.
func encoded(plain []byte) []byte { return codec.Append(nil, plain, chunker.DType(0)) }

func sumOf(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
