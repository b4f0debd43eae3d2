package xet

import (
	"encoding/binary"
	"fmt"

	"github.com/pierrec/lz4/v4"
)

// A frame of LZ4 begins with a magic number, flags, the greatest length of its blocks,
// and a check of those; it ends with a block of no length. Its checksums are not
// looked at: chunks are known by their hash. It is read here because a reader of
// frames has memory for blocks of 4 MiB, which clients say they may send.
const (
	frameMagic   = 0x184d2204
	frameVersion = 1 << 6

	versionBits      = 3 << 6
	independent      = 1 << 5 // blocks do not refer to bytes of those before
	blockChecksums   = 1 << 4
	contentSize      = 1 << 3
	contentChecksum  = 1 << 2
	unknownFlags     = 1<<1 | 1<<0 // the last has a dictionary be elsewhere
	storedBlock      = 1 << 31     // the block is stored as it is
	frameWindow      = 64 << 10    // how far back blocks refer
	checksumSize     = 4
	blockLengthBytes = 4
)

// unpack fills plain from a frame of exactly that many bytes.
func unpack(plain, frame []byte) error {
	f := &lz4Frame{rest: frame}
	flags, err := f.begin(len(plain))
	if err != nil {
		return err
	}
	at := 0
	for {
		block, stored, err := f.block(flags)
		if err != nil {
			return err
		}
		if block == nil {
			break
		}
		n, err := unpackBlock(plain, at, block, stored, flags)
		if err != nil {
			return err
		}
		at += n
	}
	if flags&contentChecksum != 0 {
		if _, err := f.take(checksumSize); err != nil {
			return err
		}
	}
	if at != len(plain) || len(f.rest) != 0 {
		return fmt.Errorf("frame of %d bytes and %d behind it, want %d bytes: %w", at, len(f.rest), len(plain), ErrXorb)
	}
	return nil
}

// lz4Frame is what was not read of a frame yet.
type lz4Frame struct{ rest []byte }

func (f *lz4Frame) take(n int) ([]byte, error) {
	if n > len(f.rest) {
		return nil, fmt.Errorf("frame of LZ4 ends too early: %w", ErrXorb)
	}
	b := f.rest[:n]
	f.rest = f.rest[n:]
	return b, nil
}

// begin reads what stands before the blocks of a frame of size bytes.
func (f *lz4Frame) begin(size int) (flags byte, err error) {
	b, err := f.take(6)
	if err != nil {
		return 0, err
	}
	flags = b[4]
	if binary.LittleEndian.Uint32(b) != frameMagic || flags&versionBits != frameVersion || flags&unknownFlags != 0 {
		return 0, fmt.Errorf("no frame of LZ4, or one with a dictionary: %w", ErrXorb)
	}
	if flags&contentSize != 0 {
		b, err := f.take(8)
		if err != nil {
			return 0, err
		}
		if got := binary.LittleEndian.Uint64(b); got != uint64(size) {
			return 0, fmt.Errorf("frame of %d bytes, want %d: %w", got, size, ErrXorb)
		}
	}
	_, err = f.take(1) // the check of these
	return flags, err
}

// block returns the next block, and whether it is stored as it is; nil behind the
// last.
func (f *lz4Frame) block(flags byte) (b []byte, stored bool, err error) {
	if b, err = f.take(blockLengthBytes); err != nil {
		return nil, false, err
	}
	length := binary.LittleEndian.Uint32(b)
	if length == 0 {
		return nil, false, nil
	}
	n := length &^ storedBlock
	if n == 0 || n > maxStored {
		return nil, false, fmt.Errorf("block of %d bytes: %w", n, ErrXorb)
	}
	if b, err = f.take(int(n)); err != nil {
		return nil, false, err
	}
	if flags&blockChecksums != 0 {
		_, err = f.take(checksumSize)
	}
	return b, length&storedBlock != 0, err
}

// unpackBlock writes a block to where it begins in plain, and returns its length.
func unpackBlock(plain []byte, at int, block []byte, stored bool, flags byte) (n int, err error) {
	room := plain[at:]
	switch {
	case stored && len(block) > len(room):
		return 0, fmt.Errorf("more than %d bytes in a frame: %w", len(plain), ErrXorb)
	case stored:
		return copy(room, block), nil
	case flags&independent != 0:
		n, err = lz4.UncompressBlock(block, room)
	default:
		n, err = lz4.UncompressBlockWithDict(block, room, plain[max(0, at-frameWindow):at])
	}
	if err != nil {
		return 0, fmt.Errorf("block of LZ4: %w: %w", ErrXorb, err)
	}
	return n, nil
}
