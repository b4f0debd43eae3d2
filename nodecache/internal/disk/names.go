package disk

import (
	"context"
	"errors"
	"strconv"
	"strings"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/chunkdir"
	"github.com/ingot-ml/ingot/chunker/codec"
)

// chunksName is the folder of the chunks.
const chunksName = "chunks"

// chunkName is the name of a chunk's file. It says the form and the plain length,
// so that a listing tells all that there is to know.
func chunkName(d chunker.Digest, form Form, size uint32) string {
	letter := ".p"
	if form == Encoded {
		letter = ".e"
	}
	text := d.String()
	return text[:2] + "/" + text + letter + strconv.FormatUint(uint64(size), 10)
}

// parseChunk reads the name and the length of a file. ok is false for what is no
// whole chunk.
func parseChunk(name string, bytes int64) (d chunker.Digest, e entry, ok bool) {
	_, base, _ := strings.Cut(name, "/")
	text, rest, found := strings.Cut(base, ".")
	if !found || len(rest) < 2 {
		return d, e, false
	}
	d, err := chunker.ParseDigest(text)
	if err != nil {
		return d, e, false
	}
	size, err := strconv.ParseUint(rest[1:], 10, 32)
	if err != nil || size < 1 || size > chunker.MaxSize {
		return d, e, false
	}
	e = entry{size: uint32(size), file: uint32(min(bytes, 1<<30))}
	switch rest[0] {
	case 'p':
		ok = bytes == int64(size)+tailLen
	case 'e':
		e.form = Encoded
		ok = bytes >= codec.HeaderLen && bytes <= int64(codec.MaxEncoded(int(size)))
	}
	return d, e, ok && name == chunkName(d, e.form, e.size)
}

// list builds the index. What is no whole chunk goes: a power cut leaves such
// files behind.
func (s *Store) list(doubted doubt) error {
	broken := 0
	for info, err := range s.chunks.List(context.Background(), "", "") {
		if err != nil {
			return err
		}
		d, e, ok := parseChunk(info.Name, info.Size)
		if _, twice := s.index[d]; !ok || twice {
			broken++
			if err := s.chunks.Remove(info.Name); err != nil && !errors.Is(err, chunkdir.ErrNotFound) {
				return err
			}
			continue
		}
		e.suspect = doubted.has(d)
		s.note(d, e)
	}
	if broken > 0 {
		s.config.Logger.Warn("files that are no whole chunks are removed", "dir", s.config.Dir, "files", broken)
	}
	return nil
}
