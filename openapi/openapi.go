// Package openapi owns the wire contract between ingot's programs: the
// specification, the types of its JSON documents, the codes of its errors, and
// the framing of chunk batches.
//
// Laws:
//   - registry.yaml and node.yaml come first; tests hold these types and the
//     running servers to them, and page.html and docs/reference are made from them.
//   - Fields are added, never renamed or reused. A reader ignores what it does not
//     know.
//   - Nothing here does I/O beyond reading and writing frames, and nothing depends
//     on a server or a client.
package openapi

import (
	_ "embed"
	"time"

	"github.com/ingot-ml/ingot/chunker"
)

// Spec is the OpenAPI document of the registry, as it serves it at
// /openapi.yaml.
//
//go:embed registry.yaml
var Spec []byte

// Page is the same document for people, one page of HTML that needs nothing from
// elsewhere. It is made from Spec by go generate.
//
//go:embed page.html
var Page []byte

// Media types of bodies that are not JSON.
const (
	MediaManifest = "application/vnd.ingot.manifest.v1" // the version document
	MediaChunk    = "application/vnd.ingot.chunk.v1"    // one encoded chunk
	MediaChunks   = "application/vnd.ingot.chunks.v1"   // frames, see FrameReader
	MediaDigests  = "application/vnd.ingot.digests.v1"  // digests of 32 bytes, back to back
	MediaBitmap   = "application/vnd.ingot.bitmap.v1"   // one bit a digest, lowest bit first
	MediaLines    = "application/x-ndjson"              // one JSON document a line
)

// Limits of requests.
const (
	// MaxMissing is how many digests one question for missing chunks may hold.
	MaxMissing = 8192
	// MaxBatch bounds the body of a batch of chunks, frames included, in bytes.
	MaxBatch = 16 << 20
	// MaxBatchChunks bounds the chunks of one batch, in either direction.
	MaxBatchChunks = 4096
	// SmallChunk is the encoded length in bytes below which chunks travel best in
	// batches: the registry bundles them.
	SmallChunk = 256 << 10
	// MaxJSON bounds a JSON request body in bytes.
	MaxJSON = 1 << 20
	// MaxPage bounds the entries of one page of a list.
	MaxPage = 1000
	// MaxNamespaces bounds the namespaces that Stats tells apart.
	MaxNamespaces = 1000
	// MaxMatch is how many patterns a listener to events gives.
	MaxMatch = 4096
	// MaxNodeReport bounds the JSON of a NodeReport in bytes.
	MaxNodeReport = 2 << 20
)

// The events of the stream at GET /v1/events of a registry.
const (
	StreamReady = "ready" // the first one: what changes from now on is told
	StreamTag   = "tag"   // the data is a TagEvent
	StreamReset = "reset" // some are gone: look at all tags again
)

// Health is the answer of GET /healthz.
type Health struct {
	Status  string `json:"status"` // "ok"
	Version string `json:"version"`
}

// Stats is the answer of GET /v1/stats: the registry as a whole, or one namespace.
type Stats struct {
	Repos    int   `json:"repos"`
	Tags     int   `json:"tags"`
	Versions int   `json:"versions"`     // that can be read
	Total    int64 `json:"bytes_total"`  // plain bytes of all files of all versions
	Unique   int64 `json:"bytes_unique"` // plain bytes of their distinct chunks
	Stored   int64 `json:"bytes_stored"` // bytes of all blobs, those of no version included
	Blobs    int   `json:"blobs"`
	// Namespaces weighs each by itself, by name; at most MaxNamespaces of them. The
	// figures above count the others too.
	Namespaces []NamespaceStats `json:"namespaces"`
}

// NamespaceStats is what one namespace holds. A chunk that two of them hold
// counts in both.
type NamespaceStats struct {
	Namespace string `json:"namespace"`
	Repos     int    `json:"repos"`
	Tags      int    `json:"tags"`
	Versions  int    `json:"versions"`
	Total     int64  `json:"bytes_total"`
	Unique    int64  `json:"bytes_unique"`
	Stored    int64  `json:"bytes_stored"` // encoded bytes of the chunks, each once
}

// RepoList is a page of repositories. Next is empty on the last page; it is the
// value of "after" for the next.
type RepoList struct {
	Repos []RepoInfo `json:"repos"`
	Next  string     `json:"next,omitempty"`
}

// RepoInfo is one repository in a list.
type RepoInfo struct {
	Name     string `json:"name"` // namespace/name
	Tags     int    `json:"tags"`
	Versions int    `json:"versions"`
}

