package placement

import (
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
)

const bundleMagic = "INGOTU"

// Sizes of a bundle's parts in bytes.
const (
	bundlePrefix = len(bundleMagic) + 2 + 4
	bundleItem   = chunker.DigestSize + 4 + 4 + 4
)

// MaxBundle bounds the chunks of a bundle.
const MaxBundle = 1 << 16

// Item is one chunk of a bundle.
type Item struct {
	Digest chunker.Digest
	Plain  uint32 // plain bytes
	Offset uint32 // of the encoded chunk in the bundle, in bytes
	Length uint32 // encoded bytes
}

// BundleHeader returns what stands before the chunks of a bundle, and sets the
// offset of each item. The chunks follow in the items' order, back to back.
func BundleHeader(items []Item) []byte {
	dst := make([]byte, 0, BundleHeaderLen(len(items)))
	dst = le.AppendUint16(append(dst, bundleMagic...), version)
	dst = le.AppendUint32(dst, uint32(len(items)))
	offset := uint32(BundleHeaderLen(len(items)))
	for i := range items {
		it := &items[i]
		it.Offset = offset
		offset += it.Length
		dst = append(dst, it.Digest[:]...)
		dst = le.AppendUint32(dst, it.Plain)
		dst = le.AppendUint32(dst, it.Offset)
		dst = le.AppendUint32(dst, it.Length)
	}
	return dst
}

// BundleHeaderLen returns the length in bytes of the header for n chunks.
func BundleHeaderLen(n int) int { return bundlePrefix + n*bundleItem }

// BundlePrefix is how many bytes of a bundle ParseBundlePrefix needs.
const BundlePrefix = bundlePrefix

// ParseBundlePrefix reads how many chunks a bundle has from its first
// BundlePrefix bytes.
func ParseBundlePrefix(b []byte) (int, error) {
	r := reader{rest: b}
	r.header(bundleMagic)
	n := r.u32()
	if r.err == nil && (n == 0 || n > MaxBundle) {
		r.err = invalid("%d chunks", n)
	}
	if err := r.end(); err != nil {
		return 0, fmt.Errorf("parse bundle: %w", err)
	}
	return int(n), nil
}

// ParseBundleHeader reads the header of a bundle of size bytes.
func ParseBundleHeader(b []byte, size int64) ([]Item, error) {
	if len(b) < bundlePrefix {
		return nil, fmt.Errorf("parse bundle: %w", invalid("%d bytes", len(b)))
	}
	n, err := ParseBundlePrefix(b[:bundlePrefix])
	if err != nil {
		return nil, err
	}
	r := reader{rest: b[bundlePrefix:]}
	if len(r.rest) != n*bundleItem {
		return nil, fmt.Errorf("parse bundle: %w", invalid("table of %d bytes for %d chunks", len(r.rest), n))
	}
	items := make([]Item, n)
	next := uint64(len(b))
	for i := range items {
		it := &items[i]
		copy(it.Digest[:], r.take(chunker.DigestSize))
		it.Plain, it.Offset, it.Length = r.u32(), r.u32(), r.u32()
		if it.Digest.IsZero() || it.Plain == 0 || it.Plain > chunker.MaxSize || it.Length == 0 || uint64(it.Offset) != next {
			return nil, fmt.Errorf("parse bundle: chunk %d: %w", i, ErrInvalid)
		}
		next += uint64(it.Length)
	}
	if next != uint64(size) {
		return nil, fmt.Errorf("parse bundle: %w", invalid("chunks end at %d of %d bytes", next, size))
	}
	return items, nil
}
