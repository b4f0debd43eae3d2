package synth

import (
	"encoding/binary"
	"math"

	"github.com/ingot-ml/ingot/chunker"
)

// generator makes the rows of one tensor. Each row has its own random numbers,
// so that rows can be appended and made in any order.
type generator struct {
	tensor
	dtype  chunker.DType
	rowKey uint64
	scales []float32 // of the columns
	values []float32 // one row

	tuneKey uint64
	tune    uint64 // of 2^32 values, how many a fine-tune moves

	trainers []*trainer
}

func (m *model) generator(t tensor) *generator {
	g := &generator{
		tensor: t,
		dtype:  m.DType,
		rowKey: hash(t.seed, t.name),
		scales: make([]float32, t.cols),
		values: make([]float32, t.cols),
	}
	if m.tuned > 0 {
		g.tuneKey = hash(m.tuneSeed, t.name+" tuned")
		g.tune = uint64(m.tuned * (1 << 32))
	}
	for _, s := range m.stretches {
		g.trainers = append(g.trainers, newTrainer(s, t, m.DType))
	}
	r := random(hash(t.seed, t.name+" columns"))
	for i := range g.scales {
		g.scales[i] = r.logNormal(0.15)
		if r.next()%400 == 0 { // an outlier, as large models have them
			g.scales[i] *= 3 + float32(r.next()%1024)/256
		}
	}
	return g
}

// appendRow appends row y as it lies in a file, little-endian.
func (g *generator) appendRow(b []byte, y int) []byte {
	r := random(mix(g.rowKey + uint64(y)))
	if g.sigma == 0 {
		g.fillNorm(&r)
	} else {
		g.fillRow(&r)
	}
	start := len(b)
	b = g.appendValues(b)
	if g.tune > 0 {
		r := random(mix(g.tuneKey + uint64(y)))
		g.nudge(&r, b[start:])
	}
	for _, t := range g.trainers {
		t.move(b[start:], y)
	}
	return b
}

func (g *generator) fillRow(r *random) {
	scale := float32(g.sigma * r.logNormal(g.rowSpread))
	values, scales := g.values, g.scales
	for i := 0; i < len(values); i += 2 {
		u := r.next()
		values[i] = float32(normal(uint32(u))*scale) * scales[i]
		if i+1 < len(values) {
			values[i+1] = float32(normal(uint32(u>>32))*scale) * scales[i+1]
		}
	}
}

// fillNorm fills weights of a layer norm: around 1, a little apart.
func (g *generator) fillNorm(r *random) {
	base := 0.8 + float32(r.next()%1024)/2560
	for i := range g.values {
		g.values[i] = base * r.logNormal(0.12)
	}
}

func (g *generator) appendValues(b []byte) []byte {
	switch g.dtype {
	case chunker.BF16:
		for _, v := range g.values {
			b = binary.LittleEndian.AppendUint16(b, toBF16(v))
		}
	case chunker.F16:
		for _, v := range g.values {
			b = binary.LittleEndian.AppendUint16(b, toF16(v))
		}
	case chunker.F32:
		for _, v := range g.values {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
	}
	return b
}

// nudge moves some values of a row up or down by a few of the type's smallest
// steps; by up to 2^16 of them in F32, which has as many more.
func (g *generator) nudge(r *random, row []byte) {
	if g.dtype == chunker.F32 {
		for i := 0; i < len(row); i += 4 {
			if u := r.next(); u>>32 < g.tune {
				v := binary.LittleEndian.Uint32(row[i:])
				binary.LittleEndian.PutUint32(row[i:], step(v, 1+uint32(u)>>1&0xffff, u&1, 0x7fffffff))
			}
		}
		return
	}
	for i := 0; i < len(row); i += 2 {
		if u := r.next(); u>>32 < g.tune {
			v := uint32(binary.LittleEndian.Uint16(row[i:]))
			binary.LittleEndian.PutUint16(row[i:], uint16(step(v, 1+uint32(u)>>1&1, u&1, 0x7fff)))
		}
	}
}

// step moves the magnitude in bits by that many steps, down if it can and
// should.
func step(bits, by uint32, down uint64, magnitude uint32) uint32 {
	if down == 1 && bits&magnitude >= by {
		return bits - by
	}
	return bits + by
}
