package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// modelFiles are the files of the variant that is on the disk.
func (b *bench) modelFiles() []string {
	names, _ := filepath.Glob(filepath.Join(b.stack.files.dir, "*.safetensors")) // the pattern is sound
	slices.Sort(names)
	return names
}

// framework is what the client in Python gets its tensors in.
func (b *bench) framework(ctx context.Context) string {
	if b.hasTorch(ctx) == nil {
		return "torch"
	}
	return "array"
}

// client starts the client in Python, on the base.
func (b *bench) client(ctx context.Context) (*script, error) {
	tensor := changed / 2 / b.stack.chunks // the first that the tuned variant has another
	return b.start(ctx, "client.py", b.framework(ctx), ref(baseTag), b.device.UUID().String(), b.stack.name(tensor))
}

// attached is what the client says of an attach.
type attached struct {
	Seconds float64 `json:"seconds"`
	Tensors int     `json:"tensors"`
	Bytes   int64   `json:"bytes"`
}

// pythonAttach has Python use the base, and compare every tensor with the files.
func pythonAttach(ctx context.Context, b *bench) (err error) {
	s, err := b.running()
	if err != nil {
		return err
	}
	if err := b.imports(ctx, "ingot"); err != nil {
		return skipf("Python cannot import ingot: %v", err)
	}
	if err := b.only(ctx, baseTag); err != nil {
		return err
	}
	if _, _, err := b.loadGPU(ctx, baseTag); err != nil {
		return err
	}
	c, err := b.client(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.end(), b.leave(ctx)) }()
	var got attached
	if err := c.ask(&got, "attach"); err != nil {
		return err
	}
	s.attach = time.Duration(got.Seconds * float64(time.Second))
	b.measured("attach to a version on the GPU in Python", got.Seconds*1000, "ms")
	b.counted("bytes of tensors in Python", float64(got.Bytes), "B", fmt.Sprint(s.bytes()), got.Bytes == s.bytes() && got.Tensors == s.tensors)
	var compared struct {
		Differ int `json:"differ"`
	}
	if err := c.ask(&compared, append([]string{"equal"}, b.modelFiles()...)...); err != nil {
		return err
	}
	b.counted("tensors in Python that are not those of the files", float64(compared.Differ), "tensors", "0", compared.Differ == 0)
	return b.graphs(ctx, c)
}

// replayed is what a CUDA graph has computed, and what is right.
type replayed struct {
	Got   int64 `json:"got"`
	Right int64 `json:"right"`
}

// graphs captures a CUDA graph, and replays it after swaps of both kinds.
func (b *bench) graphs(ctx context.Context, c *script) error {
	if err := b.hasTorch(ctx); err != nil {
		return skipf("CUDA graphs: %v", err)
	}
	var none struct{}
	if err := c.ask(&none, "graph"); err != nil {
		return err
	}
	results := []int64{}
	replay := func(after string) error {
		var got replayed
		if err := c.ask(&got, "replay"); err != nil {
			return err
		}
		if got.Got != got.Right {
			return fmt.Errorf("a CUDA graph gave %d after %s, and %d is right", got.Got, after, got.Right)
		}
		results = append(results, got.Got)
		return nil
	}
	if err := replay("it was captured"); err != nil {
		return err
	}
	move := func(from, to string) error {
		receipt, err := b.swap(ctx, from, to)
		if err != nil {
			return err
		}
		if err := c.ask(&none, "await", receipt.Version.String()); err != nil {
			return err
		}
		if err := replay("a swap " + receipt.Kind); err != nil {
			return err
		}
		b.right("a CUDA graph after a swap "+receipt.Kind, "")
		return nil
	}
	if err := move(baseTag, tunedTag); err != nil { // in place
		return err
	}
	if _, _, err := b.loadGPU(ctx, baseTag); err != nil {
		return err
	}
	if err := move(tunedTag, baseTag); err != nil { // beside it
		return err
	}
	if results[0] == results[1] || results[0] != results[2] {
		return fmt.Errorf("the graph gave %v for base, tuned and base", results)
	}
	return nil
}

