package xet

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"strconv"

	"github.com/ingot-ml/ingot/chunker"
)

// HashSize is the length of a Hash in bytes.
const HashSize = 32

// Hash names a chunk, a xorb or a file.
type Hash [HashSize]byte

// ErrHash reports a text that is no Hash.
var ErrHash = errors.New("not a hash of 64 lower-case hex digits")

// String returns the hash as four numbers of 8 bytes, little-endian, in hex: this is
// how it is written everywhere but in shards.
func (h Hash) String() string {
	turned := h.turned()
	return hex.EncodeToString(turned[:])
}

// turned reverses the bytes of each of the four numbers.
func (h Hash) turned() (t Hash) {
	for i := 0; i < HashSize; i += 8 {
		binary.BigEndian.PutUint64(t[i:], binary.LittleEndian.Uint64(h[i:]))
	}
	return t
}

// ParseHash reads what String returns.
func ParseHash(s string) (Hash, error) {
	var h Hash
	if len(s) != hex.EncodedLen(HashSize) {
		return h, fmt.Errorf("%.80q: %w", s, ErrHash)
	}
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return h, fmt.Errorf("%.80q: %w", s, ErrHash)
		}
	}
	if _, err := hex.Decode(h[:], []byte(s)); err != nil {
		return h, fmt.Errorf("%.80q: %w", s, ErrHash)
	}
	return h.turned(), nil
}

// The keys with which chunks, and nodes of the tree above them, are hashed.
var (
	chunkKey = [32]byte{
		102, 151, 245, 119, 91, 149, 80, 222, 49, 53, 203, 172, 165, 151, 24, 28,
		157, 228, 33, 16, 155, 235, 43, 88, 180, 208, 176, 75, 147, 173, 242, 41,
	}
	nodeKey = [32]byte{
		1, 126, 197, 199, 165, 71, 41, 150, 253, 148, 102, 102, 180, 138, 2, 230,
		93, 221, 83, 111, 55, 199, 109, 210, 248, 99, 82, 230, 74, 83, 113, 63,
	}
)

// Node is a part of a tree of hashes: at first a chunk.
type Node struct {
	Hash Hash
	Size uint64 // plain bytes
}

// ChunkHash returns the name of a chunk.
func ChunkHash(plain []byte) Hash { return Hash(chunker.SumKeyed(&chunkKey, plain)) }

// XorbHash returns the name of the xorb of these chunks. They are written over.
func XorbHash(chunks []Node) Hash {
	if len(chunks) == 0 {
		return Hash{}
	}
	for len(chunks) > 1 {
		parents := chunks[:0]
		for rest := chunks; len(rest) > 0; {
			n := siblings(rest)
			parent := join(rest[:n])
			rest = rest[n:]
			parents = append(parents, parent) // never ahead of rest
		}
		chunks = parents
	}
	return chunks[0].Hash
}

// The number of children of a node is 4 on average, chosen by their hashes.
const (
	branching   = 4
	maxChildren = 2*branching + 1
)

// siblings returns how many nodes from the first on have one parent.
func siblings(nodes []Node) int {
	end := min(maxChildren, len(nodes))
	for i := 2; i < end; i++ {
		if binary.LittleEndian.Uint64(nodes[i].Hash[24:])%branching == 0 {
			return i + 1
		}
	}
	return end
}

// join returns the parent of nodes.
func join(nodes []Node) Node {
	var text []byte
	parent := Node{}
	for _, n := range nodes {
		turned := n.Hash.turned()
		text = hex.AppendEncode(text, turned[:])
		text = append(text, " : "...)
		text = strconv.AppendUint(text, n.Size, 10)
		text = append(text, '\n')
		parent.Size += n.Size
	}
	parent.Hash = Hash(chunker.SumKeyed(&nodeKey, text))
	return parent
}
