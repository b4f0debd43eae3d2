package integration_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/name"
)

// Memory for a few models, and small ones.
const (
	zipfRoom  = 20
	zipfBytes = 4096
)

// zipfSize is how many models there are and how many requests, of which most are
// for the popular ones.
func zipfSize() (models, requests int) {
	if large() {
		return 1000, 3000
	}
	return 250, 1000
}

// TestAgentZipf leases one of many models after another, with room for twenty in
// memory: of 250, or with INGOT_LARGE of a thousand. Every answer is right, and the hits in each tier are those of a
// cache that throws out what was not used for the longest time.
func TestAgentZipf(t *testing.T) {
	r := servePlain(t)
	r.pushZipf()
	n := r.node("models: [{match: zipf/*}]", "--ram-models", strconv.Itoa(zipfRoom))
	released := n.released()
	requests := zipfTrace()
	for _, m := range requests {
		l := n.lease(zipfRef(m).String())
		tensor, err := l.Tensor("", "w")
		if err != nil || !bytes.Equal(tensor.Bytes, zipfTensor(m)) {
			t.Fatalf("model %d has wrong bytes: %v", m, err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		<-released // else it may be the last that was used
	}
	inRAM, inNone := leastRecent(requests, zipfRoom), zipfDistinct(requests)
	for tier, want := range map[string]int{"ram": inRAM, "none": inNone, "disk": len(requests) - inRAM - inNone} {
		if got := n.metric(`ingot_node_hits_total{tier="` + tier + `"}`); got != want {
			t.Errorf("%d hits in tier %s, want %d", got, tier, want)
		}
	}
	if s := n.status(); s.Tiers.RAM.Models != zipfRoom || s.Tiers.Disk.Models != inNone {
		t.Errorf("in the end: %+v", s.Tiers)
	}
	best := belady(requests, zipfRoom)
	t.Logf("of %d requests for %d models %d were in memory and %d on the disk; the best of all caches has %d in memory",
		len(requests), inNone, inRAM, len(requests)-inRAM-inNone, best)
	if best < inRAM || inRAM == 0 {
		t.Errorf("the best has %d hits, the reference %d", best, inRAM)
	}
}

func zipfRef(m int) name.Ref {
	return name.Ref{Repo: name.Repo{Namespace: "zipf", Name: "model-" + strconv.Itoa(m)}, Tag: "main"}
}

// zipfTensor is what is in a model.
func zipfTensor(m int) []byte {
	b := make([]byte, zipfBytes)
	_, _ = rand.NewChaCha8([32]byte{byte(m), byte(m >> 8)}).Read(b) // it never fails
	return b
}

// pushZipf pushes all models, a few at a time.
func (r *registry) pushZipf() {
	r.t.Helper()
	registry, err := client.New("http://"+r.addr, client.Options{})
	if err != nil {
		r.t.Fatal(err)
	}
	defer registry.Close()
	models, _ := zipfSize()
	header := fmt.Sprintf(`{"w":{"dtype":"U8","shape":[%d],"data_offsets":[0,%d]}}`, zipfBytes, zipfBytes)
	folder := r.t.TempDir()
	var wg sync.WaitGroup
	for worker := range 8 {
		wg.Go(func() {
			for m := worker; m < models; m += 8 {
				path := filepath.Join(folder, fmt.Sprintf("%d.safetensors", m))
				content := append(binary.LittleEndian.AppendUint64(nil, uint64(len(header))), header...)
				err := os.WriteFile(path, append(content, zipfTensor(m)...), 0o666)
				if err == nil {
					_, err = registry.Push(r.t.Context(), path, zipfRef(m), client.PushOptions{})
				}
				if err != nil {
					r.t.Errorf("push model %d: %v", m, err)
					return
				}
			}
		})
	}
	wg.Wait()
	if r.t.Failed() {
		r.t.FailNow()
	}
}

// zipfTrace is which model each request is for.
func zipfTrace() []int {
	rnd := rand.New(rand.NewPCG(4, 2))
	models, n := zipfSize()
	zipf := rand.NewZipf(rnd, 1.1, 4, uint64(models-1))
	names := rnd.Perm(models)
	requests := make([]int, n)
	for i := range requests {
		requests[i] = names[zipf.Uint64()]
	}
	return requests
}

// zipfDistinct counts the models that are asked for at all.
func zipfDistinct(requests []int) int {
	return len(slices.Compact(slices.Sorted(slices.Values(requests))))
}

// leastRecent is how often a cache of so many models hits that throws out what was
// not used for the longest time.
func leastRecent(requests []int, room int) (hits int) {
	var cache []int
	for _, m := range requests {
		if i := slices.Index(cache, m); i >= 0 {
			hits++
			cache = slices.Delete(cache, i, i+1)
		} else if len(cache) == room {
			cache = cache[1:]
		}
		cache = append(cache, m)
	}
	return hits
}

// belady is how often one hits that throws out what is not used again for the
// longest time, which nobody can do better and nobody knows beforehand.
func belady(requests []int, room int) (hits int) {
	next := make([]int, len(requests)) // when the model is asked for again
	seen := map[int]int{}
	for i, m := range slices.Backward(requests) {
		next[i] = len(requests)
		if at, ok := seen[m]; ok {
			next[i] = at
		}
		seen[m] = i
	}
	cache := map[int]int{} // when each is asked for again
	for i, m := range requests {
		if _, ok := cache[m]; ok {
			hits++
		} else if len(cache) == room {
			last := -1
			for c, at := range cache {
				if last < 0 || at > cache[last] {
					last = c
				}
			}
			delete(cache, last)
		}
		cache[m] = next[i]
	}
	return hits
}

// released returns a channel that hears of every lease that has ended from now on.
func (n *node) released() <-chan struct{} {
	n.t.Helper()
	events, err := n.Events(n.t.Context())
	if err != nil {
		n.t.Fatal(err)
	}
	released := make(chan struct{})
	go func() {
		defer close(released)
		for e, err := range events {
			if err != nil {
				if n.t.Context().Err() == nil {
					n.t.Errorf("events: %v", err)
				}
				return
			}
			if e.Type != openapi.EventReleased {
				continue
			}
			select {
			case released <- struct{}{}:
			case <-n.t.Context().Done():
				return
			}
		}
	}()
	return released
}

// metric returns a number that the agent counts, as Prometheus names it.
func (n *node) metric(name string) int {
	n.t.Helper()
	h := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", n.path("agent.sock"))
	}}}
	answer, err := h.Get("http://agent/metrics")
	if err != nil {
		n.t.Fatal(err)
	}
	defer answer.Body.Close()
	for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
		if value, ok := strings.CutPrefix(lines.Text(), name+" "); ok {
			number, err := strconv.ParseFloat(value, 64)
			if err != nil {
				n.t.Fatal(err)
			}
			return int(number)
		}
	}
	n.t.Fatalf("the agent does not count %s", name)
	return 0
}
