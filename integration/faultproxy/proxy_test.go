package faultproxy_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/integration/faultproxy"
)

// store is a server that remembers what it was asked.
type store struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string // as on the wire: method, target, host, body
}

func newStore(t *testing.T) *store {
	s := &store{}
	s.Server = httptest.NewServer(s)
	t.Cleanup(s.Close)
	return s
}

func (s *store) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	body, _ := io.ReadAll(q.Body) // what came is what is compared
	s.mu.Lock()
	s.asked = append(s.asked, strings.Join([]string{q.Method, q.RequestURI, q.Host, q.Header.Get("User-Agent"), string(body)}, " "))
	s.mu.Unlock()
	w.Header().Set("Etag", `"1"`)
	_, _ = io.WriteString(w, "0123456789") // the client may be gone
}

func (s *store) all() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.asked)
}

func listen(t *testing.T, s *store, c faultproxy.Config) *faultproxy.Proxy {
	t.Helper()
	c.Target = strings.TrimPrefix(s.URL, "http://")
	p, err := faultproxy.Listen(c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

// ask sends a request with a Host of its own, and returns status and body.
func ask(t *testing.T, p *faultproxy.Proxy, method, target, body string) (int, string, error) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), method, p.URL()+target, bytes.NewReader([]byte(body)))
	if err != nil {
		t.Fatal(err)
	}
	q.Host, q.GetBody = "store.example:9000", nil
	q.Header.Set("User-Agent", "signed")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(q)
	if err != nil {
		return 0, "", err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(b), err
}

// TestPassesAsItCame sends what a signature covers through the proxy, in spellings
// that a careless one would change.
func TestPassesAsItCame(t *testing.T) {
	s := newStore(t)
	p := listen(t, s, faultproxy.Config{})
	for _, target := range []string{"/bucket/a%2Fb//c/../d?x=%20&a=+&list-type=2&empty=", "/bucket/%E2%82%AC"} {
		status, body, err := ask(t, p, http.MethodPut, target, "body")
		if status != http.StatusOK || body != "0123456789" || err != nil {
			t.Fatalf("%s: %d %q %v", target, status, body, err)
		}
		if got, want := s.all()[len(s.all())-1], "PUT "+target+" store.example:9000 signed body"; got != want {
			t.Errorf("the store was asked %q, want %q", got, want)
		}
	}
}

// TestFaults has every fault happen once.
func TestFaults(t *testing.T) {
	for _, tc := range []struct {
		fault  faultproxy.Fault
		status int  // 0 is a connection that is cut
		whole  bool // the body comes whole
		asked  int  // how often the store is asked, what comes later included
	}{
		{faultproxy.None, 200, true, 1},
		{faultproxy.Reset, 0, false, 0},
		{faultproxy.Lose, 0, false, 1},
		{faultproxy.Late, 0, false, 1},
		{faultproxy.Twice, 200, true, 2},
		{faultproxy.Delay, 200, true, 1},
		{faultproxy.Truncate, 200, false, 1},
		{faultproxy.SlowDown, 503, true, 0},
		{faultproxy.Conflict, 409, true, 0},
	} {
		for seed := range uint64(4) { // both ways to cut a connection
			t.Run(fmt.Sprint(tc.fault, seed), func(t *testing.T) {
				s := newStore(t)
				p := listen(t, s, faultproxy.Config{Seed: seed, Pause: time.Millisecond, Burst: 1})
				p.Set(faultproxy.Rule{Fault: tc.fault, PerMille: 1000, Times: 1})
				status, _, err := ask(t, p, http.MethodPut, "/bucket/key", "body")
				if status != tc.status || (err == nil) != tc.whole {
					t.Errorf("%d, %v, want %d", status, err, tc.status)
				}
				p.Settle()
				if got := s.all(); len(got) != tc.asked {
					t.Errorf("the store was asked %q, want it %d times", got, tc.asked)
				}
				if got := p.Faults()[tc.fault]; tc.fault != faultproxy.None && got != 1 {
					t.Errorf("%d faults counted, want 1", got)
				}
				if status, _, err := ask(t, p, http.MethodGet, "/bucket/key", ""); status != http.StatusOK || err != nil {
					t.Errorf("after the fault: %d, %v", status, err)
				}
			})
		}
	}
}

