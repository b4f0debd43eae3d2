package synth

import (
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"

	"golang.org/x/sync/errgroup"
)

// blockSize is how many bytes are made before they are written.
const blockSize = 1 << 20

// part is a tensor and the place of its bytes.
type part struct {
	tensor
	file   *os.File
	offset int64
}

// Write makes the model that s and the changes describe in the folder dir, which
// it creates: safetensors files, config.json, tokenizer.json, and
// model.safetensors.index.json when there are shards. It makes tensors in
// parallel, on all processors that Go may use, in a few MiB each. Files of these
// names are overwritten, others stay: use an empty folder. After an error
// or when ctx ends, files are left incomplete. An impossible model is ErrSpec.
func Write(ctx context.Context, dir string, s Spec, changes ...Change) error {
	m, err := newModel(s, changes)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return fmt.Errorf("write model: %w", err)
	}
	if err := m.writeWeights(ctx, dir); err != nil {
		return fmt.Errorf("write model: %w", err)
	}
	if err := m.writeDocuments(dir); err != nil {
		return fmt.Errorf("write model: %w", err)
	}
	return nil
}

func (m *model) writeWeights(ctx context.Context, dir string) (err error) {
	shards := m.shards()
	var parts []part
	var files []*os.File
	defer func() {
		for _, f := range files {
			if cerr := f.Close(); err == nil {
				err = cerr
			}
		}
	}()
	for i, list := range shards {
		f, err := os.Create(filepath.Join(dir, shardName(i, len(shards))))
		if err != nil {
			return err
		}
		files = append(files, f)
		header := m.header(list)
		if _, err := f.Write(header); err != nil {
			return err
		}
		offset := int64(len(header))
		for _, t := range list {
			parts = append(parts, part{t, f, offset})
			offset += m.bytes(t)
		}
	}
	return m.writeParts(ctx, parts)
}

// writeParts makes the longest tensors first, so that no processor is left with
// a long one at the end.
func (m *model) writeParts(ctx context.Context, parts []part) error {
	slices.SortStableFunc(parts, func(a, b part) int { return int(b.elements() - a.elements()) })
	group, working := errgroup.WithContext(ctx)
	group.SetLimit(runtime.GOMAXPROCS(0))
	for _, p := range parts {
		if working.Err() != nil {
			break
		}
		group.Go(func() error { return m.writePart(working, p) })
	}
	if err := group.Wait(); err != nil {
		return err
	}
	return ctx.Err()
}

func (m *model) writePart(ctx context.Context, p part) error {
	g := m.generator(p.tensor)
	row := p.cols * m.DType.Width()
	block := make([]byte, 0, blockSize+row)
	offset := p.offset
	for y := range p.rows {
		block = g.appendRow(block, y)
		if len(block) < blockSize && y+1 < p.rows {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if _, err := p.file.WriteAt(block, offset); err != nil {
			return err
		}
		offset += int64(len(block))
		block = block[:0]
	}
	return nil
}

// bytes returns the length of t in a file.
func (m *model) bytes(t tensor) int64 { return t.elements() * int64(m.DType.Width()) }

// header returns the start of a safetensors file, up to its data.
func (m *model) header(list []tensor) []byte {
	b := append(make([]byte, 8), `{"__metadata__":{"format":"pt"}`...)
	var offset int64
	for _, t := range list {
		end := offset + m.bytes(t)
		b = fmt.Appendf(b, `,%q:{"dtype":%q,"shape":%s,"data_offsets":[%d,%d]}`, t.name, m.DType.String(), t.shape(), offset, end)
		offset = end
	}
	b = append(b, '}')
	for len(b)%8 != 0 {
		b = append(b, ' ')
	}
	binary.LittleEndian.PutUint64(b, uint64(len(b)-8))
	return b
}

func shardName(i, n int) string {
	if n == 1 {
		return "model.safetensors"
	}
	return fmt.Sprintf("model-%05d-of-%05d.safetensors", i+1, n)
}
