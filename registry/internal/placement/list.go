package placement

import (
	"fmt"
	"slices"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
)

const listMagic = "INGOTL"

// MaxList bounds the names of one list.
const MaxList = 1 << 20

// EncodeList returns the document of a list of object names, which it sorts.
func EncodeList(names []string) []byte {
	slices.Sort(names)
	dst := le.AppendUint16([]byte(listMagic), version)
	dst = le.AppendUint32(dst, uint32(len(names)))
	for _, name := range names {
		dst = le.AppendUint16(dst, uint16(len(name)))
		dst = append(dst, name...)
	}
	return dst
}

// ParseList reads a list: object names, strictly ascending.
func ParseList(b []byte) ([]string, error) {
	r := reader{rest: b}
	r.header(listMagic, version)
	n := r.count(leastName)
	if r.err == nil && n > MaxList {
		r.err = invalid("%d names", n)
	}
	var names []string
	for i := range n {
		name := string(r.take(int(r.u16())))
		if r.err != nil {
			break
		}
		if err := blobs.CheckName(name); err != nil || i > 0 && names[i-1] >= name {
			r.err = invalid("name %.120q", name)
			break
		}
		names = append(names, name)
	}
	if err := r.end(); err != nil {
		return nil, fmt.Errorf("parse list: %w", err)
	}
	return names, nil
}
