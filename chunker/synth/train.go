package synth

import (
	"encoding/binary"
	"math"

	"github.com/ingot-ml/ingot/chunker"
)

// stretch is a piece of training between two checkpoints.
type stretch struct {
	seed      uint64
	share     float64
	scattered bool
}

// Train moves values as training from one checkpoint to the next does. Behind each
// value is thought a more precise one, anywhere in the cell that rounds to it, to
// which a step is added whose size does not depend on the value's own; the rate is
// what makes exactly that share, 0 to 1, of the values round to another. Who moves in
// one stretch says nothing of who moves in the next. F32 values are the precise ones:
// all of them move, at the rate at which that share of their BF16 roundings does.
func Train(seed uint64, share float64) Change {
	return func(m *model) { m.stretches = append(m.stretches, stretch{seed, min(max(share, 0), 1), false}) }
}

// Scatter moves exactly that share, 0 to 1, of the values to the one above or below, any
// of them as likely as any other. Training moves small values more often, so that two
// checkpoints far apart are more alike than after as much of this.
func Scatter(seed uint64, share float64) Change {
	return func(m *model) { m.stretches = append(m.stretches, stretch{seed, min(max(share, 0), 1), true}) }
}

// trainer moves the rows of one tensor. The rate is found for each row, which makes
// the share exact without a look at other rows.
type trainer struct {
	cell
	dtype     chunker.DType
	key       uint64
	share     float64
	scattered bool

	precise []float32 // the values of one row
	steps   []float32 // at a rate of 1
	needs   []float32 // the rates from which on each of them rounds to another
	order   []float32
}

func newTrainer(s stretch, t tensor, dtype chunker.DType) *trainer {
	buffer := make([]float32, 4*t.cols)
	return &trainer{
		cell: cellOf(dtype), dtype: dtype, key: hash(s.seed, t.name+" trained"), share: s.share, scattered: s.scattered,
		precise: buffer[:t.cols], steps: buffer[t.cols : 2*t.cols], needs: buffer[2*t.cols : 3*t.cols], order: buffer[3*t.cols:],
	}
}

// move moves the values of row y in place.
func (t *trainer) move(row []byte, y int) {
	cols := float64(len(t.steps))
	moves := int(t.share*cols*float64(y+1)) - int(t.share*cols*float64(y))
	if moves == 0 {
		return
	}
	r := random(mix(t.key + uint64(y)))
	if t.scattered {
		t.scatter(&r, row, moves)
		return
	}
	t.look(&r, row)
	copy(t.order, t.needs)
	rate := nth(t.order, moves-1)
	if t.dtype == chunker.F32 {
		rate += rate * (1.0 / (1 << 10)) // past the border
		for i, v := range t.precise {
			binary.LittleEndian.PutUint32(row[4*i:], math.Float32bits(v+float32(rate*t.steps[i])))
		}
		return
	}
	equal := moves // of those that need this very rate, how many move
	for _, need := range t.needs {
		if need < rate {
			equal--
		}
	}
	for i, need := range t.needs {
		if need > rate || need == rate && equal == 0 {
			continue
		}
		if need == rate {
			equal--
		}
		b := row[2*i : 2*i+2]
		binary.LittleEndian.PutUint16(b, t.moved(binary.LittleEndian.Uint16(b), t.precise[i], t.steps[i], rate))
	}
}

// scatter moves so many values of a row.
func (t *trainer) scatter(r *random, row []byte, moves int) {
	width := t.dtype.Width()
	for left := len(row) / width; moves > 0; left-- {
		u, b := r.next(), row[len(row)-left*width:]
		if (u>>32)*uint64(left)>>32 >= uint64(moves) {
			continue
		}
		moves--
		if width == 4 {
			binary.LittleEndian.PutUint32(b, step(binary.LittleEndian.Uint32(b), 1, u&1, 0x7fffffff))
		} else {
			binary.LittleEndian.PutUint16(b, uint16(step(uint32(binary.LittleEndian.Uint16(b)), 1, u&1, 0x7fff)))
		}
	}
}

