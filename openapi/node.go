package openapi

import (
	_ "embed"
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
	// Device is the UUID of the GPU for the tier gpu; empty is the one with the most
	// room.
	Device string `json:"device,omitempty"`
	// Hint only says that the version will be wanted: the answer comes at once, and
	// the load goes on behind it as long as nobody else has to make room.
	Hint bool `json:"hint,omitempty"`
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
	// BytesReceivedDelta and BytesReceivedBase are the parts of BytesReceived that were
	// deltas of chunks at hand, and what the registry sent to decode others with;
	// ChunksDelta, the chunks that came so, and BasesWrong those that came whole because
	// their base was not what it should be.
	BytesReceivedDelta int64 `json:"bytes_received_delta"`
	BytesReceivedBase  int64 `json:"bytes_received_base"`
	ChunksDelta        int   `json:"chunks_delta"`
	BasesWrong         int   `json:"bases_wrong"`
	// BytesPatched is plain bytes in RAM that were written over those of the version
	// before, for want of room beside it.
	BytesPatched int64        `json:"bytes_patched"`
	Sources      Sources      `json:"sources"`
	Phases       Phases       `json:"phases_ms"`
	Seconds      float64      `json:"seconds"`
	GPU          *SwapReceipt `json:"gpu,omitempty"` // what a load into the tier gpu moved there
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
		GPU  int64 `json:"gpu"`
	} `json:"freed"`
}

// MaterializeRequest asks a node to make the files of a version.
type MaterializeRequest struct {
	Ref string `json:"ref"`
}

// MaterializeReceipt says where the files of a version are, and what it took. Its JSON
// is a contract.
type MaterializeReceipt struct {
	Ref          string         `json:"ref"`
	Version      chunker.Digest `json:"version"`
	Commit       string         `json:"commit"`   // by which Hugging Face clients know the version
	HFCache      string         `json:"hf_cache"` // the folder that they are told, as HF_HUB_CACHE
	Path         string         `json:"path"`     // the folder of the files
	Files        int            `json:"files"`
	Bytes        int64          `json:"bytes"` // of all files
	BytesWritten int64          `json:"bytes_written"`
	BytesReused  int64          `json:"bytes_reused"` // that were there
	Seconds      float64        `json:"seconds"`
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
	// HFCache is the folder of versions that are kept as files, for HF_HUB_CACHE.
	HFCache string `json:"hf_cache,omitempty"`
	// Waiting is how many loads and leases wait for room.
	Waiting int `json:"waiting"`
	// Damaged counts chunks of the disk that were found damaged and dropped.
	Damaged int64 `json:"damaged"`
	// Refused counts chunks that a registry sent and that were not what they are
	// named for.
	Refused int64 `json:"refused"`
	// Deltas is what differences from chunks at hand have spared, and done.
	Deltas DeltaTotals `json:"deltas"`
}

// DeltaTotals counts since a node was started.
type DeltaTotals struct {
	Chunks        int64 `json:"chunks"`         // that came as deltas
	BytesReceived int64 `json:"bytes_received"` // encoded, of these
	BytesBase     int64 `json:"bytes_base"`     // encoded, of what the registry sent to decode them with
	BasesWrong    int64 `json:"bases_wrong"`    // chunks that came whole because their base was not right
	Patches       int64 `json:"patches"`        // versions that came into the memory of others
	PatchesUndone int64 `json:"patches_undone"` // that failed; the other version was put back
	PatchesLost   int64 `json:"patches_lost"`   // that failed, and the other version had to go
	BytesPatched  int64 `json:"bytes_patched"`  // plain, written over those of others
	PatchMemory   int64 `json:"patch_memory"`   // most bytes that a patch took beside both versions
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
	GPU  GPUUsage  `json:"gpu"`
}

// TierTotals is what the tiers hold as far as a registry is told: of the GPUs, what
// they hold together.
type TierTotals struct {
	Disk TierUsage `json:"disk"`
	RAM  TierUsage `json:"ram"`
	GPU  TierUsage `json:"gpu"`
}

// Totals returns what a registry is told.
func (t TierUsages) Totals() TierTotals {
	return TierTotals{Disk: t.Disk, RAM: t.RAM, GPU: t.GPU.TierUsage}
}

// TierUsage is what one tier holds, in bytes.
type TierUsage struct {
	Used   int64 `json:"used"`
	Budget int64 `json:"budget"`
	// Orphaned, part of Used, is memory of a former agent that clients still have.
	Orphaned int64 `json:"orphaned,omitempty"`
	// FilesBytes, part of Used, is files that were made of versions.
	FilesBytes int64 `json:"files_bytes,omitempty"`
	Models     int   `json:"models"`
	Limit      int   `json:"limit,omitempty"` // most models; 0 is no limit
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
	Old []OldVersion `json:"old,omitempty"`
	// Devices are the GPUs that Version is on.
	Devices []string `json:"devices,omitempty"`
	// Files is where Version is as files; nil where it is not.
	Files *ModelFiles `json:"files,omitempty"`
	Error string      `json:"error,omitempty"`
}

// ModelFiles is a version as files, in the form of the cache of Hugging Face clients.
type ModelFiles struct {
	Path   string `json:"path"`   // the folder of the files
	Commit string `json:"commit"` // by which those clients know the version
	Bytes  int64  `json:"bytes"`
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
	EventSwapped  = "swapped"  // those who used another version on Device use Version now, see Message
	EventPaused   = "paused"   // those who use Version on Device were asked to, see Message
	EventGPU      = "gpu"      // the state of Device has changed, see Message
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
	Device  string    `json:"device,omitempty"` // UUID of a GPU
	Message string    `json:"message,omitempty"`
}

// The events of the stream at GET /v1/events of a node.
const (
	StreamNode = "node" // the data is a NodeEvent
	StreamLost = "lost" // the last one: the reader was too slow, and some are gone
)

// NodeReport is what a node tells a registry of itself, PUT /v1/nodes/{node}. The
// registry forgets it after TTL seconds.
type NodeReport struct {
	// Address is where the node's HTTP interface is, if others can reach it.
	Address string         `json:"address,omitempty"`
	Program string         `json:"program"`
	TTL     int            `json:"ttl"` // seconds
	Tiers   TierTotals     `json:"tiers"`
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
