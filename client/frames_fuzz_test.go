package client

import (
	"bytes"
	"context"
	"testing"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// verifying is a Sink that fails the test for bytes that are not the chunk.
type verifying struct {
	t *testing.T
	m *manifest.Manifest
}

func (s verifying) Room(context.Context, uint32) ([]byte, error) { return nil, nil }

func (s verifying) Take(_ context.Context, c uint32, plain, _ []byte) error {
	if chunker.Sum(plain) != s.m.Chunks[c].Digest {
		s.t.Errorf("chunk %d is not what its name says", c)
	}
	return nil
}

// FuzzFrames reads what a registry may send for two chunks, of which one has kin at hand.
func FuzzFrames(f *testing.F) {
	held := bytes.Repeat([]byte("base"), 300)
	sent := bytes.Repeat([]byte("sent"), 300)
	one, two := bytes.Clone(held), bytes.Clone(sent)
	one[7], two[9] = 1, 1
	m := manifestOf(f, one, two)
	base := manifestOf(f, held)
	frame := func(plain, of []byte) []byte {
		if of == nil {
			return openapi.AppendFrame(nil, chunker.Sum(plain), codec.Append(nil, plain, chunker.U8))
		}
		enc, ok := codec.AppendDelta(nil, plain, of, chunker.Sum(of), chunker.U8, len(plain))
		if !ok {
			f.Fatal("no delta")
		}
		return openapi.AppendFrame(nil, chunker.Sum(plain), enc)
	}
	f.Add(bytes.Join([][]byte{frame(one, held), frame(sent, nil), frame(two, sent)}, nil))
	f.Add(bytes.Join([][]byte{frame(one, nil), frame(two, nil)}, nil))
	f.Add(bytes.Join([][]byte{frame(sent, held), frame(one, sent), frame(two, one)}, nil))
	f.Add(frame(sent, sent))
	f.Fuzz(func(t *testing.T, body []byte) {
		h := Held{
			Manifest: base, Has: func(chunker.Digest) bool { return true },
			Read: func(_ context.Context, _ chunker.Ref, dst []byte) ([]byte, error) { return append(dst, held...), nil },
		}
		w := newFetcher(&fetch{m: m, to: verifying{t, m}, held: holdings([]Held{h}, m)})
		defer w.close()
		n, damaged, err := w.frames(t.Context(), job{[]uint32{0, 1}, 1}, bytes.NewReader(body))
		if n < len(damaged) || n > 2 || err != nil && n > 0 {
			t.Errorf("%d chunks, %v of them damaged: %v", n, damaged, err)
		}
	})
}

// manifestOf describes a file of those chunks, which one tensor covers.
func manifestOf(f *testing.F, chunks ...[]byte) *manifest.Manifest {
	file := manifest.File{Path: "m.safetensors", Format: "safetensors"}
	var refs []chunker.Ref
	for _, plain := range chunks {
		refs = append(refs, chunker.Ref{Digest: chunker.Sum(plain), Size: uint32(len(plain))})
		file.Size += uint64(len(plain))
	}
	file.Tensors = []manifest.Tensor{{Name: "w", DType: "U8", Shape: []uint64{file.Size}, Length: file.Size}}
	b := manifest.NewBuilder()
	b.Add(file, refs)
	m, err := b.Build(chunker.Digest{}, nil)
	if err != nil {
		f.Fatal(err)
	}
	return m
}