// TestLateComesLater asks the store again only after the time.
func TestLateComesLater(t *testing.T) {
	s := newStore(t)
	p := listen(t, s, faultproxy.Config{After: [2]time.Duration{time.Millisecond, 2 * time.Millisecond}})
	p.Set(faultproxy.Rule{Fault: faultproxy.Late, PerMille: 1000, Times: 1})
	if _, _, err := ask(t, p, http.MethodPut, "/k", "v"); err == nil {
		t.Error("answered, want a cut connection")
	}
	for range 1000 {
		if len(s.all()) == 1 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("the request never came")
}

// TestSeed meets the same faults with the same seed, and others with another.
func TestSeed(t *testing.T) {
	s := newStore(t)
	run := func(seed uint64) (met []bool) {
		p := listen(t, s, faultproxy.Config{Seed: seed})
		p.Set(faultproxy.Rule{Fault: faultproxy.Reset, PerMille: 500})
		for range 64 {
			_, _, err := ask(t, p, http.MethodGet, "/k", "")
			met = append(met, err != nil)
		}
		return met
	}
	first, same, other := run(1), run(1), run(2)
	if !slices.Equal(first, same) || slices.Equal(first, other) {
		t.Errorf("seed 1: %v\nagain:  %v\nseed 2: %v", first, same, other)
	}
}

// TestRules gives each request to the first rule that it meets, until that is spent.
func TestRules(t *testing.T) {
	s := newStore(t)
	p := listen(t, s, faultproxy.Config{Describe: faultproxy.S3("bucket/pre")})
	p.Set(
		faultproxy.Rule{Fault: faultproxy.Conflict, PerMille: 1000, Times: 2, Match: func(c faultproxy.Call) bool { return c.Kind == "meta/t" && c.Write() }},
		faultproxy.Rule{Fault: faultproxy.Reset, PerMille: 1000, Match: func(c faultproxy.Call) bool { return c.Kind == "c" }},
	)
	for _, tc := range []struct {
		method, target string
		status         int
	}{
		{http.MethodGet, "/bucket/pre/meta/t/ns/model/tag", 200},
		{http.MethodPut, "/bucket/pre/meta/t/ns/model/tag", 409},
		{http.MethodPut, "/bucket/pre/c/abc/def.x.0", 0},
		{http.MethodPut, "/bucket/pre/meta/t/ns/model/tag", 409},
		{http.MethodPut, "/bucket/pre/meta/t/ns/model/tag", 200},
	} {
		if status, _, _ := ask(t, p, tc.method, tc.target, ""); status != tc.status {
			t.Errorf("%s %s: %d, want %d", tc.method, tc.target, status, tc.status)
		}
	}
}

// TestDescribe names what a store is asked for.
func TestDescribe(t *testing.T) {
	for _, tc := range []struct{ prefix, method, target, want string }{
		{"bucket/pre", "PUT", "/bucket/pre/meta/m/ns/model/digest", "PUT meta/m"},
		{"bucket/pre", "GET", "/bucket/pre/c/0ab/digest.push.0", "GET c"},
		{"bucket/pre/", "HEAD", "/bucket/pre/ingot.json", "HEAD ingot.json"},
		{"bucket/pre", "GET", "/bucket/?list-type=2&prefix=pre%2Fmeta%2Fm%2F", "LIST meta/m"},
		{"bucket/pre", "GET", "/bucket?list-type=2&prefix=pre/c/", "LIST c"},
		{"bucket/pre", "GET", "/bucket/?list-type=2&prefix=pre%2F", "LIST all"},
		{"bucket/pre", "POST", "/bucket/?delete=", "DELETE many"},
		{"bucket/pre", "DELETE", "/bucket/pre/b/x", "DELETE b"},
		{"bucket/pre", "GET", "/bucket/?lifecycle=", "GET bucket"},
		{"bucket/pre", "GET", "/bucket/other/c/x", "GET foreign"},
		{"bucket", "PUT", "/bucket/gl/1.a.D", "PUT gl"},
		{"bucket", "GET", "/bucket/?list-type=2", "LIST all"},
	} {
		q := httptest.NewRequest(tc.method, tc.target, nil)
		if got := faultproxy.S3(tc.prefix)(q).String(); got != tc.want {
			t.Errorf("%s %s below %s is %q, want %q", tc.method, tc.target, tc.prefix, got, tc.want)
		}
	}
	q := httptest.NewRequest("PUT", "/bucket/meta/m/x", nil)
	q.Header.Set("If-Match", `"1"`)
	if c := faultproxy.S3("bucket")(q); !c.Conditional {
		t.Errorf("%+v is not conditional", c)
	}
}

// TestCounts counts requests that met a fault too.
func TestCounts(t *testing.T) {
	s := newStore(t)
	p := listen(t, s, faultproxy.Config{Describe: faultproxy.S3("bucket")})
	_, _, first := ask(t, p, "PUT", "/bucket/c/1", "x")
	before := p.Counts()
	p.Set(faultproxy.Rule{Fault: faultproxy.Reset, PerMille: 1000, Times: 1})
	_, _, second := ask(t, p, "PUT", "/bucket/c/2", "x")
	_, _, third := ask(t, p, "GET", "/bucket/meta/g/state", "")
	if first != nil || second == nil || third != nil {
		t.Fatal(first, second, third)
	}
	got := p.Counts().Since(before)
	if got.String() != "GET meta/g 1, PUT c 1" || got.Sum("PUT", "LIST") != 1 {
		t.Errorf("counted %s", got)
	}
}

// TestLimit lets requests pass one after another. The pauses are counted by how
// many can be through when the first few are.
func TestLimit(t *testing.T) {
	s := newStore(t)
	p := listen(t, s, faultproxy.Config{})
	p.Limit(1e-6) // after the first, the next would be due in eleven days
	if status, _, err := ask(t, p, "GET", "/1", ""); status != 200 || err != nil {
		t.Fatal(status, err)
	}
	q, err := http.NewRequestWithContext(t.Context(), "GET", p.URL()+"/2", nil)
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Timeout: 50 * time.Millisecond}
	if resp, err := client.Do(q); err == nil {
		resp.Body.Close()
		t.Error("the second request passed at once")
	}
	if got := s.all(); len(got) != 1 {
		t.Errorf("the store was asked %q", got)
	}
}

// TestRewrite changes an answer.
func TestRewrite(t *testing.T) {
	s := newStore(t)
	p := listen(t, s, faultproxy.Config{Rewrite: func(_ faultproxy.Call, resp *http.Response) error {
		resp.Header.Set("Etag", `"2"`)
		return nil
	}})
	resp, err := http.Get(p.URL() + "/k")
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if got := resp.Header.Get("Etag"); got != `"2"` {
		t.Errorf("ETag %s", got)
	}
}

// TestServerGone cuts the connection, as the server's own end would look.
func TestServerGone(t *testing.T) {
	s := newStore(t)
	p := listen(t, s, faultproxy.Config{})
	s.Close()
	if status, _, err := ask(t, p, "GET", "/k", ""); err == nil || errors.Is(err, t.Context().Err()) {
		t.Errorf("status %d, %v, want a cut connection", status, err)
	}
}
