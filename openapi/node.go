package openapi

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"time"

	"github.com/ingot-ml/ingot/chunker"
)

// NodeSpec is the OpenAPI document of a node's agent, as it serves it at
// /openapi.yaml.
//
//go:embed node.yaml
var NodeSpec []byte

// Tier is where a node keeps a version. A faster tier is a larger Tier, and a
// version counts as being in the fastest that holds all of it.
type Tier uint8

// The tiers, from none on.
const (
	TierNone Tier = iota // not on the node, or not all of it
	TierDisk
	TierRAM
	TierGPU
)

var tierNames = [...]string{"none", "disk", "ram", "gpu"}

// Tiers are the tiers that hold something, from the slowest on.
var Tiers = []Tier{TierDisk, TierRAM, TierGPU}

// ParseTier reads what String returns.
func ParseTier(s string) (Tier, error) {
	for t, known := range tierNames {
		if s == known {
			return Tier(t), nil
		}
	}
	return TierNone, fmt.Errorf("tier %.40q: want disk, ram or gpu", s)
}

// String returns none, disk, ram or gpu.
func (t Tier) String() string {
	if int(t) < len(tierNames) {
		return tierNames[t]
	}
	return fmt.Sprintf("Tier(%d)", uint8(t))
}

// MarshalText implements encoding.TextMarshaler.
func (t Tier) MarshalText() ([]byte, error) { return []byte(t.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (t *Tier) UnmarshalText(text []byte) (err error) {
	*t, err = ParseTier(string(text))
	return err
}

// LoadRequest asks a node to bring a version into a tier.
type LoadRequest struct {
	Ref  string `json:"ref"`
	Tier Tier   `json:"tier"`
	// DryRun asks what it would take, and changes nothing.
	DryRun bool `json:"dry_run,omitempty"`
	// Deadline in seconds bounds the wait for room; 0 is the node's default.
	Deadline float64 `json:"deadline,omitempty"`
}

// Sources is plain bytes by where they came from.
type Sources struct {
	Disk     int64 `json:"disk"`
	RAM      int64 `json:"ram"`
	Peer     int64 `json:"peer"`
	Delta    int64 `json:"delta"`
	Registry int64 `json:"registry"`
}

// Phases is milliseconds by what was done, summed over those who did it at a
// time, so that together they may be more than the load took.
type Phases struct {
	Plan  float64 `json:"plan"`
	Wait  float64 `json:"wait"`  // for room
	Fetch float64 `json:"fetch"` // from the registry: the network, decoding and hashing
	Read  float64 `json:"read"`  // from the disk, checked
	Store float64 `json:"store"` // onto the disk
}

// LoadReceipt says what a load moved, or would move. Its JSON is a contract:
// fields are added, never renamed.
type LoadReceipt struct {
	Ref           string         `json:"ref"`
	Version       chunker.Digest `json:"version"`
	Tier          Tier           `json:"tier"`
	BytesTotal    int64          `json:"bytes_total"`    // plain bytes of the distinct chunks
	BytesReceived int64          `json:"bytes_received"` // encoded bytes that came over the network, retries included
	BytesReused   int64          `json:"bytes_reused"`   // plain bytes that the node had
	ChunksTotal   int            `json:"chunks_total"`
	ChunksNew     int            `json:"chunks_new"` // that the node had not
	Sources       Sources        `json:"sources"`
	Phases        Phases         `json:"phases_ms"`
	Seconds       float64        `json:"seconds"`
}

// UnloadRequest asks a node to let a version fall to a slower tier.
type UnloadRequest struct {
	Ref string `json:"ref"`
	// Tier is where it may stay: none or disk, or ram.
	Tier Tier `json:"tier"`
}

// UnloadReceipt says what an unload has freed, in bytes of each tier.
type UnloadReceipt struct {
	Ref     string         `json:"ref"`
	Version chunker.Digest `json:"version"`
	Tier    Tier           `json:"tier"` // where it is now
	Freed   struct {
		Disk int64 `json:"disk"`
		RAM  int64 `json:"ram"`
	} `json:"freed"`
}

// PinRequest keeps a version in its tier whatever else wants the room, or ends
// that.
type PinRequest struct {
	Ref    string `json:"ref"`
	Pinned bool   `json:"pinned"`
}

// NodeStatus is the answer of GET /v1/status of a node.
type NodeStatus struct {
	Name     string        `json:"name"`
	Program  string        `json:"program"` // version of ingot
	Started  time.Time     `json:"started"`
	Registry RegistryState `json:"registry"`
	Tiers    TierUsages    `json:"tiers"`
	Models   []ModelStatus `json:"models"`
	// Waiting is how many loads and leases wait for room.
	Waiting int `json:"waiting"`
	// Damaged counts chunks of the disk that were found damaged and dropped.
	Damaged int64 `json:"damaged"`
	// Refused counts chunks that a registry sent and that were not what they are
	// named for.
	Refused int64 `json:"refused"`
}

// RegistryState is how a node sees its registry.
type RegistryState struct {
	URL       string    `json:"url"`
	Reachable bool      `json:"reachable"`
	Since     time.Time `json:"since"` // of this state
	Error     string    `json:"error,omitempty"`
	Following string    `json:"following"` // events, polling or nothing
}

// TierUsages is what the tiers hold. A tier that the node does not have has a
// budget of 0.
type TierUsages struct {
	Disk TierUsage `json:"disk"`
	RAM  TierUsage `json:"ram"`
	GPU  TierUsage `json:"gpu"`
}

// TierUsage is what one tier holds, in bytes.
type TierUsage struct {
	Used   int64 `json:"used"`
	Budget int64 `json:"budget"`
	// Orphaned, part of Used, is memory of a former agent that clients still have.
	Orphaned int64 `json:"orphaned,omitempty"`
	Models   int   `json:"models"`
	Limit    int   `json:"limit,omitempty"` // most models; 0 is no limit
}

// The states of a model on a node.
const (
	ModelAbsent  = "absent"  // known, and not on the node
	ModelWaiting = "waiting" // for room
	ModelLoading = "loading"
	ModelReady   = "ready"
	ModelFailed  = "failed" // see Error
)

// ModelStatus is one reference that a node knows.
type ModelStatus struct {
	Ref     string `json:"ref"`
	Version string `json:"version"` // that the node serves for it; empty for none
	Tier    Tier   `json:"tier"`    // the fastest that holds all of Version
	Want    Tier   `json:"want"`    // where the configuration or a request wants it
	State   string `json:"state"`
	// BytesOwn is what only this version holds of its tier, BytesShared what others
	// hold too.
	BytesOwn    int64     `json:"bytes_own"`
	BytesShared int64     `json:"bytes_shared"`
	BytesTotal  int64     `json:"bytes_total"` // plain bytes of its distinct chunks
	BytesDone   int64     `json:"bytes_done"`  // of a load under way
	Leases      int       `json:"leases"`
	Pinned      bool      `json:"pinned"`
	Watch       bool      `json:"watch"`
	LastUse     time.Time `json:"last_use"`
	// Old lists other versions of the reference that leases still hold.
	Old   []OldVersion `json:"old,omitempty"`
	Error string       `json:"error,omitempty"`
}

// OldVersion is a version that a reference has left and that is still in use.
type OldVersion struct {
	Version string `json:"version"`
	Leases  int    `json:"leases"`
}

// The types of NodeEvent.
const (
	EventLoading  = "loading"  // Bytes of Total are there
	EventLoaded   = "loaded"   // into Tier
	EventFailed   = "failed"   // see Message
	EventSwitched = "switched" // the reference is served from Version now
	EventDropped  = "dropped"  // Version fell to Tier
	EventLeased   = "leased"
	EventReleased = "released"
	EventDamaged  = "damaged"  // a chunk of the disk
	EventRegistry = "registry" // it is or is not reachable, see Message
)

// NodeEvent is something that happened on a node: an event of GET /v1/events.
type NodeEvent struct {
	Seq     uint64    `json:"seq"`
	Time    time.Time `json:"time"`
	Type    string    `json:"type"`
	Ref     string    `json:"ref,omitempty"`
	Version string    `json:"version,omitempty"`
	Tier    Tier      `json:"tier"`
	Bytes   int64     `json:"bytes,omitempty"`
	Total   int64     `json:"bytes_total,omitempty"`
	Message string    `json:"message,omitempty"`
}

// The events of the stream at GET /v1/events of a node.
const (
	StreamNode = "node" // the data is a NodeEvent
	StreamLost = "lost" // the last one: the reader was too slow, and some are gone
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
	Bytes   int64  `json:"bytes,omitempty"`       // of a load under way
	Total   int64  `json:"bytes_total,omitempty"` // of a load under way
	Error   *Error `json:"error,omitempty"`
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

// NodeReport is what a node tells a registry of itself, PUT /v1/nodes/{node}. The
// registry forgets it after TTL seconds.
type NodeReport struct {
	// Address is where the node's HTTP interface is, if others can reach it.
	Address string         `json:"address,omitempty"`
	Program string         `json:"program"`
	TTL     int            `json:"ttl"` // seconds
	Tiers   TierUsages     `json:"tiers"`
	Models  []NodeResident `json:"models"`
}

// NodeResident is a version that a node holds.
type NodeResident struct {
	Ref     string         `json:"ref"`
	Version chunker.Digest `json:"version"`
	Tier    Tier           `json:"tier"`
	Leases  int            `json:"leases"`
}

// Limits of NodeReport.
const (
	MaxNodeModels = 4096
	MaxNodeTTL    = 3600
	MaxNodes      = 10_000
)

// NodeInfo is a node in a list.
type NodeInfo struct {
	Name string    `json:"name"`
	Seen time.Time `json:"seen"`
	NodeReport
}

// NodeList is the answer of GET /v1/nodes of a registry.
type NodeList struct {
	Nodes []NodeInfo `json:"nodes"`
}

// TagEvent is a change of a tag: an event of GET /v1/events of a registry. A zero
// Digest says that the tag is gone.
type TagEvent struct {
	Repo    string    `json:"repo"`
	Tag     string    `json:"tag"`
	Digest  string    `json:"digest"` // empty: deleted
	Updated time.Time `json:"updated"`
}
