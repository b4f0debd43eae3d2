package gate

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"
)

// fakeModel is a model that comes when hold says so. It counts.
type fakeModel struct {
	hold func(context.Context) error // nil is at once

	mu              sync.Mutex
	holds, releases int
	over            chan struct{} // of the Held that is out
}

func (m *fakeModel) Hold(ctx context.Context) (Held, error) {
	if m.hold != nil {
		if err := m.hold(ctx); err != nil {
			return nil, err
		}
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.holds++
	m.over = make(chan struct{})
	return &fakeHeld{m, m.over}, nil
}

// held is how many are held now, and how many have been.
func (m *fakeModel) held() (now, ever int) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.holds - m.releases, m.holds
}

// lose makes it over with what is held.
func (m *fakeModel) lose() {
	m.mu.Lock()
	defer m.mu.Unlock()
	close(m.over)
}

type fakeHeld struct {
	m    *fakeModel
	over chan struct{}
}

func (h *fakeHeld) Over() <-chan struct{} { return h.over }

func (h *fakeHeld) Release() error {
	h.m.mu.Lock()
	defer h.m.mu.Unlock()
	h.m.releases++
	return nil
}

// takes returns a hold that takes so long.
func takes(d time.Duration) func(context.Context) error {
	return func(ctx context.Context) error {
		if !wait(ctx, nil, d) {
			return ctx.Err()
		}
		return nil
	}
}

// fakeService is a service without a network. It fails the test when a request
// comes while the model is not held.
type fakeService struct {
	t     *testing.T
	model *fakeModel
	took  time.Duration // by a request

	mu     sync.Mutex
	ready  bool
	away   bool // nobody listens
	reads  bool // a part of the body before it fails
	bodies []string
}

func (s *fakeService) set(change func(*fakeService)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *fakeService) served() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.bodies
}

func (s *fakeService) RoundTrip(q *http.Request) (*http.Response, error) {
	s.mu.Lock()
	ready, away, reads := s.ready, s.away, s.reads
	s.mu.Unlock()
	if away {
		if q.Body != nil && reads {
			_, _ = q.Body.Read(make([]byte, 1)) // as much as there is
		}
		if q.Body != nil {
			_ = q.Body.Close() // as a transport does
		}
		return nil, &net.OpError{Op: "dial", Err: errors.New("nobody listens")}
	}
	if q.URL.Path == DefaultReadyPath {
		if !ready {
			return answer(http.StatusServiceUnavailable), nil
		}
		return answer(http.StatusOK), nil
	}
	if now, _ := s.model.held(); now != 1 {
		s.t.Errorf("%s came while the model is held %d times", q.URL, now)
	}
	return s.serve(q)
}

func (s *fakeService) serve(q *http.Request) (*http.Response, error) {
	var body []byte
	if q.Body != nil {
		var err error
		if body, err = io.ReadAll(q.Body); err != nil {
			return nil, err
		}
	}
	if s.took > 0 && !wait(q.Context(), nil, s.took) {
		return nil, q.Context().Err()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bodies = append(s.bodies, string(body))
	return answer(http.StatusOK), nil
}

func answer(status int) *http.Response {
	return &http.Response{
		StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Body: io.NopCloser(strings.NewReader("answer")),
	}
}

// fakes are a gate between fakes, and its keeper.
type fakes struct {
	*Gate
	model   *fakeModel
	service *fakeService
}

// newFakes starts a gate whose keeper ends with the returned function.
func newFakes(t *testing.T, c Config) (f *fakes, end func()) {
	t.Helper()
	f = &fakes{model: &fakeModel{}}
	f.service = &fakeService{t: t, model: f.model, ready: true}
	c.Upstream = &url.URL{Scheme: "http", Host: "service"}
	c.Model, c.Transport = f.model, f.service
	var err error
	if f.Gate, err = New(c); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var keeper sync.WaitGroup
	keeper.Go(func() { f.keep(ctx) })
	return f, func() {
		f.barrier.drain()
		cancel()
		keeper.Wait()
		if now, ever := f.model.held(); now != 0 {
			t.Errorf("of %d times held %d were not released", ever, now)
		}
	}
}

// send has the gate serve a request, and returns its answer.
func (f *fakes) send(ctx context.Context, body string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	f.ServeHTTP(w, httptest.NewRequestWithContext(ctx, http.MethodPost, "/v1/x", strings.NewReader(body)))
	return w
}

// metric returns a value that a scrape shows, such as that of a name with labels.
func (f *fakes) metric(t *testing.T, name string) string {
	t.Helper()
	w := httptest.NewRecorder()
	f.ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodGet, PathMetrics, nil))
	for line := range strings.Lines(w.Body.String()) {
		if value, found := strings.CutPrefix(line, name+" "); found {
			return strings.TrimSpace(value)
		}
	}
	t.Fatalf("no metric %s in\n%s", name, w.Body)
	return ""
}
