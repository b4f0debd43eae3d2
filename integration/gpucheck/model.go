package main

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/ingot-ml/ingot/cuda/ptx"
)

// chunk is what a model is cut into, and what variants differ in.
const chunk = 2 * mib

// changed is every how many chunks the tuned variant differs from its base: 5 % of
// them, in every part of the model.
const changed = 20

// layout is the shape of the models: files of tensors of equal size, of random
// bits. They are not compressible, so that nobody's codec is measured.
type layout struct {
	tensors int // a multiple of files
	chunks  int // of a tensor
	files   int
}

// layoutFor returns the shape of a model of about that size: as many layers as
// models have, of tensors as large as theirs.
func layoutFor(size int64) layout {
	const files, most = 4, 32 // chunks of a tensor: 64 MiB
	all := int(size / chunk)
	l := layout{files: files, chunks: min(max(all/48, 1), most)}
	l.tensors = max(all/l.chunks/files, 1) * files
	return l
}

func (l layout) tensorBytes() int64 { return int64(l.chunks) * chunk }
func (l layout) bytes() int64       { return int64(l.tensors) * l.tensorBytes() }

// name is the name of a tensor: one layer each, so that slabs may begin there.
func (l layout) name(tensor int) string {
	return fmt.Sprintf("model.layers.%d.mlp.weight", tensor)
}

// file is the file that a tensor is in, and its place there.
func (l layout) file(tensor int) (name string, place int) {
	each := l.tensors / l.files
	return fmt.Sprintf("model-%05d-of-%05d.safetensors", tensor/each+1, l.files), tensor % each
}

// header is the beginning of a file, filled up to a multiple of a page.
func (l layout) header(file int) ([]byte, error) {
	type entry struct {
		DType   string   `json:"dtype"`
		Shape   [2]int64 `json:"shape"`
		Offsets [2]int64 `json:"data_offsets"`
	}
	const page, cols = 4096, 2048
	entries := map[string]entry{}
	each := l.tensors / l.files
	for i := range each {
		n := l.tensorBytes()
		entries[l.name(file*each+i)] = entry{"BF16", [2]int64{n / 2 / cols, cols}, [2]int64{int64(i) * n, int64(i+1) * n}}
	}
	text, err := json.Marshal(entries)
	if err != nil {
		return nil, err
	}
	padded := (8 + len(text) + page - 1) / page * page
	out := binary.LittleEndian.AppendUint64(nil, uint64(padded-8))
	out = append(out, text...)
	for len(out) < padded {
		out = append(out, ' ')
	}
	return out, nil
}

// variant says which random bits a chunk has. Variants with the same bits in a chunk
// have the same number for it.
type variant struct {
	name string
	seed func(tensor, chunk int) uint64
}

// bits is the number of a chunk of a base.
func bits(of uint64, l layout, tensor, i int) uint64 {
	return of<<40 | uint64(tensor*l.chunks+i)
}

// base is a model that has nothing in common with one of another number.
func (l layout) base(name string, of uint64) variant {
	return variant{name, func(tensor, i int) uint64 { return bits(of, l, tensor, i) }}
}

// tuned differs from a base in 5 % of the chunks, all over the model.
func (l layout) tuned(name string, of, other uint64) variant {
	return variant{name, func(tensor, i int) uint64 {
		if (tensor*l.chunks+i)%changed == changed/2 {
			return bits(other, l, tensor, i)
		}
		return bits(of, l, tensor, i)
	}}
}

// layer differs from a base in one tensor.
func (l layout) layer(name string, of, other uint64, which int) variant {
	return variant{name, func(tensor, i int) uint64 {
		if tensor == which {
			return bits(other, l, tensor, i)
		}
		return bits(of, l, tensor, i)
	}}
}

// differ returns the bytes of the chunks in which two variants differ.
func (l layout) differ(a, b variant) (bytes int64) {
	for tensor := range l.tensors {
		for i := range l.chunks {
			if a.seed(tensor, i) != b.seed(tensor, i) {
				bytes += chunk
			}
		}
	}
	return bytes
}

// disk is a folder with a model, and what it is to become.
type disk struct {
	layout
	dir string
	now *variant // nil: nothing

	mu   sync.Mutex
	sums map[uint64]uint64 // the checksum of a chunk by its number
}

// become makes the folder hold a variant. Only chunks that differ are written.
func (d *disk) become(ctx context.Context, v variant) error {
	if d.now == nil {
		if err := d.begin(); err != nil {
			return err
		}
	}
	work := make(chan int)
	var workers sync.WaitGroup
	var failure error
	for range runtime.NumCPU() {
		workers.Go(func() {
			for tensor := range work {
				if err := d.write(v, tensor); err != nil {
					d.mu.Lock()
					failure = errors.Join(failure, err)
					d.mu.Unlock()
				}
			}
		})
	}
	for tensor := range d.tensors {
		if ctx.Err() != nil {
			break
		}
		work <- tensor
	}
	close(work)
	workers.Wait()
	d.now = &v
	return errors.Join(failure, context.Cause(ctx))
}

// begin makes the files, empty.
func (d *disk) begin() error {
	if err := os.MkdirAll(d.dir, 0o700); err != nil {
		return err
	}
	d.sums = map[uint64]uint64{}
	for i := range d.files {
		name, _ := d.file(i * (d.tensors / d.files))
		header, err := d.header(i)
		if err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(d.dir, name), header, 0o600); err != nil {
			return err
		}
	}
	return os.WriteFile(filepath.Join(d.dir, "config.json"), []byte("{\"architectures\": [\"Random\"]}\n"), 0o600)
}

// write writes the chunks of a tensor that are to be others.
func (d *disk) write(v variant, tensor int) (err error) {
	name, place := d.file(tensor)
	header, err := d.header(tensor / (d.tensors / d.files))
	if err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(d.dir, name), os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	at := int64(len(header)) + int64(place)*d.tensorBytes()
	content := make([]byte, chunk)
	for i := range d.chunks {
		of := v.seed(tensor, i)
		if d.now != nil && d.now.seed(tensor, i) == of {
			continue
		}
		var seed [32]byte
		binary.LittleEndian.PutUint64(seed[:], of)
		_, _ = rand.NewChaCha8(seed).Read(content) // it never fails
		if _, err := f.WriteAt(content, at+int64(i)*chunk); err != nil {
			return err
		}
		d.note(of, ptx.Sum64(content))
	}
	return nil
}

func (d *disk) note(of, sum uint64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.sums[of] = sum
}

// sum returns the checksum that a chunk of a variant has.
func (d *disk) sum(v variant, tensor, i int) uint64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.sums[v.seed(tensor, i)]
}
