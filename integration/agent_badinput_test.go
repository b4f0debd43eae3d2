package integration_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/openapi"
)

// odd is the model of these tests, and oddRef its reference.
const oddRef = "odd/model:main"

// pushed makes a model of about that many MiB, pushes it as oddRef, and returns
// what is in it.
func (r *registry) pushed(mib int64) (receipt, sums) {
	r.t.Helper()
	dir := weightsOf(r.t, synth.ForSize(mib<<20))
	return r.push(dir, oddRef), sumsOf(r.t, dir)
}

// right leases oddRef and compares all of it.
func (n *node) right(want sums) {
	n.t.Helper()
	l := n.lease(oddRef)
	if err := errors.Join(want.check(n.t.Context(), l), l.Close()); err != nil {
		n.t.Error(err)
	}
}

// TestAgentRegistryGone starts an agent before its registry, and takes the registry
// away while it serves, and while it starts.
func TestAgentRegistryGone(t *testing.T) {
	t.Parallel()
	r := serve(t)
	got, want := r.pushed(8)
	r.kill()
	n := r.node(fmt.Sprintf("poll: 1s\nmodels: [{ref: %q, tier: ram, watch: true}]", oddRef))
	gone := func() error {
		if s := n.status().Registry; s.Reachable || s.Error == "" {
			return fmt.Errorf("the registry: %+v", s)
		}
		return nil
	}
	n.until("it says that the registry is gone", gone)
	_, err := n.Lease(t.Context(), openapi.LeaseRequest{Ref: oddRef, Deadline: 0.1}, agent.LeaseOptions{})
	refused(t, err, openapi.CodeUnavailable, oddRef)

	r.start()
	n.untilServed(oddRef, got.Digest, openapi.TierRAM)
	r.kill()
	n.until("it says that the registry is gone", gone)
	n.right(want)
	if err := n.stop(); err != nil {
		t.Errorf("the agent ends: %v", err)
	}
	n.start()
	n.right(want)
	n.untilServed(oddRef, got.Digest, openapi.TierRAM)
}

// TestAgentDamagedDisk damages every chunk on the disk, before and after a crash.
// They are found out, counted and fetched again.
func TestAgentDamagedDisk(t *testing.T) {
	r := serve(t)
	_, want := r.pushed(8)
	n := r.node("")
	for _, crash := range []bool{false, true} {
		n.load(oddRef, openapi.TierDisk)
		if crash {
			n.kill()
		}
		damaged := damage(t, n.path("data/disk/chunks"))
		if crash {
			n.start()
		}
		n.right(want)
		if got := n.status().Damaged; got != damaged {
			t.Errorf("%d chunks were found damaged, want %d", got, damaged)
		}
		n.unloaded(openapi.TierDisk)
		n.right(want) // of what was fetched again
		if got := n.status().Damaged; got != damaged {
			t.Errorf("%d chunks were found damaged, want %d as before", got, damaged)
		}
		n.unloaded(openapi.TierDisk)
	}
}

// damage changes a byte of every file below dir.
func damage(t *testing.T, dir string) (files int64) {
	t.Helper()
	for path := range tree(t, dir) {
		f, err := os.OpenFile(filepath.Join(dir, path), os.O_RDWR, 0)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 1)
		_, err = f.ReadAt(b, 100)
		if err == nil {
			b[0] ^= 1
			_, err = f.WriteAt(b, 100)
		}
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
		files++
	}
	return files
}

// TestAgentLyingRegistry fetches through a proxy that changes a byte of every
// answer with chunks. None of it is served.
func TestAgentLyingRegistry(t *testing.T) {
	r := serve(t)
	_, want := r.pushed(8)
	var lies atomic.Bool
	lies.Store(true)
	proxy := httptest.NewServer(lying("http://"+r.addr, &lies))
	defer proxy.Close()
	n := r.node("", "--registry", proxy.URL)
	_, err := n.Load(t.Context(), openapi.LoadRequest{Ref: oddRef, Tier: openapi.TierRAM})
	refused(t, err, openapi.CodeBadChunk, oddRef)
	_, err = n.Lease(t.Context(), openapi.LeaseRequest{Ref: oddRef}, agent.LeaseOptions{})
	refused(t, err, openapi.CodeBadChunk, oddRef)
	s := n.status()
	if s.Refused == 0 || s.Damaged != 0 {
		t.Errorf("chunks of the registry: %d refused, of the disk: %d damaged", s.Refused, s.Damaged)
	}
	for _, m := range s.Models {
		if m.Tier != openapi.TierNone {
			t.Errorf("served all the same: %+v", m)
		}
	}
	lies.Store(false)
	n.right(want)
}

