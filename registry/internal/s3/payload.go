package s3

import (
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"hash/crc32"
	"io"
	"sync"
)

// payload is the body of one PUT over bytes of the caller. The transport may read a
// body on after the request has failed, so a payload is ended before the bytes go
// back to the caller.
type payload struct {
	size int64

	mu   sync.Mutex // protects rest; held while bytes are copied
	rest [][]byte
	over bool
}

func newPayload(parts [][]byte) *payload {
	p := &payload{rest: make([][]byte, 0, len(parts))}
	for _, part := range parts {
		if len(part) > 0 {
			p.rest = append(p.rest, part)
			p.size += int64(len(part))
		}
	}
	return p
}

// Read implements io.Reader.
func (p *payload) Read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.over {
		return 0, io.ErrClosedPipe
	}
	n := 0
	for n < len(b) && len(p.rest) > 0 {
		copied := copy(b[n:], p.rest[0])
		n += copied
		if p.rest[0] = p.rest[0][copied:]; len(p.rest[0]) == 0 {
			p.rest = p.rest[1:]
		}
	}
	if n == 0 && len(b) > 0 {
		return 0, io.EOF
	}
	return n, nil
}

// end makes every later Read fail. When it returns, nobody looks at the bytes.
func (p *payload) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.over, p.rest = true, nil
}

// castagnoli is the polynomial of CRC32C, which processors have an instruction for.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// crc32c returns the checksum of the parts as its header has it.
func crc32c(parts [][]byte) string {
	sum := uint32(0)
	for _, part := range parts {
		sum = crc32.Update(sum, castagnoli, part)
	}
	return base64.StdEncoding.EncodeToString(binary.BigEndian.AppendUint32(nil, sum))
}

// sha256Hex returns the hash of a small body as a signature has it.
func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
