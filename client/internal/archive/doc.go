// Package archive owns the file in which versions are carried from one registry to
// another: manifests, and after each the encoded chunks that no version before it has.
//
// Laws:
//   - What follows is known from what came before: a reader needs no index, and an
//     archive that ends early, goes on too long or is damaged is ErrDamaged.
//   - Nothing is allocated for a length before that many bytes could be there.
//   - A chunk is handed out only if its checksum is right and it is as long as its
//     manifest says. Whether its bytes are those of its name is for whoever decodes
//     it.
//
// The bytes are described in docs/formats/archive.md.
package archive

import (
	"encoding/binary"
	"errors"
	"hash/crc32"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// The reasons not to read an archive.
var (
	// ErrNone reports a file that is no archive.
	ErrNone = errors.New("not an archive of ingot")
	// ErrDamaged reports an archive that is cut off or changed.
	ErrDamaged = errors.New("the archive is damaged")
	// ErrVersion reports an archive of a form that this build does not know.
	ErrVersion = errors.New("unknown version of archives")
	// ErrBehind reports a chunk that was passed in a stream, which does not go back.
	ErrBehind = errors.New("the archive has passed it")
)

// Magic is how an archive begins.
const Magic = "INGOTA"

const (
	version   = 1
	headerLen = len(Magic) + 2 + 4
)

// Limits of version 1 of the form.
const (
	// MaxVersions bounds the versions of an archive.
	MaxVersions = 100_000
	// MaxChunks bounds the chunks of an archive: 8 TiB of plain bytes. A reader
	// remembers all of them.
	MaxChunks = 4 << 20
)

var (
	order      = binary.LittleEndian
	castagnoli = crc32.MakeTable(crc32.Castagnoli)
)

// Version is a version in an archive.
type Version struct {
	Repo     name.Repo
	Tag      string // empty for none
	Digest   chunker.Digest
	Document []byte
	Manifest *manifest.Manifest
	// New are the chunks, indexes into the manifest's list, that follow in the archive.
	// The others came before.
	New []uint32
}

// Record returns the bytes of v in the archive, but for its chunks.
func (v *Version) Record() []byte {
	b := make([]byte, 0, 2+len(v.Repo.String())+len(v.Tag)+4+len(v.Document)+4)
	for _, text := range []string{v.Repo.String(), v.Tag} {
		b = append(append(b, byte(len(text))), text...)
	}
	b = append(order.AppendUint32(b, uint32(len(v.Document))), v.Document...)
	return order.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// Header returns the bytes with which an archive of n versions begins.
func Header(n int) []byte {
	return order.AppendUint32(order.AppendUint16([]byte(Magic), version), uint32(n))
}

// Frame returns the bytes that stand before an encoded chunk.
func Frame(enc []byte) []byte { return order.AppendUint32(nil, uint32(len(enc))) }
