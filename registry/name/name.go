// Package name owns how people and programs spell repositories, tags and
// references.
//
// Laws:
//   - A spelling has one meaning and a meaning has one spelling: parsing what
//     String returns gives the same value back.
//   - A reference says either where to look now (a tag, which moves) or what to
//     get (a digest, which never does), never both. Tags that could be taken for
//     a digest, or for a revision cut from one, are refused.
//   - Every accepted spelling is safe as a path segment, in a URL and in a shell.
package name

import (
	"errors"
	"fmt"
	"strings"

	"github.com/ingot-ml/ingot/chunker"
)

// DefaultTag is the tag of a reference that names none. It is the name that
// the Hugging Face Hub gives its default branch.
const DefaultTag = "main"

// Longest spellings in bytes. A namespace or name fits any file name and a host
// label or two; a tag is as long as OCI allows.
const (
	MaxPart = 96
	MaxTag  = 128
	MaxNode = 64
)

// ErrName reports a text that is not a repository, tag or reference. It is
// permanent: the same text never becomes valid.
var ErrName = errors.New("not a valid name")

// malformed is the one line that says what is wrong and shows the right shape.
// It matches ErrName without repeating its text.
type malformed string

func (e malformed) Error() string        { return string(e) }
func (e malformed) Is(target error) bool { return target == ErrName }

func malformedf(format string, args ...any) error {
	return malformed(fmt.Sprintf(format, args...))
}

// Repo names a repository: all versions of one model.
type Repo struct {
	Namespace string
	Name      string
}

// Ref names one version in a repository. Exactly one of Tag and Digest is set.
type Ref struct {
	Repo   Repo
	Tag    string
	Digest chunker.Digest
}

// ParseRepo reads "namespace/name".
func ParseRepo(s string) (Repo, error) {
	namespace, name, ok := strings.Cut(s, "/")
	if !ok {
		return Repo{}, malformedf("repository %.80q: want namespace/name", s)
	}
	r := Repo{Namespace: namespace, Name: name}
	if err := r.check(); err != nil {
		return Repo{}, malformedf("repository %.80q: %v", s, err)
	}
	return r, nil
}

// ParseRef reads "namespace/name", "namespace/name:tag" or
// "namespace/name@digest". Without a tag it means DefaultTag.
func ParseRef(s string) (Ref, error) {
	r, err := parseRef(s)
	if err != nil {
		return Ref{}, malformedf("reference %.120q: %v", s, err)
	}
	return r, nil
}

func parseRef(s string) (Ref, error) {
	repo, digest, pinned := strings.Cut(s, "@")
	repo, tag, tagged := strings.Cut(repo, ":")
	if !tagged {
		tag = DefaultTag
	}
	namespace, name, ok := strings.Cut(repo, "/")
	if !ok || pinned && tagged {
		return Ref{}, malformedf("want namespace/name[:tag] or namespace/name@digest")
	}
	r := Ref{Repo: Repo{Namespace: namespace, Name: name}, Tag: tag}
	if pinned {
		d, err := chunker.ParseDigest(digest)
		if err != nil {
			return Ref{}, err
		}
		r.Tag, r.Digest = "", d
	}
	return r, r.check()
}

// CheckTag returns nil when s may be a tag: [A-Za-z0-9_][A-Za-z0-9._-]*, at
// most MaxTag bytes, and not 40 or 64 hex digits, which name versions.
func CheckTag(s string) error {
	if s == "" || len(s) > MaxTag || !(alphanumeric(s[0]) || s[0] == '_') || !plain(s) {
		return malformedf("tag %.80q: want 1 to %d of A-Z a-z 0-9 . _ -, not starting with . or -", s, MaxTag)
	}
	if (len(s) == 40 || len(s) == 64) && strings.Trim(s, "0123456789abcdefABCDEF") == "" {
		return malformedf("tag %q: %d hex digits name a version; write namespace/name@digest for one", s, len(s))
	}
	return nil
}

