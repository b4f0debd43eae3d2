package floods_test

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/registry"
)

// TestIdleConnections: who opens connections and says nothing has half of those that
// there may be, keeps nobody out, and is cut off for others.
func TestIdleConnections(t *testing.T) {
	w := serve(t, registry.Config{Limits: registry.Limits{Connections: 32}})
	w.push(t, 1<<20)
	var idle []net.Conn
	for range 200 {
		idle = append(idle, w.raw(t, foe, ""))
	}
	w.pull(t)
	eventually(t, "the connections of one address are at most half", func() bool {
		return w.metric(t, "ingot_registry_connections") <= 32 && w.metric(t, "ingot_registry_connections_closed_total") >= 184
	})
	open := 0
	for _, c := range idle {
		if !closed(c) {
			open++
		}
	}
	if open > 16 {
		t.Errorf("%d connections of one address are open", open)
	}
	// From everywhere: the oldest give way.
	for i := range 100 {
		w.raw(t, fmt.Sprintf("127.0.1.%d", i+1), "")
	}
	w.pull(t)
	if n := w.metric(t, "ingot_registry_connections"); n > 32 {
		t.Errorf("%v connections", n)
	}
}

// TestSlowHeaders: who sends a header a bit at a time is cut off when its time is up,
// and others are served meanwhile.
func TestSlowHeaders(t *testing.T) {
	w := serve(t, registry.Config{Limits: registry.Limits{Connections: 32, HeaderTimeout: time.Second}})
	w.push(t, 1<<20)
	var slow []net.Conn
	for range 16 {
		slow = append(slow, w.raw(t, foe, "GET / HTTP/1.1\r\nHost:"))
	}
	w.pull(t)
	eventually(t, "slow headers are cut off", func() bool {
		for _, c := range slow {
			if !closed(c) {
				return false
			}
		}
		return true
	})
}

// TestSlowUploads: uploads that do not come take no more than the share of their
// caller, and others push.
func TestSlowUploads(t *testing.T) {
	w := serve(t, registry.Config{Memory: 64 << 20})
	w.push(t, 1<<20)
	const batch = 6 << 20
	for i := range 40 {
		w.raw(t, foe, request("POST", "/v1/pushes/"+strings.Repeat("a", 20)+"/chunks",
			"Content-Type: application/vnd.ingot.chunks.v1", "Content-Length: "+strconv.Itoa(batch))+strconv.Itoa(i))
	}
	const used = "ingot_registry_memory_used_bytes"
	eventually(t, "the flood takes its share", func() bool { return w.metric(t, used) > 16<<20 })
	if n := w.metric(t, used); n > 40<<20 {
		t.Errorf("the flood has %v of 64 MiB", n)
	}
	other := w.from(t, friend, client.Options{})
	if _, err := other.Push(t.Context(), w.model, w.ref, client.PushOptions{}); err != nil {
		t.Errorf("push beside it: %v", err)
	}
	w.push(t, 1<<20)
	w.pull(t)
	if n := w.metric(t, used); n > 64<<20 {
		t.Errorf("%v bytes in use of 64 MiB", n)
	}
}

// TestManyRequests: who asks too often is told when to come back, and nobody else is.
func TestManyRequests(t *testing.T) {
	w := serve(t, registry.Config{Limits: registry.Limits{RatePerAddress: 25}})
	w.push(t, 1<<20)
	refused, flood := 0, callingFrom(t, foe)
	for range 100 {
		resp, err := flood.Get("http://" + w.address + "/v1/repos")
		if err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(io.Discard, resp.Body); err != nil {
			t.Error(err)
		}
		_ = resp.Body.Close() // it was read
		if resp.StatusCode == http.StatusTooManyRequests {
			refused++
			if s, err := strconv.Atoi(resp.Header.Get("Retry-After")); err != nil || s < 1 {
				t.Errorf("Retry-After %q", resp.Header.Get("Retry-After"))
			}
		}
	}
	if n := w.metric(t, `ingot_registry_limited_total{limit="address"}`); refused < 20 || n != float64(refused) {
		t.Errorf("%d of 100 were refused, %v counted", refused, n)
	}
	w.pull(t)
}

// TestSlowReaders: who takes no answer keeps its connection, and no memory.
func TestSlowReaders(t *testing.T) {
	w := serve(t, registry.Config{Memory: 32 << 20})
	w.push(t, 9<<20)
	info, err := w.from(t, friend, client.Options{}).Resolve(t.Context(), w.ref)
	if err != nil {
		t.Fatal(err)
	}
	for range 32 {
		c := w.raw(t, foe, request("GET", fmt.Sprintf("/v1/repos/acme/model/versions/%s/chunks?i=0-3", info)))
		if _, err := bufio.NewReaderSize(c, 16).ReadString('\n'); err != nil {
			t.Fatal(err) // its answer has begun
		}
	}
	w.pull(t)
	if n := w.metric(t, "ingot_registry_memory_used_bytes"); n != 0 {
		t.Errorf("%v bytes for chunks that go as they are stored", n)
	}
}
