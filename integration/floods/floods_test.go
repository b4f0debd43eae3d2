package floods_test

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/integration/measure"
	"github.com/ingot-ml/ingot/integration/needtest"
)

// The floods of TestFloods, and what the registry may take.
const (
	idleFlood   = 10_000 // connections that say nothing
	headerFlood = 500    // connections that send a header bit by bit
	uploadFlood = 200    // uploads that do not come
	readerFlood = 200    // answers that nobody takes
	knockFlood  = 500    // connections a second that are opened and left

	floodMemory = 64 << 20
	// The caches that README and config name beside it, the program itself, and what the
	// kernel of Go keeps free to grow into; a connection has its goroutine and buffers.
	besideMemory  = 224 << 20
	perConnection = 24 << 10
)

// TestFloods has the program serve pulls while it is flooded in every way at once, and
// measures: a pull goes at least half as fast as without, and the process has no more
// memory than it was given.
func TestFloods(t *testing.T) {
	if os.Getenv("INGOT_FLOODS") == "" {
		needtest.Skip(t, "floods", "takes a minute and 20,000 open files: run make floods")
	}
	raiseFiles(t)
	pid, w := program(t, "--memory", "64MiB", "--connections", "12000", "--rate-address", "500")
	w.push(t, 256<<20)
	var calm, stormy []float64
	quiet, err := measure.Running(pid)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 {
		calm = append(calm, w.pull(t).Seconds())
	}
	f := w.flood(t)
	eventually(t, "the flood has come", func() bool { return w.metric(t, "ingot_registry_connections") > 5000 })
	for range 3 {
		stormy = append(stormy, w.pull(t).Seconds())
	}
	closedNow := w.metric(t, "ingot_registry_connections_closed_total")
	open := w.metric(t, "ingot_registry_connections")
	used := w.metric(t, "ingot_registry_memory_used_bytes")
	f.stop()
	loud, err := measure.Running(pid)
	if err != nil {
		t.Fatal(err)
	}
	rate := measure.Median(calm) / measure.Median(stormy)
	t.Logf("pull: calm %.2f s, beside the flood %.2f s: %.2f of the rate; peak %.0f MiB before, %.0f after; %v connections open, %v closed for others, %v bytes of %v for uploads; flooded with %s",
		measure.Median(calm), measure.Median(stormy), rate, quiet.Peak, loud.Peak, open, closedNow, used, floodMemory, f)
	if rate < 0.5 {
		t.Errorf("pulls go at %.2f of their rate", rate)
	}
	if most := float64(floodMemory+besideMemory+int(open)*perConnection) / (1 << 20); loud.Peak > most {
		t.Errorf("the registry took %.0f MiB, want at most %.0f", loud.Peak, most)
	}
	if used > floodMemory {
		t.Errorf("%v bytes for uploads of %d", used, floodMemory)
	}
}

// raiseFiles lets this process and the program have files for the connections, where it
// may.
func raiseFiles(t *testing.T) {
	t.Helper()
	most := syscall.Rlimit{Cur: 1 << 16, Max: 1 << 16}
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &most); err != nil {
		t.Logf("open files stay as limited as they are: %v", err)
	}
}

// program runs the program as people have it, and returns its process.
func program(t *testing.T, args ...string) (pid int, w *world) {
	t.Helper()
	bin, err := filepath.Abs("../../bin/ingot")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(bin, append([]string{
		"serve", "--listen", friend + ":0", "--data", filepath.Join(t.TempDir(), "data"), "--json", "--log-level", "warn", "--header-timeout", "5s",
	}, args...)...)
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("start the registry (make build makes it): %v", err)
	}
	t.Cleanup(func() {
		_, _ = cmd.Process.Kill(), cmd.Wait() // it was killed, so it failed
		if t.Failed() {
			t.Logf("the registry said:\n%s", said.String())
		}
	})
	var ready struct{ Address string }
	if err := json.NewDecoder(out).Decode(&ready); err != nil {
		t.Fatal(err)
	}
	return cmd.Process.Pid, &world{address: ready.Address}
}

// flooding is a flood that goes on.
type flooding struct {
	cancel  context.CancelFunc
	work    sync.WaitGroup
	mu      sync.Mutex // protects counts
	counts  map[string]*atomic.Int64
	address string
}

