package placement

import (
	"fmt"
	"strings"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/name"
)

// Kind is what an object of the store is.
type Kind string

// The kinds of objects, by the first letters of their names.
const (
	Chunk  Kind = "c"  // an encoded chunk
	Bundle Kind = "u"  // small chunks of one request
	Bodies Kind = "b"  // the body of a version
	Hashes Kind = "h"  // the sha256 of a version's files
	Lists  Kind = "gl" // a list of collection
	Alien  Kind = ""   // none of the registry's
)

// Prefix returns what names of the kind begin with.
func (k Kind) Prefix() string { return string(k) + "/" }

// ChunkName is the name of an encoded chunk that is a blob of its own. No two
// attempts of any push share one.
func ChunkName(d chunker.Digest, push string, attempt int) string {
	hash := d.String()
	return fmt.Sprintf("c/%s/%s.%s.%d", hash[:3], hash, push, attempt)
}

// DeltaName is ChunkName for a chunk that is a delta. A push may make one chunk both, so
// they must not share a name.
func DeltaName(d chunker.Digest, push string, attempt int) string {
	return ChunkName(d, push, attempt) + "d"
}

// BundlesOf returns what the names of a push's bundles begin with; a nonce follows.
func BundlesOf(push string) string { return "u/" + push + "/" }

// BodyName is the name of a version's body; no two share a nonce.
func BodyName(r name.Repo, d chunker.Digest, push, nonce string) string {
	return fmt.Sprintf("b/%s/%s.%s.%s", r, d, push, nonce)
}

// HashesName is the name of the sha256 of a version's files.
func HashesName(r name.Repo, d chunker.Digest, nonce string) string {
	return fmt.Sprintf("h/%s/%s.%s", r, d, nonce)
}

// ListsOf returns what the names of an epoch's lists begin with.
func ListsOf(epoch uint64) string { return fmt.Sprintf("gl/%016x.", epoch) }

// Named is what the name of an object says.
type Named struct {
	Kind    Kind
	Push    string         // of chunks, bundles and bodies
	Repo    name.Repo      // of bodies and hashes
	Version chunker.Digest // of bodies and hashes
}

// ParseName reads the name of an object. What no registry would name so is Alien.
func ParseName(object string) Named {
	kind, rest, ok := strings.Cut(object, "/")
	if !ok {
		return Named{}
	}
	parts := strings.Split(rest, "/")
	switch {
	case kind == string(Chunk) && len(parts) == 2:
		return chunkNamed(parts[0], strings.Split(parts[1], "."))
	case kind == string(Bundle) && len(parts) == 2:
		return Named{Kind: Bundle, Push: parts[0]}
	case kind == string(Bodies) && len(parts) == 3:
		return versionNamed(Bodies, parts, 3)
	case kind == string(Hashes) && len(parts) == 3:
		return versionNamed(Hashes, parts, 2)
	case kind == string(Lists) && len(parts) == 1:
		return Named{Kind: Lists}
	}
	return Named{}
}

func chunkNamed(folder string, parts []string) Named {
	if len(parts) != 3 || len(folder) != 3 || !strings.HasPrefix(parts[0], folder) {
		return Named{}
	}
	return Named{Kind: Chunk, Push: parts[1]}
}

// versionNamed reads namespace/model/VERSION.… of n parts with dots between them.
func versionNamed(kind Kind, parts []string, n int) Named {
	dotted := strings.Split(parts[2], ".")
	version, err := chunker.ParseDigest(dotted[0])
	if err != nil || len(dotted) != n {
		return Named{}
	}
	named := Named{Kind: kind, Repo: name.Repo{Namespace: parts[0], Name: parts[1]}, Version: version}
	if kind == Bodies {
		named.Push = dotted[1]
	}
	return named
}