// loaded is what a loader says of a load.
type loaded struct {
	Seconds float64 `json:"seconds"`
	Bytes   int64   `json:"bytes"`
}

// loaders measures what others take to bring the same files onto the GPU.
func loaders(ctx context.Context, b *bench) error {
	s, err := b.running()
	if err != nil {
		return err
	}
	if err := b.hasTorch(ctx); err != nil {
		return skipf("no PyTorch: %v", err)
	}
	if err := b.only(ctx); err != nil { // others need the room
		return err
	}
	for _, path := range b.modelFiles() { // into the page cache
		if err := readThrough(path); err != nil {
			return err
		}
	}
	fastest := time.Duration(1 << 62)
	plain, err := b.loader(ctx, "safetensors", "safetensors.torch.load_file(device=\"cuda\")", "safetensors")
	if err != nil {
		return err
	}
	fastest = min(fastest, plain)
	if streamed, err := b.loader(ctx, "runai_model_streamer", "Run:ai Model Streamer", "streamer"); err == nil {
		fastest = min(fastest, streamed)
	} else if !errors.Is(err, errSkip) {
		return err
	} else {
		b.say(line{Name: "Run:ai Model Streamer", State: skipped, Reason: err.Error()[len(errSkip.Error())+2:]})
	}
	ours := (s.first + s.attach).Seconds()
	if s.first > 0 && s.attach > 0 {
		b.held("ours, from the page cache to tensors in Python", ours, "s", fmt.Sprintf("<= %s s, the fastest of the others", number(fastest.Seconds())), ours <= fastest.Seconds())
	}
	if s.small > 0 {
		times := plain.Seconds() / s.small.Seconds()
		b.held("swap in place, how many times as fast as safetensors", times, "×", ">= 10", times >= 10)
	}
	return nil
}

// loader measures one loader: the better of two loads in one process.
func (b *bench) loader(ctx context.Context, module, name, function string) (best time.Duration, err error) {
	if err := b.imports(ctx, module); err != nil {
		return 0, skipf("%v", err)
	}
	c, err := b.start(ctx, "loaders.py", append([]string{function}, b.modelFiles()...)...)
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, c.end()) }()
	best = time.Duration(1 << 62)
	for range 2 {
		var got loaded
		if err := c.ask(&got, "load"); err != nil {
			return 0, err
		}
		if got.Bytes != b.stack.bytes() {
			return 0, fmt.Errorf("%s loaded %d bytes of %d", name, got.Bytes, b.stack.bytes())
		}
		best = min(best, time.Duration(got.Seconds*float64(time.Second)))
	}
	b.measured(name, best.Seconds(), "s")
	return best, nil
}

// readThrough reads a file for nothing but the page cache.
func readThrough(path string) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{io.Discard}, struct{ io.Reader }{f}, make([]byte, 8*mib))
	return errors.Join(err, f.Close())
}

// busyLoad loads from pinned memory while another process keeps the GPU computing.
func busyLoad(ctx context.Context, b *bench) (err error) {
	s, err := b.running()
	if err != nil {
		return err
	}
	if err := b.hasTorch(ctx); err != nil {
		return skipf("no PyTorch: %v", err)
	}
	if err := b.only(ctx); err != nil {
		return err
	}
	c, err := b.start(ctx, "busy.py")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.end()) }()
	var alone, beside struct {
		Rate float64 `json:"rate"`
	}
	time.Sleep(time.Second) // of computing, to be measured
	if err := c.ask(&alone, "steps"); err != nil {
		return err
	}
	got, _, err := b.loadGPU(ctx, baseTag)
	if err != nil {
		return err
	}
	if err := c.ask(&beside, "steps"); err != nil {
		return err
	}
	b.measured("load while another process computes: rate", float64(s.bytes())/busy(got).Seconds()/1e9, "GB/s")
	b.measured("what that process gets done meanwhile", beside.Rate/alone.Rate*100, "%")
	return nil
}
