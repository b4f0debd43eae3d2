package xet

import (
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
)

// A file is shown as xorbs that nobody has stored: its bytes in order, cut into
// chunks of MaxChunk bytes, which are stored as they are, and RowChunks of them in a
// row. All that is to be said of them is arithmetic.
const (
	// RowChunks is how many chunks a row has, and RowPlain their bytes: what clients
	// fetch with one request.
	RowChunks = 128
	RowPlain  = RowChunks * MaxChunk
	framed    = chunkHeader + MaxChunk
)

// Row is a part of a file that is shown as a xorb.
type Row struct {
	Index int64
	Plain int64 // bytes
}

// RowAt returns a row of a file of size bytes; false for one that it has not.
func RowAt(size, index int64) (Row, bool) {
	if index < 0 || index > size/RowPlain {
		return Row{}, false
	}
	plain := min(RowPlain, size-index*RowPlain)
	return Row{index, plain}, plain > 0
}

// Offset returns where the row begins in the file.
func (r Row) Offset() int64 { return r.Index * RowPlain }

// Chunks returns how many chunks the row has.
func (r Row) Chunks() int64 { return (r.Plain + MaxChunk - 1) / MaxChunk }

// Len returns the bytes of the first n chunks, with their headers.
func (r Row) Len(n int64) int64 { return n*chunkHeader + min(n*MaxChunk, r.Plain) }

// Name returns the name of the row: one that no other bytes have.
func (r Row) Name(sha [sha256.Size]byte) Hash {
	text := fmt.Appendf(nil, "row %d of %d bytes in chunks of %d, of file %x\n", r.Index, int64(RowPlain), MaxChunk, sha)
	return sha256.Sum256(text)
}

// Within returns which bytes of the file are needed for n bytes at offset of the row
// with headers, as a begin in the row and a count.
func (r Row) Within(offset, n int64) (begin, count int64) {
	begin = min(r.plainBefore(offset), r.Plain)
	return begin, min(r.plainBefore(offset+n), r.Plain) - begin
}

// plainBefore returns how many of the bytes before offset are of the file.
func (r Row) plainBefore(offset int64) int64 {
	return offset/framed*MaxChunk + max(0, offset%framed-chunkHeader)
}

// Frame returns a writer that turns the bytes of the row from where Within says
// into its bytes with headers from offset on, n in all, and a function that writes
// what is left when all have come.
func (r Row) Frame(w io.Writer, offset, n int64) (io.Writer, func() error) {
	f := &frame{w: w, row: r, at: offset, left: n}
	return f, func() error {
		for f.left > 0 && f.at%framed < chunkHeader {
			if err := f.header(); err != nil {
				return err
			}
		}
		return nil
	}
}

// frame is a row on its way.
type frame struct {
	w        io.Writer
	row      Row
	at, left int64 // in the row with headers
}

// Write implements io.Writer.
func (f *frame) Write(p []byte) (int, error) {
	written := 0
	for len(p) > 0 && f.left > 0 {
		if f.at%framed < chunkHeader {
			if err := f.header(); err != nil {
				return written, err
			}
			continue
		}
		n := min(int64(len(p)), framed-f.at%framed, f.left)
		if _, err := f.w.Write(p[:n]); err != nil {
			return written, err
		}
		f.at, f.left = f.at+n, f.left-n
		written += int(n)
		p = p[n:]
	}
	if len(p) > 0 {
		return written, io.ErrShortWrite
	}
	return written, nil
}

// header writes what is wanted of the header that begins or goes on here.
func (f *frame) header() error {
	plain := min(MaxChunk, f.row.Plain-f.at/framed*MaxChunk)
	var b [chunkHeader]byte
	binary.LittleEndian.PutUint32(b[1:], uint32(plain)) // the scheme, which is 0, is its last byte
	binary.LittleEndian.PutUint32(b[4:], uint32(plain)<<8)
	part := b[f.at%framed:]
	part = part[:min(int64(len(part)), f.left)]
	if _, err := f.w.Write(part); err != nil {
		return err
	}
	f.at, f.left = f.at+int64(len(part)), f.left-int64(len(part))
	return nil
}
