package gate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// countingBody counts how often somebody reads it.
type countingBody struct {
	reads atomic.Int64
	io.Reader
}

func (b *countingBody) Read(p []byte) (int, error) {
	b.reads.Add(1)
	return b.Reader.Read(p)
}

func TestBodiesWaitUnread(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, end := newFakes(t, Config{})
		defer end()
		f.model.hold = takes(time.Minute)
		body := &countingBody{Reader: strings.NewReader("body")}
		done := make(chan int, 1)
		go func() {
			w := httptest.NewRecorder()
			f.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", body))
			done <- w.Code
		}()
		time.Sleep(time.Minute - 1)
		synctest.Wait()
		if n := body.reads.Load(); n != 0 {
			t.Errorf("read %d times while it waits", n)
		}
		if code := <-done; code != http.StatusOK || f.service.served()[0] != "body" {
			t.Errorf("%d, served %v", code, f.service.served())
		}
	})
}

// listening is a gate that serves over TCP.
type listening struct {
	url, metrics string
	model        *fakeModel
	end          func() error // tells it to end, and waits
}

func listen(t *testing.T, service http.Handler, c Config) *listening {
	t.Helper()
	upstream := httptest.NewServer(service)
	t.Cleanup(upstream.Close)
	base, err := url.Parse(upstream.URL)
	if err != nil {
		t.Fatal(err)
	}
	l := &listening{model: &fakeModel{}}
	c.Upstream, c.Model, c.ReadyPath = base, l.model, "/ready"
	g, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	at, metrics := localListener(t), localListener(t)
	l.url, l.metrics = "http://"+at.Addr().String(), "http://"+metrics.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- g.Serve(ctx, at, metrics) }()
	ended := false
	l.end = func() error { ended = true; cancel(); return <-done }
	t.Cleanup(func() {
		if ended {
			return
		}
		if err := l.end(); err != nil {
			t.Errorf("ended with %v", err)
		}
		if now, _ := l.model.held(); now != 0 {
			t.Errorf("ended with the model held")
		}
	})
	return l
}

func localListener(t *testing.T) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// get returns the answer to a request.
func get(t *testing.T, url string) (*http.Response, string) {
	t.Helper()
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return r, string(body)
}

// TestRequestsGoThroughAsTheyAre: path, query, host, and who asked.
func TestRequestsGoThroughAsTheyAre(t *testing.T) {
	l := listen(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		fmt.Fprintf(w, "%s %s %s", q.URL, q.Host, q.Header.Get("X-Forwarded-For"))
	}), Config{})
	r, body := get(t, l.url+"/v1/a%2Fb?c=d%3B")
	if want := "/v1/a%2Fb?c=d%3B " + strings.TrimPrefix(l.url, "http://") + " 127.0.0.1"; r.StatusCode != http.StatusOK || body != want {
		t.Errorf("%d %q, want %q", r.StatusCode, body, want)
	}
	if r, _ := get(t, l.url+PathHealth); r.StatusCode != http.StatusNoContent {
		t.Errorf("health: %d", r.StatusCode)
	}
	if _, body := get(t, l.metrics); !strings.Contains(body, `ingot_gate_requests_total{outcome="passed"} 1`) {
		t.Errorf("the metrics are\n%s", body)
	}
	if r, _ := get(t, l.url+PathMetrics); r.StatusCode != http.StatusNotFound {
		t.Errorf("the metrics are twice: %d", r.StatusCode)
	}
}

// TestStreamsAreNotHeldBack: each part of an answer arrives before the next is made.
func TestStreamsAreNotHeldBack(t *testing.T) {
	next := make(chan struct{})
	l := listen(t, http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/ready" {
			return
		}
		w.Header().Set("Content-Length", "27") // a length alone would have the proxy wait
		for i := range 3 {
			fmt.Fprintf(w, "data: %d\n\n", i)
			if err := http.NewResponseController(w).Flush(); err != nil {
				t.Error(err)
			}
			<-next
		}
	}), Config{})
	q, err := http.NewRequestWithContext(t.Context(), http.MethodGet, l.url+"/stream", nil)
	if err != nil {
		t.Fatal(err)
	}
	r, err := http.DefaultClient.Do(q)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	lines := bufio.NewScanner(r.Body)
	for i := range 3 {
		for lines.Scan() && lines.Text() == "" {
		}
		if want := fmt.Sprintf("data: %d", i); lines.Text() != want {
			t.Errorf("got %q, want %q", lines.Text(), want)
		}
		next <- struct{}{}
	}
}

