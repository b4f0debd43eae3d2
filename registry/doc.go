// Package registry owns a whole registry: it puts the parts together on one data
// directory, and runs them.
//
// Laws:
//   - A data directory is used by one process at a time, and only if a registry
//     made it.
//   - Where nothing controls access, or tokens could be read on their way, only this
//     machine is served unless the operator says otherwise.
//   - Every goroutine that is started here has ended when Close returns.
//   - A registry whose registers failed to commit stops. What is on the disk is
//     then found out by the next process.
//
// The data directory holds:
//
//	ingot.json  the format of the directory
//	meta.db     the registers: tags, versions, pushes
//	index.db    where chunks may be found; made again when it is lost
//	blobs/      everything else
package registry

import (
	"cmp"
	"crypto/tls"
	"log/slog"
	"time"

	"github.com/ingot-ml/ingot/openapi/trace"
	"github.com/ingot-ml/ingot/registry/hub"
	"github.com/ingot-ml/ingot/registry/internal/collect"
	"github.com/ingot-ml/ingot/registry/internal/ingest"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// The defaults of a Config.
const (
	// DefaultMemory holds the bodies of 60 chunks that are uploaded at a time.
	DefaultMemory = 256 << 20
	// DefaultPushTTL is long enough for a push over a slow line with a weekend in
	// it.
	DefaultPushTTL = versions.DefaultPushTTL
	// DefaultDeltaCPU and DefaultDeltaBytes let one machine follow a training run, or send
	// one, and the others have their share.
	DefaultDeltaCPU   = versions.DefaultDeltaCPU
	DefaultDeltaBytes = versions.DefaultDeltaBytes
	// DefaultGCGrace is longer than a push with a night in it.
	DefaultGCGrace = collect.DefaultGrace
	// DefaultArrivals holds four of the largest files that models are made of.
	DefaultArrivals = ingest.DefaultLimit
	// DefaultHubPartSize lets the largest shards that tools write be sent at once.
	DefaultHubPartSize = hub.DefaultPartSize
)

// Config is what an operator decides. Only Data is required.
type Config struct {
	// Data is the directory of everything the registry keeps. It is made if need
	// be. It must be on a local disk: locks and fsync have to work.
	Data string
	// TLS has the certificate of the address that Serve serves; nil is plain HTTP.
	TLS *tls.Config
	// Access is who may do what; empty is AccessOpen.
	Access AccessMode
	// Anonymous are patterns of the repositories that everybody may read, where others
	// need a token: "public/*".
	Anonymous []string
	// OIDC are issuers whose tokens are taken for others, with access by tokens.
	OIDC []Issuer
	// Hosts are names under which an address of this machine alone is reached, beside
	// localhost and the host's own, where nothing controls access: HOST, *.DOMAIN, or *. A
	// page in a browser could otherwise ask by a name that leads here.
	Hosts []string
	// Insecure allows Serve to listen where others can reach it, although nothing
	// controls their access: they may read, write and delete everything.
	Insecure bool
	// Memory bounds the bytes of uploads that are in memory at a time; 0 is
	// DefaultMemory. Uploads beyond it wait, and are told to come back if they wait
	// too long. Beside it there are a cache of manifests, of 64 MiB, those that are
	// being read, 32 MiB of the deltas sent last, and chunks that are encoded anew, in a
	// quarter of Memory.
	Memory int64
	// Arrivals bounds the bytes of files that arrive whole, by other protocols than the
	// registry's own, while they lie on the local disk; 0 is DefaultArrivals.
	Arrivals int64
	// HubPartSize is the size in bytes from which clients of the Hugging Face Hub send a
	// file in parts; 0 is DefaultHubPartSize.
	HubPartSize int64
	// Xet is what files go by the Xet protocol for; empty is XetOn.
	Xet XetMode
	// XetAddress is where clients of Xet reach this process, "http://HOST:PORT"; empty
	// is where they reached the registry. Behind a balancer of several replicas it
	// spares the store what clients send in a form that is not the registry's: the
	// replica that they began with keeps that to itself.
	XetAddress string
	// Upstreams are other hubs that what is not here comes from.
	Upstreams []Upstream
	// UpstreamHosts are those that upstreams may lead to beside their own, and where
	// others than this machine may register hubs: HOST, HOST:PORT or *.DOMAIN.
	UpstreamHosts []string
	// UpstreamRefresh is for how long it is believed where a branch or tag of an
	// upstream is; 0 is 5 minutes.
	UpstreamRefresh time.Duration
	// Offline asks no upstream: what has come from there is served.
	Offline bool
	// PushTTL is how long a push may be resumed; 0 is DefaultPushTTL. What an
	// expired push has uploaded is lost.
	PushTTL time.Duration
	// DeltaCPU and DeltaBytes are what each subject may have the registry do in a minute
	// with deltas as they travel: the time of one processor, reckoned from the bytes, and
	// plain bytes. Chunks are sent whole beyond that. 0 is the default, a negative
	// DeltaCPU none.
	DeltaCPU   time.Duration
	DeltaBytes int64
	// Reserve is how many bytes of the disk stay free for the registers, so that a
	// full disk can still be read, tagged and deleted from: uploads fail before it
	// is touched. 0 is 2 % of the disk and at least 1 GiB, but no more than a 16th
	// of the disk; a negative Reserve is none.
	Reserve int64
	// Store is where everything is kept, s3://BUCKET[/PREFIX]; empty is Data. Data is
	// then a folder for what can be lost.
	Store string
	// Buckets are further buckets of the store, for blobs.
	Buckets []string
	// Presign is for how long callers who allow it are sent to the store for a chunk;
	// 0 sends nobody.
	Presign time.Duration
	// GCEvery is how often garbage is collected; 0 is never.
	GCEvery time.Duration
	// GCGrace is how old an object has to be that nothing needs before it is
	// collected; 0 is DefaultGCGrace, negative is none.
	GCGrace time.Duration
	// KeepUntagged is how old a version is retired that no tag points at; 0 is never.
	KeepUntagged time.Duration
	// ScrubEvery is in which time everything that is stored is read and compared; 0 is
	// never.
	ScrubEvery time.Duration
	// CompactEvery is how often it is chosen anew how chunks are stored; 0 is only when
	// somebody asks for it.
	CompactEvery time.Duration
	// ReadOnly refuses to change what is stored.
	ReadOnly bool
	// Alone promises that no other process writes to the store, which then need not
	// have conditional writes that are atomic.
	Alone bool
	// Limits say how much each caller may ask for.
	Limits
	// AuditLog is the file to which it is added who did what; AuditStandard is the
	// standard output, and empty is no such record. While it cannot be written, nothing
	// is changed.
	AuditLog string
	// Logger gets a line for every request and every fault; nil is silence.
	Logger *slog.Logger
	// Version is the program's, as /healthz tells it.
	Version string
}

// withDefaults returns c with every zero replaced by what it means.
func (c Config) withDefaults() Config {
	c.Memory = cmp.Or(max(0, c.Memory), DefaultMemory)
	c.PushTTL = cmp.Or(max(0, c.PushTTL), DefaultPushTTL)
	c.Version = cmp.Or(c.Version, "unversioned")
	c.HeaderTimeout = cmp.Or(max(0, c.HeaderTimeout), DefaultHeaderTimeout)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Logger = slog.New(trace.Logged(c.Logger.Handler()))
	return c
}
