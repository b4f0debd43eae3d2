package gpu

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/cuda"
	"github.com/ingot-ml/ingot/cuda/ptx"
	"github.com/ingot-ml/ingot/nodecache/internal/ledger"
	"github.com/ingot-ml/ingot/nodecache/internal/mover"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// world is a GPU, its mover and the RAM beside it, in the memory of the test. It
// fails the test when a law is broken: a write to what somebody uses, memory that is
// given back while it is mapped, more slabs than the budget.
type world struct {
	t      *testing.T
	device *Device
	budget int64
	real   int64 // bytes of the GPU
	dir    string

	mu      sync.Mutex
	last    cuda.Handle
	memory  map[cuda.Handle][]byte
	slabs   map[uint64]cuda.Handle // that the mover has
	users   map[uint64]int         // clients that use a slab and have not paused
	mapped  map[uint64]int         // clients that have it mapped
	ram     map[chunker.Digest]ramPlace
	segment []byte
	held    int           // versions
	lag     time.Duration // before memory that was released is free
	lost    int64         // bytes of such memory
	lossy   bool          // images may be lost, which clients have mapped until they hear of it

	failure sync.Mutex
	fail    func(what string) error // of the next call, nil for none; failure protects it
	copies  []mover.Copy            // of the last Copy
	events  []openapi.NodeEvent
}

type ramPlace struct{ offset, length int64 }

func newWorld(t *testing.T, budget int64) *world {
	w := &world{
		t: t, budget: budget, real: budget, dir: t.TempDir(), memory: map[cuda.Handle][]byte{}, slabs: map[uint64]cuda.Handle{},
		users: map[uint64]int{}, mapped: map[uint64]int{}, ram: map[chunker.Digest]ramPlace{},
	}
	w.device = New(Config{
		UUID: "GPU-0", Logger: slog.New(alarm{slog.DiscardHandler, t}), Budget: budget, Memory: w, Bus: w, Slice: time.Second, PauseWait: 10 * time.Second,
		Event: func(_ ledger.Key, e openapi.NodeEvent) {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.events = append(w.events, e)
		},
	})
	w.device.cut = cut{least: 28 << 10, most: 128 << 10, unit: 64 << 10}
	return w
}

// alarm fails the test when something is logged that cannot be.
type alarm struct {
	slog.Handler
	t *testing.T
}

func (a alarm) Enabled(context.Context, slog.Level) bool { return true }

func (a alarm) Handle(_ context.Context, r slog.Record) error {
	if r.Level >= slog.LevelError {
		r.Attrs(func(at slog.Attr) bool { a.t.Log(at); return true })
		a.t.Errorf("logged: %s", r.Message)
	}
	return nil
}

// close closes the device and wants everything back.
func (w *world) close() {
	w.t.Helper()
	w.device.Close()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.memory) != 0 || len(w.slabs) != 0 || w.held != 0 || len(w.device.slabs) != 0 || len(w.device.extents) != 0 {
		w.t.Errorf("at the end there are %d memories, %d slabs of the mover, %d versions held, %d slabs, %d extents",
			len(w.memory), len(w.slabs), w.held, len(w.device.slabs), len(w.device.extents))
	}
	for n, s := range w.device.slabs {
		for im := range s.images {
			w.t.Logf("slab %d %s: image %s there %v", s.id, n.recipe.Short(), im.version.Key, w.device.images[im.version.Key] == im)
		}
	}
	if used := w.device.ledger.Used(); used != 0 {
		w.t.Errorf("at the end %d bytes are used", used)
	}
}

func (w *world) failing(what string) error {
	w.failure.Lock()
	defer w.failure.Unlock()
	if w.fail == nil {
		return nil
	}
	return w.fail(what)
}

// used is the bytes of all memory.
func (w *world) used() (n int64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, m := range w.memory {
		n += int64(len(m))
	}
	return n
}

