//go:build linux

package nodecache_test

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker/synth"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/client/agent"
	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/cuda/cudatest"
	"github.com/ingot-ml/ingot/integration/gpuclient"
	"github.com/ingot-ml/ingot/nodecache"
	"github.com/ingot-ml/ingot/openapi"
)

const mib = 1 << 20

// TestMain is also the mover of the tests.
func TestMain(m *testing.M) {
	if len(os.Args) == 4 && os.Args[1] == "mover" {
		if err := nodecache.Mover(os.Args[3]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// bench is a registry, and a node with GPUs of a fake driver.
type bench struct {
	t      *testing.T
	fake   *cudatest.State
	driver *cuda.Driver
	client *client.Registry
	config nodecache.Config
	agent  *agent.Agent
	spec   synth.Spec // of the models

	mu    sync.Mutex
	files map[string]string // folder by reference
}

func newBench(t *testing.T, o cudatest.Options) *bench {
	b := &bench{t: t, fake: cudatest.Use(t, o), spec: small, files: map[string]string{}}
	var err error
	if b.driver, err = cuda.Open(""); err != nil {
		t.Fatal(err)
	}
	address, r := serveRegistry(t)
	b.client = r
	b.config = nodecache.Config{
		Name: "gpu1", Registry: address, Data: t.TempDir(), Disk: 64 * mib, RAM: 64 * mib, Wait: time.Minute,
		GPU: []nodecache.GPUBudget{{Bytes: 64 * mib}}, GPUHeadroom: mib, MoverCommand: []string{os.Args[0], "mover"},
	}
	return b
}

// serve serves the node until the returned function is called.
func (b *bench) serve() (stop func()) {
	b.t.Helper()
	var end func()
	b.agent, end = serveNode(b.t, b.config)
	return end
}

func (b *bench) push(ref string, changes ...synth.Change) {
	b.t.Helper()
	dir := pushLike(b.t, b.client, b.spec, ref, changes...)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.files[ref] = dir
}

func (b *bench) load(ref string) openapi.LoadReceipt {
	b.t.Helper()
	r, err := b.agent.Load(b.t.Context(), openapi.LoadRequest{Ref: ref, Tier: openapi.TierGPU})
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func (b *bench) status() openapi.NodeStatus {
	b.t.Helper()
	s, err := b.agent.Status(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	return s
}

// attach leases a reference on a GPU, in this process. Every image is compared with
// the files before it is used.
func (b *bench) attach(q openapi.LeaseRequest) *gpuclient.Lease {
	b.t.Helper()
	l, err := gpuclient.Attach(b.t.Context(), gpuclient.Options{Socket: b.agent.Address(), Driver: b.driver, Request: q, Check: b.check})
	if err != nil {
		b.t.Fatal(err)
	}
	return l
}

// check compares an image with the files that were pushed.
func (b *bench) check(v *gpuclient.View) error {
	b.mu.Lock()
	dir := b.files[v.Image.Ref]
	b.mu.Unlock()
	want, err := readTensors(filepath.Join(dir, "model.safetensors"))
	if err != nil {
		return err
	}
	if len(want) != len(v.Image.Tensors) || len(want) == 0 {
		return fmt.Errorf("%s has %d tensors, want %d", v.Image.Ref, len(v.Image.Tensors), len(want))
	}
	for _, t := range v.Image.Tensors {
		got, err := v.Tensor(t)
		if err != nil {
			return err
		}
		if !bytes.Equal(got, want[t.Name]) {
			return fmt.Errorf("tensor %s of %s differs", t.Name, v.Image.Ref)
		}
	}
	return nil
}

// readTensors reads a file of tensors, as its format says.
func readTensors(path string) (map[string][]byte, error) {
	file, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	begin := 8 + binary.LittleEndian.Uint64(file)
	var header map[string]json.RawMessage
	if err := json.Unmarshal(file[8:begin], &header); err != nil {
		return nil, err
	}
	tensors := map[string][]byte{}
	for name, raw := range header {
		var t struct {
			Offsets [2]uint64 `json:"data_offsets"`
		}
		if name == "__metadata__" {
			continue
		}
		if err := json.Unmarshal(raw, &t); err != nil {
			return nil, err
		}
		tensors[name] = file[begin+t.Offsets[0] : begin+t.Offsets[1]]
	}
	return tensors, nil
}

// settled waits until a client has an image of a reference.
func (b *bench) settled(l *gpuclient.Lease, images int) {
	b.t.Helper()
	if err := l.Await(b.t.Context(), func(s gpuclient.State) bool { return s.Images >= images && !s.Paused }); err != nil {
		b.t.Fatal(err)
	}
}

// killMovers kills the movers that this process has started.
func killMovers(t *testing.T) (killed int) {
	t.Helper()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		status, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "stat"))
		line, _ := os.ReadFile(filepath.Join("/proc", e.Name(), "cmdline"))
		_, after, _ := strings.Cut(string(status), ") ")
		if f := strings.Fields(after); len(f) > 1 && f[1] == strconv.Itoa(os.Getpid()) && strings.Contains(string(line), "\x00mover\x00") {
			if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
				t.Fatal(err)
			}
			killed++
		}
	}
	return killed
}