// TagList is a page of tags.
type TagList struct {
	Tags []Tag  `json:"tags"`
	Next string `json:"next,omitempty"`
}

// Tag is a movable name for a version.
type Tag struct {
	Name    string         `json:"name"`
	Digest  chunker.Digest `json:"digest"`
	Updated time.Time      `json:"updated"`
	By      string         `json:"by"` // subject of the principal that moved it
	// Branch is set for a tag that moves with commits. The default tag does so always.
	Branch bool `json:"branch,omitempty"`
}

// SetTag asks for a tag to be made or moved.
type SetTag struct {
	Digest chunker.Digest `json:"digest"`
	// Expect is the digest that the tag must have now: a digest, "none" for a tag
	// that must not exist, or empty for any.
	Expect string `json:"expect,omitempty"`
	// Branch makes the tag one that moves with commits; false leaves it what it is.
	Branch bool `json:"branch,omitempty"`
}

// ExpectNone is the value of SetTag.Expect for a tag that must not exist.
const ExpectNone = "none"

// VersionList is a page of versions.
type VersionList struct {
	Versions []VersionInfo `json:"versions"`
	Next     string        `json:"next,omitempty"`
}

// VersionInfo is one version in a list.
type VersionInfo struct {
	Digest  chunker.Digest `json:"digest"`
	Parent  string         `json:"parent,omitempty"`
	Created time.Time      `json:"created"`
	By      string         `json:"by"`
	Size    int64          `json:"size"` // plain bytes of all files
	Files   int            `json:"files"`
	Chunks  int            `json:"chunks"`       // distinct
	Stored  int64          `json:"bytes_stored"` // encoded bytes of its chunks, shared ones included
	Tags    []string       `json:"tags"`
}

// FileHashes is the sha256 of every file of a version, computed by the registry.
type FileHashes struct {
	Files []FileHash `json:"files"`
}

// FileHash is the sha256 of one file.
type FileHash struct {
	Path   string `json:"path"`
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"` // 64 lower-case hex digits
}

// Diff says how version B differs from version A.
type Diff struct {
	A            chunker.Digest `json:"a"`
	B            chunker.Digest `json:"b"`
	Files        DiffFiles      `json:"files"`
	Tensors      DiffTensors    `json:"tensors"`
	ChunksShared int            `json:"chunks_shared"` // distinct chunks of B that A has
	ChunksNew    int            `json:"chunks_new"`    // and that A lacks
	BytesShared  int64          `json:"bytes_shared"`  // plain bytes of ChunksShared
	BytesNew     int64          `json:"bytes_new"`
}

// DiffFiles lists files by what became of them.
type DiffFiles struct {
	Added   []DiffFile `json:"added"`
	Removed []DiffFile `json:"removed"`
	Changed []DiffFile `json:"changed"`
	Same    int        `json:"same"`
}

// DiffFile is a file in a Diff; a removed one has A's size.
type DiffFile struct {
	Path string `json:"path"`
	Size int64  `json:"size"`
}

// DiffTensors lists tensors by what became of them, matched by name.
type DiffTensors struct {
	Added   []DiffTensor `json:"added"`
	Removed []DiffTensor `json:"removed"`
	Changed []DiffTensor `json:"changed"`
	Same    int          `json:"same"`
}

// DiffTensor is a tensor in a Diff; a removed one is A's.
type DiffTensor struct {
	File  string   `json:"file"`
	Name  string   `json:"name"`
	DType string   `json:"dtype"`
	Shape []uint64 `json:"shape"`
	Bytes int64    `json:"bytes"`
}

// The states of a push.
const (
	PushOpen    = "open"
	PushDone    = "done"    // a commit was acknowledged
	PushAborted = "aborted" // expired
)

// Push is an upload in progress.
type Push struct {
	ID      string    `json:"push"`
	Repo    string    `json:"repo"`
	State   string    `json:"state"`
	Expires time.Time `json:"expires"`
	// Parallel is how many requests at a time the registry suggests.
	Parallel int `json:"parallel"`
}

// Received is the answer to uploaded chunks.
type Received struct {
	Chunks int `json:"chunks"` // in the request
	New    int `json:"new"`    // that the push did not have before
	// Stored is the encoded bytes that the request added to the store.
	Stored int64 `json:"bytes_stored"`
}

// Committed is the answer to a commit.
type Committed struct {
	Digest chunker.Digest `json:"digest"`
	// Created is false when the version was there before.
	Created bool `json:"created"`
	// Tag is the tag that was set, if one was asked for.
	Tag *Tag `json:"tag,omitempty"`
}