// lying is a proxy of a registry that changes a byte of chunks while it lies.
func lying(registry string, lies *atomic.Bool) http.Handler {
	to, _ := url.Parse(registry) // it is one
	return &httputil.ReverseProxy{
		Rewrite: func(q *httputil.ProxyRequest) { q.SetURL(to) },
		ModifyResponse: func(a *http.Response) error {
			if !lies.Load() || !strings.Contains(a.Request.URL.Path, "/chunks") {
				return nil
			}
			b, err := io.ReadAll(a.Body)
			if err != nil {
				return err
			}
			b[len(b)-1] ^= 1
			a.Body = io.NopCloser(bytes.NewReader(b))
			return nil
		},
	}
}

// TestAgentFullDisk has a disk that is smaller than the budget. What does not fit
// is refused, memory does without, and there is room later.
func TestAgentFullDisk(t *testing.T) {
	r := serve(t)
	_, want := r.pushed(24)
	disk := smallDisk(t, "12")
	n := r.node("", "--data", disk)
	t.Cleanup(n.kill) // before the disk is unmounted
	_, err := n.Load(t.Context(), openapi.LoadRequest{Ref: oddRef, Tier: openapi.TierDisk})
	refused(t, err, openapi.CodeNoSpace, oddRef)
	n.right(want)
	if m := n.model(oddRef); m.Tier != openapi.TierRAM {
		t.Errorf("in memory alone: %+v", m)
	}
	n.kill()
	n.start() // on a disk that is still full
	n.right(want)
	growDisk(t, disk, "64")
	if got := n.load(oddRef, openapi.TierDisk); got.BytesReceived >= got.BytesTotal/2 {
		t.Errorf("with room all came again: %+v", got)
	}
	n.right(want)
}

// TestAgentSmallMemory has less memory than the model needs: a lease of the whole
// is refused with the numbers, and a window brings every tensor.
func TestAgentSmallMemory(t *testing.T) {
	r := serve(t)
	_, want := r.pushed(48)
	n := r.node("", "--ram", "16MiB")
	for _, mode := range []string{openapi.LeaseWhole, openapi.LeaseStream} {
		refused(t, n.streamed(oddRef, mode, want), openapi.CodeTooLarge, "16.0 MiB", "it needs 4")
	}
	for range 2 { // from the registry, and again
		if err := n.streamed(oddRef, openapi.LeaseWindow, want); err != nil {
			t.Error(err)
		}
	}
	n.load(oddRef, openapi.TierDisk)
	if err := n.streamed(oddRef, openapi.LeaseWindow, want); err != nil {
		t.Error(err)
	}
	n.until("the windows are gone", func() error {
		if used := n.status().Tiers.RAM.Used; used != 0 {
			return fmt.Errorf("%d bytes of memory are in use", used)
		}
		return nil
	})
}

// TestAgentSmallDisk has less disk than the model needs: it is refused with the
// numbers, and memory holds it all the same.
func TestAgentSmallDisk(t *testing.T) {
	r := serve(t)
	_, want := r.pushed(48)
	n := r.node("", "--disk", "16MiB")
	_, err := n.Load(t.Context(), openapi.LoadRequest{Ref: oddRef, Tier: openapi.TierDisk})
	refused(t, err, openapi.CodeTooLarge, "16.0 MiB", "it needs 4")
	n.right(want)
	if used := diskUsage(t, n.path("data")); used > 16<<20 {
		t.Errorf("the folder has %d bytes", used)
	}
}
