package nodecache

import (
	"cmp"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/openapi/trace"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/signature"
)

// The defaults of a Config.
const (
	DefaultWait      = 5 * time.Minute
	DefaultPoll      = 30 * time.Second
	DefaultHeartbeat = 10 * time.Second
	DefaultParallel  = 8
	DefaultHigh      = 95
	DefaultLow       = 85

	DefaultGPUHeadroom = 1 << 30
	DefaultGPUSlice    = 2 * time.Second
)

// Config is what a node is told.
type Config struct {
	// Name is how the node calls itself to the registry; empty is the host's name.
	Name string
	// Registry is the address of the registry; empty for none: then the node serves
	// what it has.
	Registry string
	// Advertise is where others reach the node's HTTP interface, for people; may be
	// empty.
	Advertise string
	// Access says who may use the node over TCP, and what it shows to its registry.
	Access Access
	// Data is the folder of everything that the node keeps.
	Data string

	// Disk and RAM are the budgets of the tiers in bytes. A RAM budget of 0 is a node
	// without that tier.
	Disk, RAM int64
	// DiskModels and RAMModels are the most versions in a tier; 0 is no limit.
	DiskModels, RAMModels int
	// Encoded keeps chunks on the disk as they come: less room, and more work at
	// every read.
	Encoded bool
	// High and Low are the watermarks of the disk in percent of its budget: above
	// High, what was not used for the longest time is dropped until Low; 0 is the
	// default.
	High, Low int
	// Huge asks for huge pages where the system has them for shared memory.
	Huge bool

	// GPU is the budgets of GPUs, none for a node that uses no GPU. GPUHeadroom is
	// what stays free of each for the engines; GPUSlice, how long who leases one may
	// keep the room that others wait for; a slice of 0 is DefaultGPUSlice.
	GPU         []GPUBudget
	GPUHeadroom int64
	GPUSlice    time.Duration
	// MoverCommand runs the mover of a GPU: the program and its first arguments.
	MoverCommand []string

	// Wait is how long a lease waits for a version that is not there, unless it says
	// otherwise; 0 is DefaultWait.
	Wait time.Duration
	// Poll is how often followed tags are looked up when the registry sends no
	// events; 0 is DefaultPoll.
	Poll time.Duration
	// Heartbeat is how often the node reports itself; 0 is DefaultHeartbeat, and less
	// is never.
	Heartbeat time.Duration
	// IdleGPU, IdleRAM and IdleDisk are how long a version that nobody uses stays in
	// a tier, unless its Model says otherwise; 0 is for as long as there is room.
	IdleGPU, IdleRAM, IdleDisk time.Duration
	// Parallel is the most requests to the registry of one load; 0 is
	// DefaultParallel.
	Parallel int

	// Files is the folder of versions that are kept as files, in the form of the cache
	// of Hugging Face clients; empty is one in Data. They count in the Disk budget.
	Files string

	// SignedBy are the keys one of which has to have signed a version before anything of
	// it is loaded, of every repository that has none of its own; none loads all.
	SignedBy []*signature.PublicKey

	// Models are the versions that the node keeps.
	Models []Model

	// Logger gets what happens; nil is silence.
	Logger *slog.Logger
	// Version is the program's.
	Version string
}

// GPUBudget is how much of a GPU a node may take.
type GPUBudget struct {
	UUID  string // empty is every GPU that has no budget of its own
	Bytes int64
}

// Model is a reference that a node keeps, or a pattern of many that it offers.
type Model struct {
	// Ref is the reference; Match instead is a pattern, "namespace/*" or "*", whose
	// tags are known to the node and come when they are asked for.
	Ref   name.Ref
	Match string
	// Tier is where it should be; TierNone for one that comes when asked for.
	Tier openapi.Tier
	// Device is the UUID of the GPU for the tier gpu; empty is the one with the most
	// room.
	Device string
	// Files keeps it as files, beside what its tier keeps.
	Files bool
	// SignedBy is as in Config, for all of the repository, or of the namespace that Match
	// names; none is the Config's.
	SignedBy []*signature.PublicKey
	// Watch follows the tag.
	Watch bool
	// Pin keeps it in its tier whatever else wants the room.
	Pin bool
	// IdleGPU, IdleRAM and IdleDisk are as in Config; 0 is the Config's, and less is
	// never.
	IdleGPU, IdleRAM, IdleDisk time.Duration
}

// withDefaults returns c with every zero replaced by what it means.
func (c Config) withDefaults() Config {
	if c.Name == "" {
		c.Name, _ = os.Hostname() // a node without a name is one too
		c.Name = cmp.Or(c.Name, "node")
	}
	c.Wait = cmp.Or(max(0, c.Wait), DefaultWait)
	c.Poll = cmp.Or(max(0, c.Poll), DefaultPoll)
	c.Heartbeat = cmp.Or(c.Heartbeat, DefaultHeartbeat)
	c.GPUSlice = cmp.Or(max(0, c.GPUSlice), DefaultGPUSlice)
	c.Parallel = cmp.Or(max(0, c.Parallel), DefaultParallel)
	c.High, c.Low = cmp.Or(c.High, DefaultHigh), cmp.Or(c.Low, DefaultLow)
	c.Version = cmp.Or(c.Version, "unversioned")
	c.Files = cmp.Or(c.Files, filepath.Join(c.Data, "files"))
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Logger = slog.New(trace.Logged(c.Logger.Handler()))
	return c
}
