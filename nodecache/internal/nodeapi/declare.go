package nodeapi

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/nodecache/internal/node"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/leaseconn"
)

// maxDeclared is the most segments of one lease: 4 TiB of 1 GiB each.
const maxDeclared = 4096

// declare holds what a client has of a former agent, until the connection ends.
func (s *session) declare(d *openapi.LeaseDeclare, files []*os.File) error {
	segments, err := s.declared(d, files)
	if err != nil {
		return err
	}
	d.Client = printable(d.Client)
	held, err := s.api.node.Declare(s.ctx, *d, segments, s.pid)
	if err != nil {
		return err
	}
	s.held = held
	f := openapi.LeaseFrame{Type: openapi.FrameHeld, Ref: d.Ref, Version: d.Version.String()}
	if err := s.write(f); err != nil {
		return err
	}
	s.listen()
	return s.follow(d.Ref, held)
}

// declared checks the segments that a client says it has against the descriptors
// that it sends: those of the first frame and, beyond what one can carry, of
// further ones.
func (s *session) declared(d *openapi.LeaseDeclare, files []*os.File) ([]node.Orphan, error) {
	segments, err := orphans(files)
	if err != nil {
		return nil, err
	}
	if _, err := parseRef(d.Ref); err != nil {
		return nil, err
	}
	if d.Version.IsZero() || len(d.Segments) > maxDeclared {
		return nil, openapi.Errorf(openapi.CodeBadRequest, "a lease has a version and at most %d segments", maxDeclared)
	}
	for len(segments) < len(d.Segments) && len(files) > 0 {
		_ = s.conn.SetReadDeadline(time.Now().Add(firstFrameTime)) // as in serveLease
		_, files, err = s.conn.Read()
		if err != nil {
			return nil, s.unread(err)
		}
		more, err := orphans(files)
		if err != nil {
			return nil, err
		}
		segments = append(segments, more...)
	}
	_ = s.conn.SetReadDeadline(time.Time{}) // as in serveLease
	if len(segments) != len(d.Segments) {
		return nil, openapi.Errorf(openapi.CodeBadRequest, "%d segments are declared and %d descriptors came", len(d.Segments), len(segments))
	}
	return segments, nil
}

// orphans asks the kernel what the descriptors are, and closes them.
func orphans(files []*os.File) (list []node.Orphan, err error) {
	defer leaseconn.CloseAll(files)
	for _, f := range files {
		var stat unix.Stat_t
		if err := unix.Fstat(int(f.Fd()), &stat); err != nil {
			return nil, openapi.Errorf(openapi.CodeBadRequest, "a descriptor that came is none: %v", err)
		}
		if stat.Mode&unix.S_IFMT != unix.S_IFREG {
			return nil, openapi.Errorf(openapi.CodeBadRequest, "a descriptor that came is no memory")
		}
		list = append(list, node.Orphan{Device: uint64(stat.Dev), Inode: stat.Ino, Bytes: stat.Blocks * 512})
	}
	return list, nil
}
