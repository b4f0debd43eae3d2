package format_test

import (
	"encoding/binary"
	"strings"
)

// ggufForm is how a file of GGUF spells what it has. Its methods make parts of a
// file, as texts.
type ggufForm struct {
	version uint32
	order   binary.AppendByteOrder
}

// The forms that there are.
var (
	gguf1   = ggufForm{1, binary.LittleEndian}
	gguf2   = ggufForm{2, binary.LittleEndian}
	gguf3   = ggufForm{3, binary.LittleEndian}
	gguf3BE = ggufForm{3, binary.BigEndian}
)

func (f ggufForm) u32(n uint32) string { return string(f.order.AppendUint32(nil, n)) }
func (f ggufForm) u64(n uint64) string { return string(f.order.AppendUint64(nil, n)) }

func (f ggufForm) count(n uint64) string {
	if f.version == 1 {
		return f.u32(uint32(n))
	}
	return f.u64(n)
}

func (f ggufForm) text(s string) string { return f.count(uint64(len(s))) + s }

// key makes a key with a value of that type.
func (f ggufForm) key(name string, kind uint32, value string) string {
	return f.text(name) + f.u32(kind) + value
}

// list makes the value of an array.
func (f ggufForm) list(kind uint32, values ...string) string {
	return f.u32(kind) + f.count(uint64(len(values))) + strings.Join(values, "")
}

// info makes the place of a tensor, its dimensions in the file's order.
func (f ggufForm) info(name string, kind uint32, offset uint64, dims ...uint64) string {
	b := f.text(name) + f.u32(uint32(len(dims)))
	for _, n := range dims {
		b += f.count(n)
	}
	return b + f.u32(kind) + f.u64(offset)
}

func (f ggufForm) start(tensors, keys uint64) string {
	return "GGUF" + f.u32(f.version) + f.count(tensors) + f.count(keys)
}

// file puts keys, places and data into a file whose data is aligned to 32 bytes.
func (f ggufForm) file(keys, infos []string, data int) []byte {
	return f.aligned(32, keys, infos, make([]byte, data))
}

func (f ggufForm) aligned(to int, keys, infos []string, data []byte) []byte {
	b := f.start(uint64(len(infos)), uint64(len(keys))) + strings.Join(keys, "") + strings.Join(infos, "")
	return append(append([]byte(b), make([]byte, padding(len(b), to))...), data...)
}

func padding(n, to int) int { return (to - n%to) % to }

// ggufTypes are the numbers of types as wide as those of safetensors.
var ggufTypes = map[string]uint32{"F32": 0, "F16": 1, "BF16": 30, "F8_E4M3": 24, "F8_E8M0": 24, "C64": 27}

// of makes a file of weights as llama.cpp does.
func (f ggufForm) of(weights []weight) []byte {
	keys := []string{f.key("general.architecture", 8, f.text("test"))}
	var infos []string
	var data []byte
	for _, w := range weights {
		infos = append(infos, f.info(w.name, ggufTypes[w.dtype], uint64(len(data)), uint64(len(w.data)/w.width)))
		data = append(data, w.data...)
		data = append(data, make([]byte, padding(len(data), 32))...)
	}
	return f.aligned(32, keys, infos, data)
}
