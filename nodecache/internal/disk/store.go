package disk

import (
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"os"
	"path/filepath"
	"sync"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/chunkdir"
)

// block is what the disk gives at a time, in bytes, as most file systems do.
const block = 4 << 10

func blocks(bytes int64) int64 { return (bytes + block - 1) / block * block }

// Form is how a chunk is kept in its file.
type Form uint8

// The forms. A Store reads both, whichever it writes.
const (
	// Plain is the bytes as they are. They take more room and are read straight to
	// where they belong.
	Plain Form = iota
	// Encoded is the form of package codec, where that is shorter and the caller has
	// it.
	Encoded
)

// Config is what a Store works with.
type Config struct {
	Dir    string
	Budget int64        // bytes
	Form   Form         // of the chunks that are put
	Logger *slog.Logger // nil is silence
	// Damaged, if it is not nil, is told of each chunk that was found damaged and was
	// dropped.
	Damaged func(chunker.Digest)
}

// Store is the disk tier of a node. It implements tier.Store.
type Store struct {
	config Config
	root   string
	lock   *os.File
	chunks *chunkdir.Dir
	docs   documents
	read   func(f *os.File, at int64, b []byte) error
	past   func(f *os.File, plain []byte, end *[tailLen]byte) bool
	sync   func(folder string) error

	mu      sync.RWMutex // protects what follows
	index   map[chunker.Digest]entry
	pending map[chunker.Digest]chan struct{} // closed when the chunk has been written or removed
	used    int64                            // bytes of whole blocks, those of pending chunks included
	seq     uint32
	damaged int64 // chunks
	suspect int   // chunks
}

// entry is what is known of a chunk without reading it.
type entry struct {
	size    uint32 // plain bytes
	file    uint32 // bytes of the file
	seq     uint32 // tells one file of a chunk from a later one
	form    Form
	suspect bool // the file may be anything
}

func (e entry) cost() int64 { return blocks(int64(e.file)) }

// Stats describes a Store.
type Stats struct {
	Chunks  int
	Suspect int   // chunks that are checked by name when they are next read
	Damaged int64 // chunks that were dropped since Open
}

// Open opens the folder, which it makes if need be, and lists what is there. The
// errors are ErrInUse, ErrFormat and those of the disk. The caller closes the
// Store.
func Open(c Config) (*Store, error) {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	s := &Store{
		config: c, root: filepath.Clean(c.Dir), read: readAt, past: readPast, sync: syncAll,
		index: map[chunker.Digest]entry{}, pending: map[chunker.Digest]chan struct{}{},
	}
	if err := s.open(); err != nil {
		return nil, fmt.Errorf("open the folder of the node %s: %w", c.Dir, errors.Join(err, s.unlock()))
	}
	return s, nil
}

func (s *Store) open() error {
	if err := os.MkdirAll(s.root, 0o777); err != nil {
		return err
	}
	if err := s.lockRoot(); err != nil {
		return err
	}
	if err := s.checkFormat(); err != nil {
		return err
	}
	doubted, err := s.takeSeal()
	if err != nil {
		return err
	}
	if s.chunks, err = chunkdir.Open(s.path(chunksName), chunkdir.Options{Alone: true}); err != nil {
		return err
	}
	if err := s.list(doubted); err != nil {
		return err
	}
	return s.docs.open(s.root)
}

func (s *Store) path(name string) string { return filepath.Join(s.root, name) }

// Close notes that the Store has ended in order, once all that was put is on the
// disk. Nobody may use it any more.
func (s *Store) Close() error {
	err := s.seal()
	if err = errors.Join(err, s.unlock()); err != nil {
		return fmt.Errorf("close the folder of the node %s: %w", s.config.Dir, err)
	}
	return nil
}

// Has implements tier.Store.
func (s *Store) Has(d chunker.Digest) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, ok := s.index[d]
	return ok
}

// Cost implements tier.Store. It is that of the plain form.
func (s *Store) Cost(size uint32) int64 { return blocks(int64(size) + tailLen) }

// Used implements tier.Store. Manifests and state are part of it.
func (s *Store) Used() int64 {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.used + s.docs.total()
}

// Chunks yields the chunks that are there now and their plain lengths, in no
// order. The Store may be used meanwhile.
func (s *Store) Chunks() iter.Seq2[chunker.Digest, uint32] {
	return func(yield func(chunker.Digest, uint32) bool) {
		for _, ref := range s.refs() {
			if !yield(ref.Digest, ref.Size) {
				return
			}
		}
	}
}

func (s *Store) refs() []chunker.Ref {
	s.mu.RLock()
	defer s.mu.RUnlock()
	refs := make([]chunker.Ref, 0, len(s.index))
	for d, e := range s.index {
		refs = append(refs, chunker.Ref{Digest: d, Size: e.size})
	}
	return refs
}

// Stats describes the Store as it is now.
func (s *Store) Stats() Stats {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return Stats{Chunks: len(s.index), Suspect: s.suspect, Damaged: s.damaged}
}

// Drop implements tier.Store.
func (s *Store) Drop(d chunker.Digest) {
	s.mu.Lock()
	e, ok := s.index[d]
	if ok {
		s.forget(d, e)
	}
	s.mu.Unlock()
	if ok {
		s.remove(d, e)
	}
}

// forget takes a chunk out of the index, to be removed by the caller. Until then
// nobody puts it anew. s.mu is held.
func (s *Store) forget(d chunker.Digest, e entry) {
	delete(s.index, d)
	s.pending[d] = make(chan struct{})
	if e.suspect {
		s.suspect--
	}
}

// remove removes the file of a chunk that was forgotten. Its room is free when that
// has succeeded.
func (s *Store) remove(d chunker.Digest, e entry) {
	err := s.chunks.Remove(chunkName(d, e.form, e.size))
	if errors.Is(err, chunkdir.ErrNotFound) {
		err = nil
	}
	if err != nil {
		s.config.Logger.Warn("chunk could not be removed and takes room until the next start", "chunk", d.String(), "err", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.used -= e.cost()
	}
	s.end(d)
}

// end lets those go on who wait until a chunk is written or removed. s.mu is held.
func (s *Store) end(d chunker.Digest) {
	close(s.pending[d])
	delete(s.pending, d)
}

// note puts a chunk into the index. s.mu is held.
func (s *Store) note(d chunker.Digest, e entry) {
	s.seq++
	e.seq = s.seq
	s.index[d] = e
	s.used += e.cost()
	if e.suspect {
		s.suspect++
	}
}