func (w *world) Create(size int64) (cuda.Handle, error) {
	if err := w.failing("create"); err != nil {
		return 0, err
	}
	if size <= 0 || size%w.device.cut.unit != 0 {
		w.t.Errorf("memory of %d bytes", size)
	}
	used := w.used()
	w.mu.Lock()
	defer w.mu.Unlock()
	if used+size > w.budget {
		w.t.Errorf("%d bytes of slabs, and the budget is %d", used+size, w.budget)
	}
	if used+w.lost+size > w.real {
		return 0, fmt.Errorf("create: %w", cuda.ErrOutOfMemory)
	}
	w.last++
	w.memory[w.last] = bytes.Repeat([]byte{0xA5}, int(size))
	return w.last, nil
}

// Export writes the number of the memory into a file, for AddSlab.
func (w *world) Export(h cuda.Handle) (*os.File, error) {
	if err := w.failing("export"); err != nil {
		return nil, err
	}
	path := filepath.Join(w.dir, strconv.Itoa(int(h)))
	if err := os.WriteFile(path, []byte(strconv.Itoa(int(h))), 0o600); err != nil {
		return nil, err
	}
	return os.Open(path)
}

func (w *world) Release(h cuda.Handle) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.memory[h] == nil {
		w.t.Errorf("memory %d is released, and there is none", h)
	}
	if n := int64(len(w.memory[h])); w.lag > 0 {
		w.lost += n
		time.AfterFunc(w.lag, func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.lost -= n
		})
	}
	delete(w.memory, h)
	return nil
}

func (w *world) AddSlab(id uint64, size int64, export func() (*os.File, error)) error {
	if err := w.failing("add slab"); err != nil {
		return err
	}
	f, err := export()
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(f)
	if err != nil {
		return err
	}
	h, err := strconv.Atoi(string(text))
	w.mu.Lock()
	defer w.mu.Unlock()
	if err != nil || int64(len(w.memory[cuda.Handle(h)])) != size {
		w.t.Errorf("slab %d of %d bytes has memory %q", id, size, text)
	}
	w.slabs[id] = cuda.Handle(h)
	return nil
}

func (w *world) DropSlab(id uint64) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.mapped[id] > 0 && !w.lossy {
		w.t.Errorf("slab %d is dropped, and %d clients have it mapped", id, w.mapped[id])
	}
	delete(w.slabs, id)
}

// bytesOf returns a part of a slab. w.mu is held.
func (w *world) bytesOf(id uint64, offset, length int64) []byte {
	m := w.memory[w.slabs[id]]
	if m == nil || offset < 0 || length <= 0 || offset+length > int64(len(m)) {
		w.t.Fatalf("slab %d of %d bytes is read or written at %d, %d bytes", id, len(m), offset, length)
	}
	return m[offset : offset+length]
}

func (w *world) Copy(ctx context.Context, list []mover.Copy, progress func(int64)) (moved mover.Moved, err error) {
	w.mu.Lock()
	w.copies = list
	w.mu.Unlock()
	var done int64
	for _, c := range list {
		if err := errors.Join(ctx.Err(), w.failing("copy")); err != nil {
			return moved, err
		}
		w.mu.Lock()
		if w.users[c.Slab] > 0 {
			w.t.Errorf("slab %d is written to while %d clients use it", c.Slab, w.users[c.Slab])
		}
		to := w.bytesOf(c.Slab, c.Offset, c.Length)
		switch c.From {
		case mover.FromMemory:
			copy(to, w.segment[c.At:c.At+c.Length])
		case mover.FromSlab:
			copy(to, w.bytesOf(c.Source, c.At, c.Length))
		case mover.FromZero:
			clear(to)
		}
		w.mu.Unlock()
		if c.From != mover.FromZero {
			moved.Copies++
			done += c.Length
			progress(done)
		}
	}
	return moved, nil
}

func (w *world) Sum(_ context.Context, ranges []mover.Range) (sums []uint64, err error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, r := range ranges {
		sums = append(sums, ptx.Sum64(w.bytesOf(r.Slab, r.Offset, r.Length)))
	}
	return sums, nil
}

func (w *world) Memory() (free, total int64, err error) {
	used := w.used()
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.real - used - w.lost, w.real, w.failing("memory")
}

// weights is a version in the test's words: the seed of each tensor's content, one
// for every chunk.
type weights struct {
	names []string
	seeds map[string][]int64
}

const chunkSize = 2 << 10

