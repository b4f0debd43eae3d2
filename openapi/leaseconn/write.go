package leaseconn

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"os"
	"runtime"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/openapi"
)

// piece is how many bytes a write gets its patience for: a peer that reads slowly
// is no peer that has stopped.
const piece = 1 << 20

// Write sends a frame and the descriptors that belong to it, which stay the
// caller's. A frame beyond openapi.MaxLeaseFrame is ErrFrame, and nothing of it is
// sent.
func (c *Conn[F]) Write(f F, files ...*os.File) error {
	if len(files) > openapi.MaxLeaseFiles {
		return fmt.Errorf("%d descriptors with a frame, want at most %d: %w", len(files), openapi.MaxLeaseFiles, ErrFrame)
	}
	body, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	if len(body) > openapi.MaxLeaseFrame {
		return fmt.Errorf("frame of %d bytes, want at most %d: %w", len(body), openapi.MaxLeaseFrame, ErrFrame)
	}
	frame := binary.BigEndian.AppendUint32(make([]byte, 0, 4+len(body)), uint32(len(body)))
	if err := c.send(append(frame, body...), files); err != nil {
		return fmt.Errorf("write frame: %w", err)
	}
	return nil
}

// send writes b piece by piece; the descriptors go with its first byte.
func (c *Conn[F]) send(b []byte, files []*os.File) error {
	var rights []byte
	if len(files) > 0 {
		rights = rightsOf(files)
	}
	for len(b) > 0 {
		if err := c.unix.SetWriteDeadline(time.Now().Add(c.patience)); err != nil {
			return err
		}
		n, _, err := c.unix.WriteMsgUnix(b[:min(len(b), piece)], rights, nil)
		if err != nil {
			return err
		}
		b, rights = b[n:], nil
	}
	runtime.KeepAlive(files)
	return nil
}

func rightsOf(files []*os.File) []byte {
	fds := make([]int, len(files))
	for i, f := range files {
		fds[i] = int(f.Fd())
	}
	return unix.UnixRights(fds...)
}
