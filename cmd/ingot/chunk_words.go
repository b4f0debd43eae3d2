package main

import (
	"fmt"

	"github.com/ingot-ml/ingot/chunker/codec"
)

// layoutName says what a chunk's bytes were split into.
func layoutName(l codec.Layout) string {
	switch l {
	case codec.LayoutBytes:
		return "bytes"
	case codec.LayoutOne:
		return "1-byte numbers"
	case codec.LayoutTwo:
		return "2-byte numbers"
	case codec.LayoutBF16:
		return "bf16"
	case codec.LayoutF32:
		return "f32"
	case codec.LayoutFour:
		return "4-byte numbers"
	case codec.LayoutEight:
		return "8-byte numbers"
	}
	return fmt.Sprintf("layout %d", l)
}

// modeName says how a plane is stored.
func modeName(m codec.Mode) string {
	switch m {
	case codec.ModeRaw:
		return "raw"
	case codec.ModeConst:
		return "const"
	case codec.ModeZstd:
		return "zstd"
	case codec.ModeHuff0:
		return "huff0"
	}
	return fmt.Sprintf("mode %d", m)
}
