package synth

import (
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
)

// ErrSpec reports a model that cannot be made.
var ErrSpec = errors.New("invalid model")

// Spec describes a model.
type Spec struct {
	Layers int
	Hidden int           // width of the model
	KV     int           // width of keys and values
	FF     int           // width of the feed-forward part
	Vocab  int           // rows of the embedding and of the head
	DType  chunker.DType // BF16, F16 or F32
	Seed   uint64
	Shards int // safetensors files; 0 and 1 are one
}

// ForSize returns a BF16 model of about that many bytes: within 5 % from 2 MiB
// up. It has 12 layers or more from 64 MiB up, and dimensions that are multiples
// of 128.
func ForSize(bytes int64) Spec {
	const step = 128
	params := bytes / 2
	layers := int64(12)
	if bytes < 64<<20 {
		layers = 2
	}
	// The layers take at most 85 %, the rows of the vocabulary the rest. The width
	// grows in steps, so layers fill what it leaves.
	s := Spec{Hidden: step, DType: chunker.BF16, Seed: 1}
	for shape := s.widen(); shape.layerParams()*layers*100 <= params*85; shape = shape.widen() {
		s = shape
	}
	s.setWidths()
	s.Layers = int(max(1, params*85/100/s.layerParams()))
	rest := params - int64(s.Layers)*s.layerParams()
	row := 2 * int64(s.Hidden)
	s.Vocab = int(max(1, (rest/row+step/2)/step) * step)
	return s
}

// widen returns s one step of 128 wider.
func (s Spec) widen() Spec {
	s.Hidden += 128
	s.setWidths()
	return s
}

// setWidths derives the other widths from Hidden in the usual proportions.
func (s *Spec) setWidths() {
	s.KV = max(128, s.Hidden/4/128*128)
	s.FF = (s.Hidden*8/3 + 127) / 128 * 128
}

// layerParams returns the numbers in one layer.
func (s Spec) layerParams() int64 {
	h, kv, ff := int64(s.Hidden), int64(s.KV), int64(s.FF)
	return 2*h*h + 2*h*kv + 3*h*ff + 2*h
}

func (s Spec) check() error {
	const most = 1 << 24
	for _, d := range []struct {
		name string
		n    int
	}{{"layers", s.Layers}, {"hidden", s.Hidden}, {"kv", s.KV}, {"ff", s.FF}, {"vocab", s.Vocab}} {
		if d.n < 1 || d.n > most {
			return fmt.Errorf("%s of %d, want 1 to %d: %w", d.name, d.n, most, ErrSpec)
		}
	}
	switch s.DType {
	case chunker.BF16, chunker.F16, chunker.F32:
	default:
		return fmt.Errorf("element type %s, want BF16, F16 or F32: %w", s.DType, ErrSpec)
	}
	if tensors := 3 + 9*s.Layers; s.Shards < 0 || s.Shards > tensors {
		return fmt.Errorf("%d shards for %d tensors: %w", s.Shards, tensors, ErrSpec)
	}
	return nil
}
