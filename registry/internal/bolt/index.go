package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"

	"go.etcd.io/bbolt"

	"github.com/ingot-ml/ingot/chunker"
)

// The buckets of the index. A source is a version in a repository; its number
// holds that of the repository in the upper half, so that two sources of one
// repository are known by their numbers. All numbers are big-endian.
//
// Each namespace has a list of its own for a chunk: were there one for all, what one
// namespace pushes would make the index forget what another has, which would tell the
// other that the chunk is there.
var (
	bucketChunks     = []byte("chunks")     // first bytes of a digest, u32 of the namespace: numbers of sources, newest first
	bucketNamespaces = []byte("namespaces") // name: u32
	bucketRepos      = []byte("repos")      // name: u32
	bucketSources    = []byte("sources")    // u64: digest of the version, then the repository's name
	bucketNumbers    = []byte("numbers")    // u32 of the repository, digest of the version: u64
)

const (
	indexKey   = 16      // bytes of a digest; two chunks that share them share their hints
	numberLen  = 8       // bytes
	maxSources = 4       // of one chunk in one namespace
	maxHints   = 16      // of one chunk that one answer has
	addStep    = 8 << 10 // chunks of one transaction, which keeps a page or two of each in memory
)

// chunkKey is a chunk in a namespace.
type chunkKey [indexKey + 4]byte

func keyOf(d *chunker.Digest, namespace uint32) (k chunkKey) {
	copy(k[:], d[:indexKey])
	binary.BigEndian.PutUint32(k[indexKey:], namespace)
	return k
}

func (k *chunkKey) namespace() uint32 { return binary.BigEndian.Uint32(k[indexKey:]) }

// Source is a version that a chunk was seen in.
type Source struct {
	Repo    string // namespace/name
	Version chunker.Digest
}

// Add notes that a version of repo has these chunks. For each chunk the index
// remembers the last versions of up to four repositories of a namespace. A version
// that was noted before becomes the newest. Part of the chunks may be noted when Add
// fails.
func (x *Index) Add(ctx context.Context, repo string, version chunker.Digest, chunks []chunker.Ref) error {
	namespace, err := x.namespace(repo)
	if err != nil {
		return fmt.Errorf("index chunks of %s: %w", repo, closed(err))
	}
	keys := make([]chunkKey, len(chunks))
	for i := range chunks {
		keys[i] = keyOf(&chunks[i].Digest, namespace)
	}
	// In their order, neighbours are on one page.
	slices.SortFunc(keys, func(a, b chunkKey) int { return bytes.Compare(a[:], b[:]) })
	keys = slices.Compact(keys)
	for step := range slices.Chunk(keys, addStep) {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("index chunks of %s: %w", repo, err)
		}
		if err := x.db.Update(func(tx *bbolt.Tx) error { return add(tx, repo, version, step) }); err != nil {
			x.suspect.Store(true)
			return fmt.Errorf("index chunks of %s: %w", repo, closed(err))
		}
	}
	return nil
}

func add(tx *bbolt.Tx, repo string, version chunker.Digest, keys []chunkKey) error {
	number, err := numberOf(tx, repo, version)
	if err != nil {
		return err
	}
	chunks := tx.Bucket(bucketChunks)
	lists := make([]byte, 0, len(keys)*maxSources*numberLen) // bbolt keeps them until the commit
	for i := range keys {
		from := len(lists)
		old := chunks.Get(keys[i][:])
		lists = appendList(lists, old, number)
		if list := lists[from:len(lists):len(lists)]; !bytes.Equal(list, old) {
			if err := chunks.Put(keys[i][:], list); err != nil {
				return err
			}
		}
	}
	return nil
}

// appendList appends the list old with a source in front. That is the only source
// of its repository then.
func appendList(dst, old []byte, number uint64) []byte {
	dst = binary.BigEndian.AppendUint64(dst, number)
	for n := 1; n < maxSources && len(old) >= numberLen; old = old[numberLen:] {
		if other := binary.BigEndian.Uint64(old); other>>32 != number>>32 {
			dst = binary.BigEndian.AppendUint64(dst, other)
			n++
		}
	}
	return dst
}

// numberOf returns the number of a source, a new one if it has none.
func numberOf(tx *bbolt.Tx, repo string, version chunker.Digest) (uint64, error) {
	repoNumber, err := numberOfRepo(tx.Bucket(bucketRepos), repo)
	if err != nil {
		return 0, err
	}
	numbers, sources := tx.Bucket(bucketNumbers), tx.Bucket(bucketSources)
	key := append(binary.BigEndian.AppendUint32(nil, repoNumber), version[:]...)
	if stored := numbers.Get(key); len(stored) == numberLen {
		return binary.BigEndian.Uint64(stored), nil
	}
	low, err := next(sources)
	if err != nil {
		return 0, err
	}
	number := uint64(repoNumber)<<32 | uint64(low)
	stored := binary.BigEndian.AppendUint64(nil, number)
	if err := numbers.Put(key, stored); err != nil {
		return 0, err
	}
	return number, sources.Put(stored, append(version[:], repo...))
}

