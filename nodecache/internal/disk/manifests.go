package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"strings"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/nodecache/internal/tier"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// DocumentBytes is the part of Used that manifests and state take.
func (s *Store) DocumentBytes() int64 { return s.docs.total() }

func manifestPath(d chunker.Digest) string { return manifestsName + "/" + d.String() }

// PutManifest keeps the document of a version, which is on the disk when it
// returns. One that is there already stays. The errors are tier.ErrFull and those
// of the disk.
func (s *Store) PutManifest(d chunker.Digest, doc []byte) error {
	s.docs.write.Lock()
	defer s.docs.write.Unlock()
	if s.docs.size(manifestPath(d)) >= 0 {
		return nil
	}
	if manifest.Name(doc) != d {
		return fmt.Errorf("keep manifest %s: the document has another name", d)
	}
	err := s.reserve(manifestPath(d), int64(len(doc)))
	if err == nil {
		err = s.docs.put(manifestPath(d), doc, -1)
	}
	if err != nil {
		return fmt.Errorf("keep manifest %s: %w", d, err)
	}
	return nil
}

// reserve takes the room for a document.
func (s *Store) reserve(name string, bytes int64) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if used := s.used + s.docs.total(); used+blocks(bytes) > s.config.Budget {
		return fmt.Errorf("%d bytes, and %d of %d are taken: %w", bytes, used, s.config.Budget, tier.ErrFull)
	}
	s.docs.note(name, bytes)
	return nil
}

// Manifest returns the document of a version. The errors are tier.ErrAbsent,
// tier.ErrDamaged, after which it is absent, and those of the disk.
func (s *Store) Manifest(d chunker.Digest) ([]byte, error) {
	doc, err := readFile(s.docs.path(manifestPath(d)), manifest.MaxSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("read manifest %s: %w", d, tier.ErrAbsent)
	case err != nil:
		return nil, fmt.Errorf("read manifest %s: %w", d, err)
	case manifest.Name(doc) != d:
		s.DropManifest(d)
		return nil, fmt.Errorf("read manifest %s: %w", d, tier.ErrDamaged)
	}
	return doc, nil
}

// DropManifest forgets the document of a version, its signatures, and the hashes of its files. One
// that is not there is no mistake.
func (s *Store) DropManifest(d chunker.Digest) {
	s.docs.write.Lock()
	defer s.docs.write.Unlock()
	if err := errors.Join(s.docs.remove(signaturesPath(d)), s.docs.remove(hashesPath(d)), s.docs.remove(manifestPath(d))); err != nil {
		s.config.Logger.Warn("manifest could not be removed", "version", d.String(), "err", err)
	}
}

// Manifests yields the versions whose documents are there now, in no order. The
// Store may be used meanwhile.
func (s *Store) Manifests() iter.Seq[chunker.Digest] {
	return func(yield func(chunker.Digest) bool) {
		for _, d := range s.docs.manifests() {
			if !yield(d) {
				return
			}
		}
	}
}

func (d *documents) manifests() (list []chunker.Digest) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for name := range d.sizes {
		text, ok := strings.CutPrefix(name, manifestsName+"/")
		if digest, err := chunker.ParseDigest(text); ok && err == nil {
			list = append(list, digest)
		}
	}
	return list
}
