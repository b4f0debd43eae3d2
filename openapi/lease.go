package openapi

import (
	"encoding/json"
	"fmt"

	"github.com/ingot-ml/ingot/chunker"
)

// LeaseProtocol is the Upgrade that POST /v1/lease of a node's socket asks for.
// From then on the connection carries LeaseFrames.
const LeaseProtocol = "ingot-lease/1"

// MaxLeaseFrame bounds the JSON of a frame in bytes, and MaxLeaseFiles the
// descriptors that come with one.
const (
	MaxLeaseFrame = 64 << 20
	MaxLeaseFiles = 128
)

// The types of LeaseFrame.
const (
	FrameLease    = "lease"    // client, first: what it wants
	FrameDeclare  = "declare"  // client, first: what it holds of an agent that is gone
	FrameWaiting  = "waiting"  // agent: the model is not there yet
	FrameSegments = "segments" // agent: the descriptors of these segments come with the frame
	FrameLayout   = "layout"   // agent: where everything is; the lease holds
	FrameTensor   = "tensor"   // agent, streams: this tensor is there
	FrameFile     = "file"     // agent, streams: all tensors of this file have been sent
	FrameAck      = "ack"      // client, window: it is done with the oldest tensor
	FrameDone     = "done"     // agent, streams: all tensors have been sent
	FrameMoved    = "moved"    // agent: the reference has another version now
	FrameHeld     = "held"     // agent: answer to declare
	FrameError    = "error"    // agent: the lease has failed; it closes the connection

	// Of leases on a GPU.
	FrameSlabs    = "slabs"    // agent: the descriptors of these slabs come with the frame
	FrameImage    = "image"    // agent: map this; what was paused goes on
	FramePause    = "pause"    // agent: stop using these slabs, and say so
	FramePaused   = "paused"   // client: it has stopped and unmapped what was asked for
	FrameDetach   = "detach"   // client: it has unmapped everything, of its own will
	FrameAcquire  = "acquire"  // client: it wants its image again
	FrameDetached = "detached" // agent: answer to detach and to acquire: what came before it is void
	FrameDenied   = "denied"   // agent: answer to acquire that is no image; the lease stays
	FrameLost     = "lost"     // agent: the image is gone; what is mapped of it must not be used
)

// LeaseFrame is what a lease's connection carries in both directions: four bytes
// of length, most significant first, and so many bytes of JSON. Descriptors are
// sent by SCM_RIGHTS with the first of these bytes.
type LeaseFrame struct {
	Type     string         `json:"type"`
	Lease    *LeaseRequest  `json:"lease,omitempty"`
	Declare  *LeaseDeclare  `json:"declare,omitempty"`
	Segments []LeaseSegment `json:"segments,omitempty"` // in the order of the descriptors
	Layout   *LeaseLayout   `json:"layout,omitempty"`
	Tensor   *LeaseTensor   `json:"tensor,omitempty"`
	// File is the path of the file that Tensor is in, or that FrameFile ends.
	File string `json:"file,omitempty"`
	// Ref and Version say what is leased in frames of the types segments and done,
	// what the reference has now in moved, and what is held in held.
	Ref     string `json:"ref,omitempty"`
	Version string `json:"version,omitempty"`
	// Patch says in moved that the new version has no room beside the old one: it comes
	// into its memory as soon as nobody leases that any more.
	Patch bool   `json:"patch,omitempty"`
	Bytes int64  `json:"bytes,omitempty"`       // of a load under way
	Total int64  `json:"bytes_total,omitempty"` // of a load under way
	Error *Error `json:"error,omitempty"`

	Slabs   []LeaseSlab   `json:"slabs,omitempty"` // in the order of the descriptors
	Image   *LeaseImage   `json:"image,omitempty"`
	Pause   *LeasePause   `json:"pause,omitempty"`
	Acquire *LeaseAcquire `json:"acquire,omitempty"`
	// ID is that of the pause that paused answers, or that an image ends.
	ID uint64 `json:"id,omitempty"`
}

// How a lease gets its tensors.
const (
	// LeaseWhole waits until the whole version is in RAM and gets its layout.
	LeaseWhole = ""
	// LeaseStream gets each tensor as soon as it is in RAM, then the layout. The
	// whole version stays.
	LeaseStream = "stream"
	// LeaseWindow gets the tensors one after another through a part of the RAM, for
	// a version that is larger than the budget. A tensor may be used until it is
	// acknowledged. There is no layout.
	LeaseWindow = "window"
)

// LeaseRequest asks for the use of a version.
type LeaseRequest struct {
	Ref  string `json:"ref"`
	Mode string `json:"mode,omitempty"`
	// Deadline in seconds bounds the wait for a version that is not resident; 0 is
	// the node's default.
	Deadline float64 `json:"deadline,omitempty"`
	// First names tensors that a stream should bring before all others, in their
	// order.
	First []string `json:"first,omitempty"`
	// Client says who asks, for people.
	Client string `json:"client,omitempty"`

	// Tier is where the version is to be used: RAM, which is also what none means, or
	// a GPU. What follows is for that.
	Tier Tier `json:"tier,omitempty"`
	// Device is the GPU's UUID; empty is that with the most room.
	Device string `json:"device,omitempty"`
	// Priority is that of the client when it waits for room: who has a higher one
	// comes first.
	Priority int `json:"priority,omitempty"`
	// Yield says that the client lets others have the room when it is asked to.
	Yield bool `json:"yield,omitempty"`
	// Follow has the client use what the reference names, whenever that changes.
	Follow bool `json:"follow,omitempty"`
}

