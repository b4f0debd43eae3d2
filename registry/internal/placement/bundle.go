package placement

import (
	"fmt"
	"slices"

	"github.com/ingot-ml/ingot/chunker"
)

const bundleMagic = "INGOTU"

// Sizes of a bundle's parts in bytes.
const (
	bundlePrefix = len(bundleMagic) + 2 + 4
	bundleItem   = chunker.DigestSize + 4 + 4 + 4
	bundleBase   = chunker.DigestSize // of an item in version 2 besides
)

// MaxBundle bounds the chunks of a bundle.
const MaxBundle = 1 << 16

// Item is one chunk of a bundle.
type Item struct {
	Digest chunker.Digest
	Plain  uint32         // plain bytes
	Offset uint32         // of the encoded chunk in the bundle, in bytes
	Length uint32         // encoded bytes
	Base   chunker.Digest // the chunk that this one is a delta of; zero for a whole one
}

// BundleHeader returns what stands before the chunks of a bundle, and sets the
// offset of each item. The chunks follow in the items' order, back to back.
func BundleHeader(items []Item) []byte {
	v := version
	if slices.ContainsFunc(items, func(it Item) bool { return !it.Base.IsZero() }) {
		v = versionBases
	}
	n := bundlePrefix + len(items)*itemLen(v)
	dst := make([]byte, 0, n)
	dst = le.AppendUint16(append(dst, bundleMagic...), v)
	dst = le.AppendUint32(dst, uint32(len(items)))
	offset := uint32(n)
	for i := range items {
		it := &items[i]
		it.Offset = offset
		offset += it.Length
		dst = append(dst, it.Digest[:]...)
		dst = le.AppendUint32(dst, it.Plain)
		dst = le.AppendUint32(dst, it.Offset)
		dst = le.AppendUint32(dst, it.Length)
		if v == versionBases {
			dst = append(dst, it.Base[:]...)
		}
	}
	return dst
}

func itemLen(v uint16) int {
	if v == versionBases {
		return bundleItem + bundleBase
	}
	return bundleItem
}

// BundlePrefix is how many bytes of a bundle ParseBundlePrefix needs.
const BundlePrefix = bundlePrefix

// ParseBundlePrefix reads how many bytes the header of a bundle has from the first
// BundlePrefix of them.
func ParseBundlePrefix(b []byte) (header int, err error) {
	p, err := parsePrefix(b)
	return bundlePrefix + p.items*itemLen(p.version), err
}

// prefix is what a bundle begins with.
type prefix struct {
	version uint16
	items   int
}

func parsePrefix(b []byte) (prefix, error) {
	r := reader{rest: b}
	r.header(bundleMagic, version, versionBases)
	n := r.u32()
	if r.err == nil && (n == 0 || n > MaxBundle) {
		r.err = invalid("%d chunks", n)
	}
	if err := r.end(); err != nil {
		return prefix{}, fmt.Errorf("parse bundle: %w", err)
	}
	return prefix{r.version, int(n)}, nil
}

// ParseBundleHeader reads the header of a bundle of size bytes.
func ParseBundleHeader(b []byte, size int64) ([]Item, error) {
	if len(b) < bundlePrefix {
		return nil, fmt.Errorf("parse bundle: %w", invalid("%d bytes", len(b)))
	}
	p, err := parsePrefix(b[:bundlePrefix])
	if err != nil {
		return nil, err
	}
	r := reader{rest: b[bundlePrefix:], version: p.version}
	if len(r.rest) != p.items*itemLen(p.version) {
		return nil, fmt.Errorf("parse bundle: %w", invalid("table of %d bytes for %d chunks", len(r.rest), p.items))
	}
	items, next, based := make([]Item, p.items), uint64(len(b)), false
	for i := range items {
		it := &items[i]
		r.item(it)
		if it.Digest.IsZero() || it.Plain == 0 || it.Plain > chunker.MaxSize || it.Length == 0 || uint64(it.Offset) != next {
			return nil, fmt.Errorf("parse bundle: chunk %d: %w", i, ErrInvalid)
		}
		next += uint64(it.Length)
		based = based || !it.Base.IsZero()
	}
	if next != uint64(size) {
		return nil, fmt.Errorf("parse bundle: %w", invalid("chunks end at %d of %d bytes", next, size))
	}
	if based != (p.version == versionBases) {
		return nil, fmt.Errorf("parse bundle: %w", invalid("version %d", p.version))
	}
	return items, nil
}

// item reads an item, of which there are enough bytes.
func (r *reader) item(it *Item) {
	copy(it.Digest[:], r.take(chunker.DigestSize))
	it.Plain, it.Offset, it.Length = r.u32(), r.u32(), r.u32()
	if r.version == versionBases {
		copy(it.Base[:], r.take(chunker.DigestSize))
	}
}
