package httpapi

import (
	"context"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/events"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/name"
)

// Service is what the routes need; *versions.Service is one. What a caller did
// wrong or must act on is an *openapi.Error, other errors are faults. Bytes that
// it is given are the caller's again when it returns.
type Service interface {
	Pushes
	Uploads
	Versions
	Chunks
	Tags
	Lists
}

// Pushes is the life of a push.
type Pushes interface {
	StartPush(ctx context.Context, p access.Principal, repo name.Repo) (openapi.Push, error)
	Push(ctx context.Context, p access.Principal, id string) (openapi.Push, error)
	// Missing tells, for each digest, whether the push has to upload it.
	Missing(ctx context.Context, p access.Principal, id string, digests []chunker.Digest) ([]bool, error)
	// MissingFresh is Missing for a push that has uploaded nothing through others.
	MissingFresh(ctx context.Context, p access.Principal, id string, digests []chunker.Digest) ([]bool, error)
	Commit(ctx context.Context, p access.Principal, id string, doc []byte, tag, expect string) (openapi.Committed, error)
	CommitOrphan(ctx context.Context, p access.Principal, id string, doc []byte, tag, expect string) (openapi.Committed, error)
}

// Uploads takes encoded chunks. Deltas among them are of chunks of base; the zero Source
// stands for no version.
type Uploads interface {
	PutDelta(ctx context.Context, p access.Principal, id string, d chunker.Digest, enc []byte, base versions.Source) (openapi.Received, error)
	PutDeltas(ctx context.Context, p access.Principal, id string, chunks []versions.Encoded, base versions.Source) (openapi.Received, error)
}

// Versions is what can be done with versions.
type Versions interface {
	Versions(ctx context.Context, p access.Principal, repo name.Repo, after string, limit int) (openapi.VersionList, error)
	Manifest(ctx context.Context, p access.Principal, repo name.Repo, digest chunker.Digest) ([]byte, error)
	Delete(ctx context.Context, p access.Principal, repo name.Repo, digest chunker.Digest) error
	FileHashes(ctx context.Context, p access.Principal, repo name.Repo, digest chunker.Digest) (openapi.FileHashes, error)
	Diff(ctx context.Context, p access.Principal, a, b name.Ref) (openapi.Diff, error)
	Encodings(ctx context.Context, p access.Principal, repo name.Repo, digest chunker.Digest) (openapi.Encodings, error)
	// RepoSummary begins behind the version after, unless that is zero.
	RepoSummary(ctx context.Context, p access.Principal, repo name.Repo, after chunker.Digest, limit int) (openapi.RepoSummary, error)
	// LayerMap compares with versions of its own choice when against is empty.
	LayerMap(ctx context.Context, p access.Principal, repo name.Repo, digest chunker.Digest, against []name.Ref) (openapi.LayerMap, error)
	// Log begins behind the version after, unless that is zero.
	Log(ctx context.Context, p access.Principal, ref name.Ref, after chunker.Digest, limit int) (openapi.Log, error)
}

// Chunks reads encoded chunks. Chunks returns as many as indexes, in their order.
type Chunks interface {
	Chunks(ctx context.Context, p access.Principal, repo name.Repo, digest chunker.Digest, indexes []uint32) ([]versions.Located, error)
	// Frames returns what a chunk is sent as; without deltas one frame, the whole chunk.
	Frames(ctx context.Context, p access.Principal, c versions.Located, w versions.Wish, room versions.Room) ([]versions.Frame, error)
}

// Tags is what can be done with tags.
type Tags interface {
	Tags(ctx context.Context, p access.Principal, repo name.Repo, after string, limit int) (openapi.TagList, error)
	Tag(ctx context.Context, p access.Principal, repo name.Repo, tag string) (openapi.Tag, error)
	SetTag(ctx context.Context, p access.Principal, repo name.Repo, tag string, set openapi.SetTag) (openapi.Tag, error)
	DeleteTag(ctx context.Context, p access.Principal, repo name.Repo, tag, expect string) error
}

// Lists looks across repositories; an empty namespace means all.
type Lists interface {
	Repos(ctx context.Context, p access.Principal, namespace, after string, limit int) (openapi.RepoList, error)
	Stats(ctx context.Context, p access.Principal, namespace string) (openapi.Stats, error)
	Summary(ctx context.Context, p access.Principal, f versions.SummaryFilter) (openapi.Summary, error)
}

// Collector frees what no version needs, until it is done or ctx ends.
type Collector interface {
	Run(ctx context.Context, o Collection) (openapi.GCReport, error)
}

// Collection says how to collect.
type Collection struct {
	DryRun   bool
	Grace    *time.Duration // nil is what the registry is set up with
	Progress func(openapi.GCProgress)
}

// Compactor chooses anew how the chunks of a model are stored, or of all where repo is
// empty.
type Compactor interface {
	Recode(ctx context.Context, repo string, progress func(openapi.CompactProgress)) (openapi.CompactReport, error)
}

// Verifier compares what is stored with what it should be; with deep it reads every
// chunk. What it finds is in the report, and no error.
type Verifier interface {
	Verify(ctx context.Context, deep bool, progress func(openapi.VerifyProgress)) (openapi.VerifyReport, error)
}

// Retention is which versions of a repository stay; *retention.Service is one.
type Retention interface {
	Rule(ctx context.Context, p access.Principal, repo name.Repo) (openapi.Retention, error)
	SetRule(ctx context.Context, p access.Principal, repo name.Repo, rule openapi.RetentionRule) (openapi.Retention, error)
	ClearRule(ctx context.Context, p access.Principal, repo name.Repo) error
	// Apply retires what the rule does not keep; with dryRun it only tells.
	Apply(ctx context.Context, p access.Principal, repo name.Repo, dryRun bool) (openapi.RetentionReport, error)
}

// Signatures are what is kept beside versions; *signatures.Service is one.
type Signatures interface {
	List(ctx context.Context, p access.Principal, repo name.Repo, digest chunker.Digest) (openapi.SignatureList, error)
	Signature(ctx context.Context, p access.Principal, repo name.Repo, digest, id chunker.Digest) ([]byte, error)
	Put(ctx context.Context, p access.Principal, repo name.Repo, digest, id chunker.Digest, bundle []byte) (openapi.Signature, error)
	Delete(ctx context.Context, p access.Principal, repo name.Repo, digest, id chunker.Digest) error
}

// Redirect returns an address, good for a short time, where the caller of a chunk
// may read it; ok is false for a chunk that has none of its own.
type Redirect func(ctx context.Context, c versions.Located) (url string, ok bool, err error)

// Events tells of changed tags; *events.Hub is one.
type Events interface {
	Listen(p access.Principal, match []string) (*events.Listener, error)
}

// Upstreams are other hubs that models come from; *upstream.Source is one.
type Upstreams interface {
	Register(namespace string, u openapi.Upstream) error
	Forget(namespace string) error
	Upstreams() (openapi.UpstreamList, error)
}

// Nodes remembers what nodes say of themselves; *nodes.Nodes is one.
type Nodes interface {
	Report(p access.Principal, node string, r openapi.NodeReport) error
	Forget(p access.Principal, node string) error
	List(p access.Principal, repo string) (openapi.NodeList, error)
}