// look finds the precise values of a row, draws their steps, and finds what rate it
// takes to leave each cell.
func (t *trainer) look(r *random, row []byte) {
	for i := range t.steps {
		u, w := r.next(), r.next()
		step := float32(normal(uint32(u)) * spread(uint32(u>>32)))
		var center, part float32 // of the cell, and where in it from 0 to 1 the value is
		if t.dtype == chunker.F32 {
			t.precise[i] = math.Float32frombits(binary.LittleEndian.Uint32(row[4*i:]))
			center = t.value(t.round(t.precise[i]))
			part = float32(t.precise[i]-center)/t.width(center) + 0.5
		} else {
			center = t.value(binary.LittleEndian.Uint16(row[2*i:]))
			part = float32(w>>40) * (1.0 / (1 << 24))
			t.precise[i] = center + float32((part-0.5)*t.width(center))
		}
		t.steps[i] = step
		if step > 0 {
			part = 1 - part
		}
		t.needs[i] = float32(part*t.width(center)) / max(step, -step, 1e-9)
	}
}

// moved rounds what becomes of a value, which is another one.
func (t *trainer) moved(old uint16, precise, step, rate float32) uint16 {
	if bits := t.round(precise + float32(rate*step)); bits != old {
		return bits
	}
	// It stopped at the border: one step further.
	if negative := old&0x8000 != 0; negative == (step < 0) || old&0x7fff == 0 {
		return old + 1
	}
	return old - 1
}

// spreads holds how large steps are at the borders of the cells of the normal
// distribution: their logarithm has a deviation of 0.8, as steps of Adam have it.
var spreads = func() *[cells + 1]float32 {
	s := new([cells + 1]float32)
	for i, q := range quantiles {
		s[i] = float32(exp(float64(float64(q) * 0.8)))
	}
	return s
}()

func spread(u uint32) float32 {
	q := spreads[u>>20 : u>>20+2 : u>>20+2]
	part := float32(u<<12>>12) * (1.0 / (1 << 20))
	return q[0] + float32(part*float32(q[1]-q[0]))
}

// nth returns the element of v that has n before it in order. It reorders v.
func nth(v []float32, n int) float32 {
	for low, high := 0, len(v)-1; low < high; {
		pivot, i, j := v[(low+high)/2], low, high
		for i <= j {
			for v[i] < pivot {
				i++
			}
			for v[j] > pivot {
				j--
			}
			if i <= j {
				v[i], v[j] = v[j], v[i]
				i++
				j--
			}
		}
		switch {
		case n <= j:
			high = j
		case n >= i:
			low = i
		default:
			return v[n]
		}
	}
	return v[n]
}

// cell knows the numbers that round to one value of a type of 16 bits.
type cell struct {
	value func(uint16) float32
	round func(float32) uint16
	width func(center float32) float32
}

// cellOf returns the cells of a type; F32 has those of BF16.
func cellOf(dtype chunker.DType) cell {
	if dtype == chunker.F16 {
		return cell{fromF16, toF16, func(c float32) float32 { return power(max(exponent(c), 113) - 10) }}
	}
	return cell{fromBF16, toBF16, func(c float32) float32 { return power(max(exponent(c), 8) - 7) }}
}

// exponent returns the biased exponent of f, and power the number that has it.
func exponent(f float32) uint32 { return math.Float32bits(f) << 1 >> 24 }
func power(e uint32) float32    { return math.Float32frombits(e << 23) }

func fromBF16(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }

// fromF16 takes finite values.
func fromF16(b uint16) float32 {
	magnitude := math.Float32frombits(uint32(b&0x7fff)<<13) * (1 << 112)
	if b&0x8000 != 0 {
		return -magnitude
	}
	return magnitude
}