// family returns a version of layers with so many chunks each, and a head. Its bytes
// are in no other family.
func family(id int64, layers, chunks int) weights {
	v := weights{seeds: map[string][]int64{}}
	add := func(name string, n int) {
		v.names = append(v.names, name)
		for i := range n {
			v.seeds[name] = append(v.seeds[name], id<<20+int64(len(v.names)*1000+i))
		}
	}
	add("embed.weight", 3)
	for i := range layers {
		add(fmt.Sprintf("layers.%d.attn.weight", i), chunks/2)
		add(fmt.Sprintf("layers.%d.mlp.weight", i), chunks-chunks/2)
	}
	add("norm.weight", 1)
	return v
}

// with returns a variant in which chunks of a tensor have another seed.
func (v weights) with(tensor string, seed int64, chunks ...int) weights {
	out := weights{names: v.names, seeds: map[string][]int64{}}
	for name, seeds := range v.seeds {
		out.seeds[name] = append([]int64(nil), seeds...)
	}
	for _, c := range chunks {
		out.seeds[tensor][c] = seed
	}
	return out
}

// contents are what content has made.
var contents sync.Map

func content(seed int64) []byte {
	if b, ok := contents.Load(seed); ok {
		return b.([]byte)
	}
	b := make([]byte, chunkSize)
	r := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8), byte(seed >> 16), byte(seed >> 24)})
	_, _ = r.Read(b) // it never fails
	contents.Store(seed, b)
	return b
}

// version puts a version into RAM. The head of the file is a chunk that no tensor
// is in, and the last chunk of each tensor is shorter.
func (w *world) version(ref string, v weights) Version {
	b := manifest.NewBuilder()
	f := manifest.File{Path: "model.safetensors", Format: "safetensors"}
	var refs []chunker.Ref
	add := func(plain []byte) {
		refs = append(refs, w.chunk(plain))
		f.Size += uint64(len(plain))
	}
	add(content(1)[:100])
	for _, name := range v.names {
		t := manifest.Tensor{Name: name, DType: "U8", Offset: f.Size}
		for i, seed := range v.seeds[name] {
			plain := content(seed)
			if i == len(v.seeds[name])-1 {
				plain = plain[:len(plain)-100]
			}
			add(plain)
		}
		t.Length = f.Size - t.Offset
		t.Shape = []uint64{t.Length}
		f.Tensors = append(f.Tensors, t)
	}
	b.Add(f, refs)
	m, err := b.Build(chunker.Digest{}, nil)
	if err != nil {
		w.t.Fatal(err)
	}
	doc, err := m.Encode()
	if err != nil {
		w.t.Fatal(err)
	}
	parsed, err := name.ParseRef(ref)
	if err != nil {
		w.t.Fatal(err)
	}
	return Version{Key: ledger.Key{Repo: parsed.Repo, Digest: manifest.Name(doc)}, Ref: parsed, Hold: func(context.Context) (*Held, error) {
		return w.hold(m)
	}}
}

// chunk puts a chunk into RAM.
func (w *world) chunk(plain []byte) chunker.Ref {
	w.mu.Lock()
	defer w.mu.Unlock()
	ref := chunker.Ref{Digest: chunker.Sum(plain), Size: uint32(len(plain))}
	if _, ok := w.ram[ref.Digest]; !ok {
		w.ram[ref.Digest] = ramPlace{int64(len(w.segment)), int64(len(plain))}
		w.segment = append(w.segment, plain...)
	}
	return ref
}

func (w *world) hold(m *manifest.Manifest) (*Held, error) {
	if err := w.failing("hold"); err != nil {
		return nil, err
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.held++
	return &Held{
		Manifest: m,
		Place: func(d chunker.Digest) (uint64, int64, int64, bool) {
			w.mu.Lock()
			defer w.mu.Unlock()
			p, ok := w.ram[d]
			return 1, p.offset, p.length, ok
		},
		Read: func(_ context.Context, ref chunker.Ref, dst []byte) ([]byte, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			p := w.ram[ref.Digest]
			return append(dst[:0], w.segment[p.offset:p.offset+p.length]...), nil
		},
		Release: func() {
			w.mu.Lock()
			defer w.mu.Unlock()
			w.held--
		},
	}, nil
}