// numberOfRepo returns the number of a name, a new one if it has none: that of a
// repository or of a namespace, each in its bucket.
func numberOfRepo(repos *bbolt.Bucket, repo string) (uint32, error) {
	if stored := repos.Get([]byte(repo)); len(stored) == 4 {
		return binary.BigEndian.Uint32(stored), nil
	}
	number, err := next(repos)
	if err != nil {
		return 0, err
	}
	return number, repos.Put([]byte(repo), binary.BigEndian.AppendUint32(nil, number))
}

// namespace returns the number of a repository's namespace.
func (x *Index) namespace(repo string) (number uint32, err error) {
	name, _, _ := strings.Cut(repo, "/")
	known := false
	err = x.db.View(func(tx *bbolt.Tx) error {
		number, known = namespaceIn(tx, name)
		return nil
	})
	if err != nil || known {
		return number, err
	}
	err = x.db.Update(func(tx *bbolt.Tx) (err error) {
		number, err = numberOfRepo(tx.Bucket(bucketNamespaces), name)
		return err
	})
	return number, err
}

// namespaceIn returns the number of a namespace, if it has one.
func namespaceIn(tx *bbolt.Tx, name string) (uint32, bool) {
	stored := tx.Bucket(bucketNamespaces).Get([]byte(name))
	if len(stored) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(stored), true
}

// next returns a number that nothing in the bucket has.
func next(b *bbolt.Bucket) (uint32, error) {
	n, err := b.NextSequence()
	if err == nil && n > math.MaxUint32 {
		err = errors.New("index is out of numbers: remove the file")
	}
	return uint32(n), err
}

// Knows reports whether a version was noted. It may be wrong for one whose Add
// failed in the middle.
func (x *Index) Knows(ctx context.Context, repo string, version chunker.Digest) (known bool, err error) {
	if err := ctx.Err(); err != nil {
		return false, fmt.Errorf("look up version: %w", err)
	}
	err = x.db.View(func(tx *bbolt.Tx) error {
		if number := tx.Bucket(bucketRepos).Get([]byte(repo)); len(number) == 4 {
			known = tx.Bucket(bucketNumbers).Get(append(bytes.Clone(number), version[:]...)) != nil
		}
		return nil
	})
	if err != nil {
		return false, fmt.Errorf("look up version: %w", closed(err))
	}
	return known, nil
}

// Lookup returns sources of each digest, those of the namespace near first, then of
// others, newest first in each; none for a chunk that the index does not know. It
// leaves out repositories that may not be told of, which take no other's room either;
// a nil may leaves out none.
func (x *Index) Lookup(ctx context.Context, digests []chunker.Digest, near string, may func(repo string) bool) ([][]Source, error) {
	if err := ctx.Err(); err != nil {
		return nil, fmt.Errorf("look up chunks: %w", err)
	}
	order := make([]int, len(digests))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return bytes.Compare(digests[a][:], digests[b][:]) })
	found := make([][]Source, len(digests))
	err := x.db.View(func(tx *bbolt.Tx) error {
		l := lookup{tx: tx, chunks: tx.Bucket(bucketChunks).Cursor(), may: may, known: map[uint64]told{}}
		l.near, l.nearby = namespaceIn(tx, near)
		for _, i := range order {
			found[i] = l.sources(&digests[i])
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look up chunks: %w", closed(err))
	}
	return found, nil
}

// lookup is one Lookup under way.
type lookup struct {
	tx     *bbolt.Tx
	chunks *bbolt.Cursor
	near   uint32
	nearby bool // near is the number of a namespace
	may    func(repo string) bool
	known  map[uint64]told // by number
}

// told is a source that was looked up before; ok is false for one that is of no use.
type told struct {
	Source
	ok bool
}

// sources returns those of a chunk.
func (l *lookup) sources(d *chunker.Digest) []Source {
	var nearest, others []Source
	prefix := d[:indexKey]
	for key, list := l.chunks.Seek(prefix); len(key) == len(chunkKey{}) && bytes.HasPrefix(key, prefix); key, list = l.chunks.Next() {
		switch at := chunkKey(key); {
		case l.nearby && at.namespace() == l.near:
			nearest = l.append(nearest, list)
		case len(others) < maxHints:
			others = l.append(others, list)
		}
	}
	all := append(nearest, others...)
	return all[:min(len(all), maxHints)]
}

// append appends what a list of numbers stands for.
func (l *lookup) append(found []Source, list []byte) []Source {
	for ; len(list) >= numberLen; list = list[numberLen:] {
		number := binary.BigEndian.Uint64(list)
		s, ok := l.known[number]
		if !ok {
			s = l.source(list[:numberLen])
			l.known[number] = s
		}
		if s.ok {
			found = append(found, s.Source)
		}
	}
	return found
}

func (l *lookup) source(number []byte) told {
	stored := l.tx.Bucket(bucketSources).Get(number)
	if len(stored) < chunker.DigestSize {
		return told{} // a list that is damaged is a list that is shorter
	}
	s := Source{string(stored[chunker.DigestSize:]), chunker.Digest(stored[:chunker.DigestSize])}
	return told{s, l.may == nil || l.may(s.Repo)}
}
