package agent

import (
	"fmt"
	"os"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/leaseconn"
)

// take does what a frame of the agent says. It owns the descriptors.
func (l *Lease) take(f openapi.LeaseFrame, files []*os.File) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if f.Type == openapi.FrameSegments {
		if err := l.addSegments(f.Segments, files); err != nil {
			return err
		}
		return l.known(f.Ref, f.Version)
	}
	leaseconn.CloseAll(files) // nothing else comes with descriptors
	defer l.tell()
	switch f.Type {
	case openapi.FrameTensor:
		return l.arrive(f)
	case openapi.FrameDone:
		err := l.known(f.Ref, f.Version)
		l.done = err == nil
		return err
	case openapi.FrameLayout:
		return l.settle(f.Layout)
	case openapi.FrameMoved:
		return l.move(f.Version)
	case openapi.FrameError:
		if f.Error == nil {
			return fmt.Errorf("agent %s: error without its text: %w", l.agent.address, ErrProtocol)
		}
		return f.Error
	}
	return nil // held, file, or of a later release
}

// known keeps what is leased.
func (l *Lease) known(ref, version string) error {
	digest, err := chunker.ParseDigest(version)
	if err != nil {
		return fmt.Errorf("agent %s: version %.80q: %w: %w", l.agent.address, version, err, ErrProtocol)
	}
	l.ref, l.version = ref, digest
	return nil
}

// addSegments keeps the descriptors of segments, whose sizes the system confirms:
// a page behind the end of a file kills who reads it.
func (l *Lease) addSegments(list []openapi.LeaseSegment, files []*os.File) error {
	if len(list) != len(files) {
		leaseconn.CloseAll(files)
		return fmt.Errorf("agent %s: %d segments with %d descriptors: %w", l.agent.address, len(list), len(files), ErrProtocol)
	}
	var wrong error
	for i, s := range list {
		info, err := files[i].Stat()
		_, twice := l.segments[s.ID]
		if err != nil || !info.Mode().IsRegular() || s.Size < 1 || info.Size() < s.Size || twice {
			leaseconn.CloseAll(files[i : i+1])
			wrong = fmt.Errorf("agent %s: segment %d is not what it says: %w", l.agent.address, s.ID, ErrProtocol)
			continue
		}
		l.segments[s.ID] = segment{s, files[i]}
	}
	return wrong
}

// arrive keeps where a tensor of a stream lies.
func (l *Lease) arrive(f openapi.LeaseFrame) error {
	if f.Tensor == nil {
		return fmt.Errorf("agent %s: tensor frame without tensor: %w", l.agent.address, ErrProtocol)
	}
	parts, err := l.place(f.Tensor.Runs, f.Tensor.Bytes)
	if err != nil {
		return fmt.Errorf("agent %s: tensor %.80q: %w", l.agent.address, f.Tensor.Name, err)
	}
	t := *f.Tensor
	t.Runs = nil // parts say it
	l.arrived = append(l.arrived, arrival{file: f.File, tensor: t, parts: parts})
	return nil
}

// settle keeps the layout.
func (l *Lease) settle(from *openapi.LeaseLayout) error {
	if from == nil {
		return fmt.Errorf("agent %s: layout frame without layout: %w", l.agent.address, ErrProtocol)
	}
	made, err := l.readLayout(from)
	if err != nil {
		return fmt.Errorf("agent %s: %w", l.agent.address, err)
	}
	l.ref, l.version, l.layout = from.Ref, from.Version, made
	return nil
}

// move tells that the reference has another version.
func (l *Lease) move(version string) error {
	digest, err := chunker.ParseDigest(version)
	if err != nil {
		return fmt.Errorf("agent %s: moved to %.80q: %w: %w", l.agent.address, version, err, ErrProtocol)
	}
	select {
	case <-l.moved: // an older one that nobody has read
	default:
	}
	l.moved <- digest // has room: nobody else sends
	return nil
}
