package leaseconn

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/openapi"
)

// Read returns the next frame and the descriptors that came with it, which are
// the caller's. Between frames the end of the connection is io.EOF; inside one it
// is io.ErrUnexpectedEOF.
func (c *Conn[F]) Read() (F, []*os.File, error) {
	var f, none F
	length, files, err := c.header()
	if err == nil {
		err = c.body(length, &f)
	}
	if err != nil {
		CloseAll(files)
		return none, nil, err
	}
	return f, files, nil
}

// header reads the length of a frame, and what descriptors come with it.
func (c *Conn[F]) header() (length int, files []*os.File, err error) {
	var header [4]byte
	// One more than allowed tells too many from just enough.
	oob := make([]byte, unix.CmsgSpace(4*(openapi.MaxLeaseFiles+1)))
	for n := 0; n < len(header); {
		got, more, err := c.receive(header[n:], oob)
		files = append(files, more...)
		if errors.Is(err, io.EOF) && n > 0 {
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			return 0, files, err
		}
		n += got
	}
	if len(files) > openapi.MaxLeaseFiles {
		return 0, files, fmt.Errorf("%d descriptors with a frame, want at most %d: %w", len(files), openapi.MaxLeaseFiles, ErrFrame)
	}
	announced := binary.BigEndian.Uint32(header[:])
	if announced == 0 || uint64(announced) > uint64(c.most) {
		return 0, files, fmt.Errorf("frame of %d bytes, want 1 to %d: %w", announced, c.most, ErrFrame)
	}
	return int(announced), files, nil
}

// receive reads some bytes and the descriptors that come with them.
func (c *Conn[F]) receive(p, oob []byte) (n int, files []*os.File, err error) {
	n, oobn, flags, _, err := c.unix.ReadMsgUnix(p, oob)
	if err != nil {
		return n, nil, err
	}
	files, err = descriptors(oob[:oobn])
	if err == nil && flags&unix.MSG_CTRUNC != 0 {
		err = fmt.Errorf("the frame's descriptors do not all fit: raise the limit of open files (ulimit -n): %w", ErrFrame)
	}
	return n, files, err
}

// descriptors returns the files that control messages carry.
func descriptors(oob []byte) (files []*os.File, err error) {
	messages, err := unix.ParseSocketControlMessage(oob)
	if err != nil {
		return nil, fmt.Errorf("read control messages: %w: %w", err, ErrFrame)
	}
	for i := range messages {
		fds, err := unix.ParseUnixRights(&messages[i])
		if err != nil {
			continue // another kind of message, which nobody asked for
		}
		for _, fd := range fds {
			files = append(files, os.NewFile(uintptr(fd), "lease segment "+strconv.Itoa(fd)))
		}
	}
	return files, nil
}

// body reads the JSON of a frame. Descriptors that come with it are dropped by the
// kernel.
func (c *Conn[F]) body(length int, f *F) error {
	var b bytes.Buffer
	if n, err := io.Copy(&b, io.LimitReader(c.unix, int64(length))); err != nil {
		return err
	} else if n < int64(length) {
		return io.ErrUnexpectedEOF
	}
	if err := json.Unmarshal(b.Bytes(), f); err != nil {
		return fmt.Errorf("read frame: %w: %w", err, ErrFrame)
	}
	return nil
}

// CloseAll closes descriptors that nobody wants.
func CloseAll(files []*os.File) {
	for _, f := range files {
		_ = f.Close() // a memfd that is only read has nothing to lose
	}
}
