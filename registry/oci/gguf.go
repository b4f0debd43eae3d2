package oci

import (
	"encoding/binary"
	"strings"
)

// maxHead is how much of a GGUF file is looked at: what describes the model comes
// before its tokens.
const maxHead = 256 << 10

// aboutGGUF is what a GGUF file says of itself; what it does not say is unknown.
type aboutGGUF struct {
	architecture string
	size         string // such as 7B
	fileType     string // such as Q4_K_M
}

const unknown = "unknown"

// fileTypes are the names of the numbers by which files tell how they are quantised.
var fileTypes = map[uint32]string{
	0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S",
	12: "Q3_K_M", 13: "Q3_K_L", 14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K",
	19: "IQ2_XXS", 20: "IQ2_XS", 21: "Q2_K_S", 22: "IQ3_XS", 23: "IQ3_XXS", 24: "IQ1_S", 25: "IQ4_NL",
	26: "IQ3_S", 27: "IQ3_M", 28: "IQ2_S", 29: "IQ2_M", 30: "IQ4_XS", 31: "IQ1_M", 32: "BF16", 38: "MXFP4",
}

// The types of values in GGUF whose sizes are not in ggufWidths.
const (
	ggufUint32 = 4
	ggufString = 8
	ggufArray  = 9
)

var ggufWidths = map[uint32]uint64{0: 1, 1: 1, 2: 2, 3: 2, ggufUint32: 4, 5: 4, 6: 4, 7: 1, 10: 8, 11: 8, 12: 8}

// readGGUF reads what it finds in the first bytes of a file. It stops at whatever it
// does not understand: nothing depends on what it returns but what people are shown.
func readGGUF(head []byte) aboutGGUF {
	about := aboutGGUF{unknown, unknown, unknown}
	g := &ggufHead{rest: head}
	if string(g.take(4)) != "GGUF" {
		return about
	}
	if v := g.u32(); v < 2 || v > 3 {
		return about
	}
	g.u64() // tensors
	for keys := g.u64(); keys > 0 && !g.over; keys-- {
		key, kind := g.text(), g.u32()
		switch {
		case key == "general.architecture" && kind == ggufString:
			about.architecture = word(g.text(), about.architecture)
		case key == "general.size_label" && kind == ggufString:
			about.size = word(g.text(), about.size)
		case key == "general.file_type" && kind == ggufUint32:
			if t := fileTypes[g.u32()]; !g.over && t != "" {
				about.fileType = t
			}
		default:
			g.skip(kind)
		}
	}
	return about
}

// word returns s if it is a short word, else what was there before.
func word(s, before string) string {
	ok := func(r rune) bool {
		return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune(".-_", r)
	}
	if s == "" || len(s) > 64 || strings.ContainsFunc(s, func(r rune) bool { return !ok(r) }) {
		return before
	}
	return s
}

// ggufHead takes values off the front. Behind the end everything is zero.
type ggufHead struct {
	rest []byte
	over bool
}

func (g *ggufHead) take(n uint64) []byte {
	if n > uint64(len(g.rest)) {
		g.over, g.rest = true, nil
		return nil
	}
	b := g.rest[:n]
	g.rest = g.rest[n:]
	return b
}

func (g *ggufHead) u32() uint32 {
	if b := g.take(4); b != nil {
		return binary.LittleEndian.Uint32(b)
	}
	return 0
}

func (g *ggufHead) u64() uint64 {
	if b := g.take(8); b != nil {
		return binary.LittleEndian.Uint64(b)
	}
	return 0
}

func (g *ggufHead) text() string { return string(g.take(g.u64())) }

// skip passes over a value, or over everything if that is an array of what has no
// fixed size: tokens, behind which nothing describes the model.
func (g *ggufHead) skip(kind uint32) {
	n := uint64(1)
	if kind == ggufArray {
		kind = g.u32()
		n = g.u64()
	}
	width, fixed := ggufWidths[kind]
	switch {
	case fixed && n <= uint64(len(g.rest)):
		g.take(n * width)
	case kind == ggufString && n <= maxStrings:
		for range n {
			g.text()
		}
	default:
		g.over = true
	}
}

// maxStrings is how many texts of one key are passed over: tags and languages.
const maxStrings = 64