// CheckNode returns nil when s may be the name of a node: [A-Za-z0-9][A-Za-z0-9._-]*,
// at most MaxNode bytes.
func CheckNode(s string) error {
	if s == "" || len(s) > MaxNode || !alphanumeric(s[0]) || !plain(s) {
		return malformedf("node %.80q: want 1 to %d of A-Z a-z 0-9 . _ -, starting with a letter or digit", s, MaxNode)
	}
	return nil
}

// uploadsSuffix ends the names of repositories that hold what was uploaded for a
// model and is of no version yet.
const uploadsSuffix = ".git"

// Uploads returns the repository that holds what was uploaded for r.
func (r Repo) Uploads() (Repo, error) {
	u := Repo{Namespace: r.Namespace, Name: r.Name + uploadsSuffix}
	if r.Reserved() || len(u.Name) > MaxPart {
		return Repo{}, malformedf("repository %.80q: nothing can be uploaded to a name that ends in %s or is longer than %d", r.String(), uploadsSuffix, MaxPart-len(uploadsSuffix))
	}
	return u, nil
}

// Reserved reports whether r holds what was uploaded for a model. Nobody pushes to
// it, and no list shows it.
func (r Repo) Reserved() bool { return strings.HasSuffix(r.Name, uploadsSuffix) }

// Model returns the model for which r holds uploads; r itself if it is a model.
func (r Repo) Model() Repo {
	return Repo{Namespace: r.Namespace, Name: strings.TrimSuffix(r.Name, uploadsSuffix)}
}

// String returns "namespace/name".
func (r Repo) String() string { return r.Namespace + "/" + r.Name }

// String returns "namespace/name:tag" or "namespace/name@digest", the tag
// always written out.
func (r Ref) String() string {
	if r.Digest.IsZero() {
		return r.Repo.String() + ":" + r.Tag
	}
	return r.Repo.String() + "@" + r.Digest.String()
}

// MarshalText implements encoding.TextMarshaler; it refuses what ParseRepo
// would not accept back.
func (r Repo) MarshalText() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, malformedf("repository %.80q: %v", r.String(), err)
	}
	return []byte(r.String()), nil
}

// UnmarshalText implements encoding.TextUnmarshaler as ParseRepo does.
func (r *Repo) UnmarshalText(text []byte) error {
	parsed, err := ParseRepo(string(text))
	if err != nil {
		return err
	}
	*r = parsed
	return nil
}

// MarshalText implements encoding.TextMarshaler; it refuses what ParseRef
// would not accept back.
func (r Ref) MarshalText() ([]byte, error) {
	if err := r.check(); err != nil {
		return nil, malformedf("reference %.120q: %v", r.String(), err)
	}
	return []byte(r.String()), nil
}

// UnmarshalText implements encoding.TextUnmarshaler as ParseRef does.
func (r *Ref) UnmarshalText(text []byte) error {
	parsed, err := ParseRef(string(text))
	if err != nil {
		return err
	}
	*r = parsed
	return nil
}

func (r Repo) check() error {
	if err := checkPart("namespace", r.Namespace); err != nil {
		return err
	}
	return checkPart("name", r.Name)
}

func (r Ref) check() error {
	if err := r.Repo.check(); err != nil {
		return err
	}
	if r.Digest.IsZero() {
		return CheckTag(r.Tag)
	}
	if r.Tag != "" {
		return malformedf("want a tag or a digest, not both")
	}
	return nil
}

// checkPart checks a namespace or a name; what says which.
func checkPart(what, s string) error {
	if s == "" || len(s) > MaxPart || !alphanumeric(s[0]) || !plain(s) {
		return malformedf("%s %.80q: want 1 to %d of A-Z a-z 0-9 . _ -, starting with a letter or digit", what, s, MaxPart)
	}
	if last := s[len(s)-1]; last == '.' || last == '-' || strings.Contains(s, "..") {
		return malformedf("%s %.80q: want no \"..\" and no \".\" or \"-\" at the end", what, s)
	}
	return nil
}

// plain reports whether s holds only letters, digits, ".", "_" and "-".
func plain(s string) bool {
	for i := range len(s) {
		if c := s[i]; !alphanumeric(c) && c != '.' && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

func alphanumeric(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9'
}