// flood begins every kind of flood, each from addresses of its own.
func (w *world) flood(t *testing.T) *flooding {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	f := &flooding{cancel: cancel, counts: map[string]*atomic.Int64{}, address: w.address}
	t.Cleanup(f.stop)
	version, err := w.from(t, friend, client.Options{}).Resolve(ctx, w.ref)
	if err != nil {
		t.Fatal(err)
	}
	read := request("GET", fmt.Sprintf("/v1/repos/acme/model/versions/%s/chunks?i=0-31", version))
	upload := request("POST", "/v1/pushes/"+strings.Repeat("a", 20)+"/chunks",
		"Content-Type: application/vnd.ingot.chunks.v1", "Content-Length: "+strconv.Itoa(8<<20))
	f.hold(ctx, "idle connections", idleFlood, 4, "", "")
	f.hold(ctx, "slow headers", headerFlood, 2, "GET / HTTP/1.1\r\nHost: local", "x")
	f.hold(ctx, "slow uploads", uploadFlood, 2, upload, "x")
	f.hold(ctx, "slow readers", readerFlood, 2, read, "")
	f.knock(ctx)
	f.ask(ctx)
	return f
}

// hold opens so many connections from some addresses, says something on each, and a bit
// more every second. Those that are closed are opened again.
func (f *flooding) hold(ctx context.Context, what string, n, addresses int, first, more string) {
	opened := f.count(what)
	const crew = 100 // connections of one goroutine
	for crewman := range (n + crew - 1) / crew {
		from := fmt.Sprintf("127.0.%d.%d", 10+len(f.counts), 1+crewman%addresses)
		f.work.Go(func() {
			conns := make([]net.Conn, min(crew, n))
			defer func() {
				for _, c := range conns {
					if c != nil {
						_ = c.Close() // it may be closed already
					}
				}
			}()
			for ctx.Err() == nil {
				for i, c := range conns {
					if c != nil && !gone(c, more) {
						continue
					}
					conns[i] = f.open(ctx, from, first)
					if conns[i] != nil {
						opened.Add(1)
					}
				}
				pause(ctx, time.Second)
			}
		})
	}
}

// gone tells whether a connection is closed, and says a bit more on it if not.
func gone(c net.Conn, more string) bool {
	_ = c.SetDeadline(time.Now().Add(time.Millisecond)) // it is a connection
	if more != "" {
		_, err := io.WriteString(c, more)
		return err != nil
	}
	return closed(c)
}

func (f *flooding) open(ctx context.Context, from, text string) net.Conn {
	c, err := dialer(from).DialContext(ctx, "tcp", f.address)
	if err != nil {
		return nil
	}
	if tcp, ok := c.(*net.TCPConn); ok {
		_ = tcp.SetReadBuffer(4 << 10) // less for who takes no answer
	}
	_, _ = io.WriteString(c, text) // it may be cut off at once
	return c
}

// knock opens connections and leaves them.
func (f *flooding) knock(ctx context.Context) {
	knocks := f.count("knocks")
	f.work.Go(func() {
		for ctx.Err() == nil {
			for range knockFlood / 10 {
				if c := f.open(ctx, foe, ""); c != nil {
					_ = c.Close() // that is all
					knocks.Add(1)
				}
			}
			pause(ctx, 100*time.Millisecond)
		}
	})
}

// ask asks as often as one caller can who waits for each answer.
func (f *flooding) ask(ctx context.Context) {
	asked, refused := f.count("requests"), f.count("refused requests")
	h := &http.Client{Transport: &http.Transport{DialContext: dialer("127.0.9.1").DialContext}}
	f.work.Go(func() {
		defer h.CloseIdleConnections()
		for ctx.Err() == nil {
			req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+f.address+"/v1/repos", nil)
			if err != nil {
				return
			}
			resp, err := h.Do(req)
			if err != nil {
				continue
			}
			_, _ = io.Copy(io.Discard, resp.Body) // what comes
			_ = resp.Body.Close()                 // it was read
			asked.Add(1)
			if resp.StatusCode == http.StatusTooManyRequests {
				refused.Add(1)
				pause(ctx, 10*time.Millisecond) // this process shares the processors
			}
		}
	})
}

func (f *flooding) count(what string) *atomic.Int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.counts[what] = new(atomic.Int64)
	return f.counts[what]
}

// stop ends the flood. It may be called again.
func (f *flooding) stop() {
	f.cancel()
	f.work.Wait()
}

// String says what it was.
func (f *flooding) String() string {
	var said []string
	for what, n := range f.counts {
		said = append(said, fmt.Sprintf("%d %s", n.Load(), what))
	}
	slices.SortFunc(said, cmp.Compare)
	return strings.Join(said, ", ")
}

func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}
