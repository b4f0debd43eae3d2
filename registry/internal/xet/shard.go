package xet

import (
	"encoding/binary"
	"errors"
	"fmt"
)

// MaxShard bounds a shard, which clients keep at 64 MiB.
const MaxShard = 65 << 20

// ErrShard reports bytes that are no shard.
var ErrShard = errors.New("malformed shard")

// Shard says of which chunks of which xorbs files are made.
type Shard struct {
	Files []File
}

// File is a file in a shard.
type File struct {
	Hash   Hash
	SHA256 string // 64 hex digits, or empty
	Size   int64
	Terms  []Term
}

// Term is a row of chunks that are a part of a file.
type Term struct {
	Xorb Hash
	Size uint32 // plain bytes
	// First and End are the chunks: from First to before End.
	First, End uint32
}

// magic is what shards begin with.
const magic = "HFRepoMetaData\x00U\x69\x67\x45\x6a\x7b\x81\x57\x83\xa5\xbd\xd9\x5c\xcd\xd1\x4a\xa9"

const (
	shardVersion = 2
	// record is the length of everything in a shard: its header, and what files and
	// xorbs are described by.
	record = 48
	// What follows the terms of a file.
	verified = 1 << 31 // a hash for each term
	extended = 1 << 30 // the sha256
)

// end is the hash that ends a section.
var end = func() (h Hash) {
	for i := range h {
		h[i] = 0xff
	}
	return h
}()

// ParseShard reads a shard. What it says of the chunks of xorbs is only walked over:
// that is known from the xorbs.
func ParseShard(b []byte) (*Shard, error) {
	p := &records{rest: b}
	header, err := p.next()
	if err != nil {
		return nil, err
	}
	if string(header[:HashSize]) != magic {
		return nil, fmt.Errorf("begins with other bytes than one: %w", ErrShard)
	}
	if v := binary.LittleEndian.Uint64(header[HashSize:]); v != shardVersion {
		return nil, fmt.Errorf("version %d, want %d: %w", v, shardVersion, ErrShard)
	}
	s := &Shard{}
	for {
		f, err := p.file()
		if err != nil {
			return nil, fmt.Errorf("file %d: %w", len(s.Files), err)
		}
		if f == nil {
			break
		}
		s.Files = append(s.Files, *f)
	}
	if err := p.xorbs(); err != nil {
		return nil, err
	}
	if footer := binary.LittleEndian.Uint64(header[HashSize+8:]); footer == 0 && len(p.rest) > 0 {
		return nil, fmt.Errorf("%d bytes behind the end: %w", len(p.rest), ErrShard)
	}
	return s, nil
}

// records are those of a shard that were not read yet.
type records struct{ rest []byte }

func (p *records) next() ([]byte, error) {
	b, err := p.skip(1)
	return b, err
}

// skip returns n records, all of which are there.
func (p *records) skip(n uint64) ([]byte, error) {
	if n > uint64(len(p.rest)/record) {
		return nil, fmt.Errorf("%d records where %d bytes are left: %w", n, len(p.rest), ErrShard)
	}
	b := p.rest[:n*record]
	p.rest = p.rest[n*record:]
	return b, nil
}

// file returns the next file, or nil behind the last.
func (p *records) file() (*File, error) {
	header, err := p.next()
	if err != nil {
		return nil, err
	}
	f := &File{Hash: Hash(header[:HashSize])}
	if f.Hash == end {
		return nil, nil
	}
	flags, n := number(header, 0), uint64(number(header, 1))
	if f.Terms, err = p.terms(n); err != nil {
		return nil, err
	}
	for _, t := range f.Terms {
		f.Size += int64(t.Size)
	}
	if flags&verified != 0 {
		if _, err := p.skip(n); err != nil {
			return nil, err
		}
	}
	if flags&extended != 0 {
		b, err := p.next()
		if err != nil {
			return nil, err
		}
		f.SHA256 = Hash(b[:HashSize]).String()
	}
	return f, nil
}

// number returns one of the four numbers behind the hash of a record.
func number(b []byte, i int) uint32 { return binary.LittleEndian.Uint32(b[HashSize+4*i:]) }

func (p *records) terms(n uint64) ([]Term, error) {
	b, err := p.skip(n)
	if err != nil {
		return nil, err
	}
	terms := make([]Term, n)
	for i := range terms {
		r := b[i*record:]
		t := Term{Hash(r[:HashSize]), number(r, 1), number(r, 2), number(r, 3)}
		if t.First >= t.End || t.End > MaxChunks || uint64(t.Size) > uint64(t.End-t.First)*MaxChunk {
			return nil, fmt.Errorf("term %d: %d bytes in chunks %d to %d: %w", i, t.Size, t.First, t.End, ErrShard)
		}
		terms[i] = t
	}
	return terms, nil
}

// xorbs walks over the section of xorbs.
func (p *records) xorbs() error {
	for i := 0; ; i++ {
		header, err := p.next()
		if err == nil && Hash(header[:HashSize]) == end {
			return nil
		}
		if err == nil {
			_, err = p.skip(uint64(number(header, 1)))
		}
		if err != nil {
			return fmt.Errorf("xorb %d: %w", i, err)
		}
	}
}