// echo answers an upgrade with what it gets.
func echo(w http.ResponseWriter, q *http.Request) {
	if q.Header.Get("Upgrade") == "" {
		return
	}
	c, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return
	}
	defer func() { _ = c.Close() }()
	fmt.Fprint(c, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	_, _ = io.Copy(c, buffered) // until the other side ends
}

// TestUpgradesGoThrough: websockets and the like, and the end of the gate ends them.
func TestUpgradesGoThrough(t *testing.T) {
	l := listen(t, http.HandlerFunc(echo), Config{})
	c, err := net.Dial("tcp", strings.TrimPrefix(l.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	fmt.Fprint(c, "GET /ws HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n")
	in := bufio.NewReader(c)
	r, err := http.ReadResponse(in, nil)
	if err != nil || r.StatusCode != http.StatusSwitchingProtocols {
		t.Fatalf("%+v, %v", r, err)
	}
	for range 3 {
		fmt.Fprint(c, "hello\n")
		if line, err := in.ReadString('\n'); line != "hello\n" || err != nil {
			t.Fatalf("%q, %v", line, err)
		}
	}
	if err := l.end(); err != nil {
		t.Errorf("ended with %v", err)
	}
	if rest, err := io.ReadAll(in); len(rest) > 0 || errors.Is(err, net.ErrClosed) {
		t.Errorf("after the end: %q, %v", rest, err)
	}
}

// TestEnd: who waits is sent away, who is under way gets an answer.
func TestEnd(t *testing.T) {
	inside, leave := make(chan struct{}), make(chan struct{})
	l := listen(t, http.HandlerFunc(func(_ http.ResponseWriter, q *http.Request) {
		if q.URL.Path == "/long" {
			close(inside)
			<-leave
		}
	}), Config{})
	long := make(chan int, 1)
	go func() {
		r, _ := get(t, l.url+"/long")
		long <- r.StatusCode
	}()
	<-inside
	ended := make(chan error, 1)
	go func() { ended <- l.end() }()
	for { // until nobody is let in any more
		c, err := net.Dial("tcp", strings.TrimPrefix(l.url, "http://"))
		if err != nil {
			break
		}
		_ = c.Close() // it may be served or not
	}
	if now, _ := l.model.held(); now != 1 {
		t.Errorf("held %d times while one is under way", now)
	}
	close(leave)
	if code := <-long; code != http.StatusOK {
		t.Errorf("what was under way got %d", code)
	}
	if err := <-ended; err != nil {
		t.Errorf("ended with %v", err)
	}
	if now, _ := l.model.held(); now != 0 {
		t.Error("ended with the model held")
	}
}

// TestEndSendsAway: who waits gets 503 as soon as the gate ends.
func TestEndSendsAway(t *testing.T) {
	trying := make(chan struct{}, 1)
	l := listen(t, http.NotFoundHandler(), Config{})
	l.model.hold = func(ctx context.Context) error {
		trying <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	code := make(chan int, 1)
	go func() {
		r, _ := get(t, l.url)
		code <- r.StatusCode
	}()
	<-trying
	if err := l.end(); err != nil {
		t.Errorf("ended with %v", err)
	}
	if got := <-code; got != http.StatusServiceUnavailable {
		t.Errorf("got %d", got)
	}
}

func TestConfig(t *testing.T) {
	service := &url.URL{Scheme: "http", Host: "localhost:1"}
	for says, c := range map[string]Config{
		"upstream":   {Model: &fakeModel{}},
		"http://":    {Model: &fakeModel{}, Upstream: &url.URL{Scheme: "ftp", Host: "x"}},
		"ready path": {Model: &fakeModel{}, Upstream: service, ReadyPath: "x"},
		"no model":   {Upstream: service},
		"below zero": {Model: &fakeModel{}, Upstream: service, Idle: -1},
	} {
		if _, err := New(c); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%+v: %v, want %q", c, err, says)
		}
	}
}
