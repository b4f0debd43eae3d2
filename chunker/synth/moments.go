package synth

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"

	"github.com/ingot-ml/ingot/chunker"
)

// WriteMoments writes what Adam keeps while it trains the model of s: for each value
// its mean gradient and its mean square, in F32, with the usual memory of 10 and of
// 1000 steps. It is the state at checkpoint n, from 0, where checkpoints are that many
// steps apart. What a state remembers of the one before fades accordingly.
func WriteMoments(ctx context.Context, path string, s Spec, n, steps int) (err error) {
	s.DType = chunker.F32
	m, err := newModel(s, nil)
	if err != nil {
		return err
	}
	f, err := os.Create(path)
	if err != nil {
		return fmt.Errorf("write moments: %w", err)
	}
	defer func() {
		if cerr := f.Close(); err == nil && cerr != nil {
			err = fmt.Errorf("write moments: %w", cerr)
		}
	}()
	var list []tensor
	for _, t := range m.tensors() {
		mean, square := t, t
		mean.name, square.name = "exp_avg."+t.name, "exp_avg_sq."+t.name
		list = append(list, mean, square)
	}
	w := bufio.NewWriterSize(f, blockSize)
	_, _ = w.Write(m.header(list)) // Flush tells
	for i, t := range list {
		g := moment{tensor: t, square: i%2 == 1, n: n, fade: fades(i%2 == 1, steps)}
		for y := range t.rows {
			if err := ctx.Err(); err != nil {
				return err
			}
			_, _ = w.Write(g.row(y)) // Flush tells
		}
	}
	if err := w.Flush(); err != nil {
		return fmt.Errorf("write moments: %w", err)
	}
	return nil
}

// fades returns what is left of a moment after so many steps.
func fades(square bool, steps int) float32 {
	each, left := 0.9, 1.0
	if square {
		each = 0.999
	}
	for range steps {
		left *= each
	}
	return float32(left)
}

// moment makes the rows of one moment of a tensor.
type moment struct {
	tensor
	square bool
	n      int
	fade   float32
	values []float32
	bytes  []byte
}

// row makes row y, which is good until the next is made.
func (g *moment) row(y int) []byte {
	if g.values == nil {
		g.values = make([]float32, g.cols)
	}
	scale := random(mix(hash(g.seed, g.name) + uint64(y)))
	size := 1e-4 * scale.logNormal(0.5)
	fresh := float32(math.Sqrt(float64(1 - float32(g.fade*g.fade))))
	for k := range g.n + 1 {
		r := random(mix(hash(g.seed+uint64(k)<<32, g.name) + uint64(y)))
		for i := range g.values {
			u := uint32(r.next() >> 32)
			switch {
			case g.square && k == 0:
				g.values[i] = float32(size*size) * spread(u)
			case g.square:
				g.values[i] = float32(g.fade*g.values[i]) + float32(float32(1-g.fade)*float32(float32(size*size)*spread(u)))
			case k == 0:
				g.values[i] = size * normal(u)
			default:
				g.values[i] = float32(g.fade*g.values[i]) + float32(fresh*float32(size*normal(u)))
			}
		}
	}
	g.bytes = g.bytes[:0]
	for _, v := range g.values {
		g.bytes = binary.LittleEndian.AppendUint32(g.bytes, math.Float32bits(v))
	}
	return g.bytes
}