// LeaseSlab is memory of a GPU that a client gets, to read only. Its descriptor is
// one that cuMemImportFromShareableHandle takes.
type LeaseSlab struct {
	ID   uint64 `json:"id"` // of this agent process
	Size int64  `json:"size"`
}

// LeaseImage is a version on a GPU: slabs that lie one behind the other, and the
// tensors in them.
type LeaseImage struct {
	Ref     string         `json:"ref"`
	Version chunker.Digest `json:"version"`
	Device  string         `json:"device"` // UUID
	Size    int64          `json:"size"`   // of all slabs
	// Reserve is how many bytes of addresses do for any version that may follow.
	Reserve int64         `json:"reserve"`
	Slabs   []LeaseSlab   `json:"slabs"`
	Tensors []ImageTensor `json:"tensors"`
}

// ImageTensor is a tensor in an image.
type ImageTensor struct {
	File   string   `json:"file"`
	Name   string   `json:"name"`
	DType  string   `json:"dtype"` // as the file spells it
	Shape  []uint64 `json:"shape"`
	Offset int64    `json:"offset"` // in the image, a multiple of 512
	Bytes  int64    `json:"bytes"`
}

// Why a client is asked to pause.
const (
	PauseSwap = "swap" // for another version, which follows
	PauseRoom = "room" // for others: what follows is up to the client
)

// LeasePause asks a client to stop using slabs. Who does not within Deadline keeps
// what it has, and the others are told to go on.
type LeasePause struct {
	ID     uint64 `json:"id"`
	Reason string `json:"reason"`
	// Unmap are the places in the image, from 0 on, whose slabs are to be unmapped.
	// The others stay mapped and may change.
	Unmap    []int   `json:"unmap"`
	Deadline float64 `json:"deadline"` // seconds
}

// LeaseAcquire asks for the image again, after a pause for room or a detach.
type LeaseAcquire struct {
	Priority int     `json:"priority,omitempty"`
	Deadline float64 `json:"deadline,omitempty"` // seconds; 0 is the node's default
}

// LeaseDeclare tells an agent of a lease that a former one gave. The descriptors
// of the segments come with the frame, so that the agent can see how much memory
// they are; those beyond MaxLeaseFiles follow in frames of type segments.
type LeaseDeclare struct {
	Ref      string         `json:"ref"`
	Version  chunker.Digest `json:"version"`
	Segments []LeaseSegment `json:"segments"`
	Client   string         `json:"client,omitempty"`
}

// LeaseSegment is a memfd that a client gets, to read only.
type LeaseSegment struct {
	ID   uint64 `json:"id"` // of this agent process
	Size int64  `json:"size"`
}

// LeaseLayout says where the files and tensors of a version are.
type LeaseLayout struct {
	Ref     string         `json:"ref"`
	Version chunker.Digest `json:"version"`
	Files   []LeaseFile    `json:"files"`
}

// LeaseFile is a file in memory. Its runs are its bytes, in order and whole.
type LeaseFile struct {
	Path    string        `json:"path"`
	Size    int64         `json:"size"`
	Format  string        `json:"format"`
	Runs    []LeaseRun    `json:"runs"`
	Tensors []LeaseTensor `json:"tensors"`
}

// LeaseTensor is a tensor of a file. Runs is only in frames of type tensor; in a
// layout the tensor is the part of its file that Offset and Bytes say.
type LeaseTensor struct {
	Name   string     `json:"name"`
	DType  string     `json:"dtype"` // as the file spells it
	Shape  []uint64   `json:"shape"`
	Offset int64      `json:"offset"` // in the file
	Bytes  int64      `json:"bytes"`
	Runs   []LeaseRun `json:"runs,omitempty"`
}

// LeaseRun is bytes that lie together in a segment. Each but the last of a tensor
// of several chunks begins and ends at a page of 4 KiB, so that a client can map
// them behind each other. In JSON it is [segment, offset, length].
type LeaseRun struct {
	Segment uint64
	Offset  int64
	Length  int64
}

// MarshalJSON implements json.Marshaler.
func (r LeaseRun) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "[%d,%d,%d]", r.Segment, r.Offset, r.Length), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (r *LeaseRun) UnmarshalJSON(b []byte) error {
	var run []int64
	if err := json.Unmarshal(b, &run); err != nil {
		return fmt.Errorf("run %.80s: %w", b, err)
	}
	if len(run) != 3 || run[0] < 0 || run[1] < 0 || run[2] < 1 {
		return fmt.Errorf("run %.80s: want [segment, offset, length]", b)
	}
	r.Segment, r.Offset, r.Length = uint64(run[0]), run[1], run[2]
	return nil
}
