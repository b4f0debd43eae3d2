package disk

import (
	"bytes"
	"encoding/binary"
	"errors"
	"hash/crc32"
	"io/fs"
	"os"
	"slices"

	"github.com/ingot-ml/ingot/chunker"
)

// sealName is the file that is there while nobody has the folder open, if the last
// one closed it in order. It names the chunks that nobody had checked since an end
// that was not.
const sealName = "clean"

const (
	sealMagic = "IGclean1"
	sealMost  = 1 << 30 // bytes; more than 30 million chunks
)

// doubt is which chunks may be anything: all if there is no seal.
type doubt struct {
	sealed bool
	chunks map[chunker.Digest]struct{}
}

func (d doubt) has(c chunker.Digest) bool {
	_, listed := d.chunks[c]
	return listed || !d.sealed
}

// takeSeal reads the seal and removes it, which is on the disk before anything is
// written.
func (s *Store) takeSeal() (doubt, error) {
	b, err := readFile(s.path(sealName), sealMost)
	if errors.Is(err, fs.ErrNotExist) {
		return doubt{}, nil
	}
	if err != nil {
		s.config.Logger.Warn("what the last agent has checked can't be read: every chunk is checked anew", "err", err)
	}
	if err := os.Remove(s.path(sealName)); err != nil {
		return doubt{}, err
	}
	return parseSeal(b), syncFolder(s.root)
}

// parseSeal reads the bytes of a seal. What is none seals nothing.
func parseSeal(b []byte) doubt {
	end := len(b) - crc32.Size
	if end < len(sealMagic) || string(b[:len(sealMagic)]) != sealMagic ||
		crc32.Checksum(b[:end], castagnoli) != binary.LittleEndian.Uint32(b[end:]) {
		return doubt{}
	}
	list := b[len(sealMagic):end]
	if len(list)%chunker.DigestSize != 0 {
		return doubt{}
	}
	d := doubt{sealed: true, chunks: map[chunker.Digest]struct{}{}}
	for c := range slices.Chunk(list, chunker.DigestSize) {
		d.chunks[chunker.Digest(c)] = struct{}{}
	}
	return d
}

// formatSeal writes the bytes of a seal.
func formatSeal(suspects []chunker.Digest) []byte {
	slices.SortFunc(suspects, func(a, b chunker.Digest) int { return bytes.Compare(a[:], b[:]) })
	b := []byte(sealMagic)
	for _, d := range suspects {
		b = append(b, d[:]...)
	}
	return binary.LittleEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

// seal writes the seal, after all chunks are on the disk. Where that can't be had
// there is none, and every chunk is checked after the next start.
func (s *Store) seal() error {
	if err := s.sync(s.root); err != nil {
		if errors.Is(err, errors.ErrUnsupported) {
			return nil
		}
		return err
	}
	var suspects []chunker.Digest
	for d, e := range s.index {
		if e.suspect {
			suspects = append(suspects, d)
		}
	}
	return replaceFile(s.path(sealName), formatSeal(suspects))
}
