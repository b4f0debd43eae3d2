package cas

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"syscall"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/xet"
)

// A xorb in the folder is the plain bytes of its chunks, then where each ends, as 4
// bytes little-endian, then their number in 4 bytes.
const endSize = 4

// room is taken in steps, for nobody says how long a xorb is when it is plain.
const roomStep = 8 << 20

// arrival is a xorb that comes in.
type arrival struct {
	pool  *pool
	file  *os.File
	w     *bufio.Writer
	ends  []byte
	plain uint32
	taken int64
	whole bool // it has its name
}

// begin returns room for a xorb. The caller calls commit or abort.
func (p *pool) begin() (*arrival, error) {
	file, err := os.CreateTemp(p.dir, arriving)
	if err != nil {
		return nil, fmt.Errorf("make room for a xorb: %w", err)
	}
	return &arrival{pool: p, file: file, w: bufio.NewWriterSize(file, 2*xet.MaxChunk)}, nil
}

// add adds a chunk.
func (a *arrival) add(plain []byte) error {
	a.plain += uint32(len(plain)) // at most 8192 chunks of 128 KiB
	a.ends = binary.LittleEndian.AppendUint32(a.ends, a.plain)
	return a.write(plain)
}

func (a *arrival) write(b []byte) error {
	for a.taken < int64(a.plain)+int64(len(a.ends))+endSize {
		if err := a.pool.take(roomStep); err != nil {
			return err
		}
		a.taken += roomStep
	}
	if _, err := a.w.Write(b); err != nil {
		return a.failed(err)
	}
	return nil
}

func (a *arrival) failed(err error) error {
	if errors.Is(err, syscall.ENOSPC) {
		return openapi.Errorf(openapi.CodeNoSpace, "no room on the disk for a xorb: try again later")
	}
	return fmt.Errorf("write a xorb: %w", err)
}

// commit puts the xorb under its name.
func (a *arrival) commit(k poolKey) error {
	tail := binary.LittleEndian.AppendUint32(a.ends, uint32(len(a.ends)/endSize))
	if err := a.write(tail); err != nil {
		return err
	}
	if err := a.w.Flush(); err != nil {
		return a.failed(err)
	}
	size := int64(a.plain) + int64(len(tail))
	if err := a.pool.add(k, a.file.Name(), size); err != nil {
		return err
	}
	a.pool.give(a.taken - size)
	a.whole = true
	return a.file.Close()
}

// abort removes what came. It does nothing after commit.
func (a *arrival) abort() {
	if a.whole {
		return
	}
	a.pool.give(a.taken)
	// The next start removes what stays.
	_ = errors.Join(a.file.Close(), os.Remove(a.file.Name()))
}

// pooledFile is an open xorb of the folder.
type pooledFile struct {
	file *os.File
	ends []uint32
	done func() error
}

var errDamaged = errors.New("this is no xorb")

// readEnds reads where the chunks of a xorb end, and checks that the file is one.
func readEnds(file *os.File, size int64) ([]uint32, error) {
	var last [endSize]byte
	if _, err := file.ReadAt(last[:], size-endSize); err != nil {
		return nil, errDamaged
	}
	n := int64(binary.LittleEndian.Uint32(last[:]))
	plain := size - endSize - n*endSize
	if n < 1 || n > xet.MaxChunks || plain < 1 {
		return nil, errDamaged
	}
	raw := make([]byte, n*endSize)
	if _, err := file.ReadAt(raw, plain); err != nil {
		return nil, errDamaged
	}
	ends := make([]uint32, n)
	before := uint32(0)
	for i := range ends {
		ends[i] = binary.LittleEndian.Uint32(raw[i*endSize:])
		if ends[i] <= before {
			return nil, errDamaged
		}
		before = ends[i]
	}
	if int64(before) != plain {
		return nil, errDamaged
	}
	return ends, nil
}

// Ends implements chunks.
func (f *pooledFile) Ends() []uint32 { return f.ends }

// Copy implements chunks.
func (f *pooledFile) Copy(_ context.Context, w io.Writer, first, end uint32) error {
	from, to := span(f.ends, first, end)
	_, err := io.Copy(w, io.NewSectionReader(f.file, from, to-from))
	return err
}

// Close implements chunks.
func (f *pooledFile) Close() error {
	return errors.Join(f.file.Close(), f.done())
}

// span returns where the chunks from first to before end lie.
func span(ends []uint32, first, end uint32) (from, to int64) {
	if first > 0 {
		from = int64(ends[first-1])
	}
	return from, int64(ends[end-1])
}
