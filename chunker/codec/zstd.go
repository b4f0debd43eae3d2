package codec

import (
	"github.com/klauspost/compress/zstd"

	"github.com/ingot-ml/ingot/chunker"
)

// compress returns p as one frame, which is valid until the next call.
func (e *encoder) compress(p []byte) []byte {
	if e.zstd == nil {
		e.zstd = newZstdEncoder()
	}
	e.frame = e.zstd.EncodeAll(p, e.frame[:0])
	return e.frame
}

// newZstdEncoder returns an encoder that starts no goroutines and whose window
// holds the longest chunk. A frame of a single segment always says how long it
// is. The options are constants that the library accepts.
func newZstdEncoder() *zstd.Encoder {
	w, err := zstd.NewWriter(nil,
		zstd.WithEncoderConcurrency(1),
		zstd.WithEncoderCRC(false),
		zstd.WithSingleSegment(true),
		zstd.WithWindowSize(chunker.MaxSize),
		zstd.WithLowerEncoderMem(true))
	if err != nil {
		panic(err)
	}
	return w
}

// newZstdDecoder returns a decoder that starts no goroutines and writes no
// further than the capacity it is given.
func newZstdDecoder() *zstd.Decoder {
	r, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderMaxMemory(chunker.MaxSize),
		zstd.WithDecoderMaxWindow(chunker.MaxSize),
		zstd.WithDecodeAllCapLimit(true))
	if err != nil {
		panic(err)
	}
	return r
}

// decodeZstd decodes a frame that must hold exactly len(buf) bytes.
func (d *decoder) decodeZstd(buf, frame []byte) error {
	var h zstd.Header
	if err := h.Decode(frame); err != nil {
		return corrupt("zstd header: %v", err)
	}
	if !h.HasFCS || h.FrameContentSize != uint64(len(buf)) {
		return corrupt("zstd frame of %d bytes for %d", h.FrameContentSize, len(buf))
	}
	if d.zstd == nil {
		d.zstd = newZstdDecoder()
	}
	out, err := d.zstd.DecodeAll(frame, buf[:0:len(buf)])
	if err != nil {
		return corrupt("zstd frame: %v", err)
	}
	if len(out) != len(buf) {
		return corrupt("zstd frame of %d bytes for %d", len(out), len(buf))
	}
	return nil
}
