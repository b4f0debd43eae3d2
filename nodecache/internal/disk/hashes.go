package disk

import (
	"encoding/json"
	"fmt"
	"hash/crc32"

	"github.com/ingot-ml/ingot/chunker"
)

// maxHashes bounds a document of hashes in bytes: as many files as a manifest holds,
// each with a long path.
const maxHashes = 256 << 20

func hashesPath(d chunker.Digest) string { return hashesName + "/" + d.String() }

// hashes is the document of a version's sha256. They are what a registry has said, so
// they are not proven by the version's name; the sum finds what a disk does to them.
type hashes struct {
	Sum    uint32          `json:"crc32c"` // of the rest, as it is written
	SHA256 json.RawMessage `json:"sha256"`
}

// PutHashes keeps the sha256 of the files of a version, by path, beside its manifest
// and as long as that. Without a manifest it keeps nothing.
func (s *Store) PutHashes(d chunker.Digest, sums map[string]string) error {
	s.docs.write.Lock()
	defer s.docs.write.Unlock()
	if s.docs.size(manifestPath(d)) < 0 || s.docs.size(hashesPath(d)) >= 0 {
		return nil
	}
	files, err := json.Marshal(sums)
	if err != nil {
		return fmt.Errorf("keep hashes of %s: %w", d, err)
	}
	doc, err := json.Marshal(hashes{crc32.Checksum(files, castagnoli), files})
	if err == nil {
		err = s.reserve(hashesPath(d), int64(len(doc)))
	}
	if err == nil {
		err = s.docs.put(hashesPath(d), doc, -1)
	}
	if err != nil {
		return fmt.Errorf("keep hashes of %s: %w", d, err)
	}
	return nil
}

// Hashes returns what PutHashes has kept, nil for nothing. What is damaged goes.
func (s *Store) Hashes(d chunker.Digest) (sums map[string]string) {
	if s.docs.size(hashesPath(d)) < 0 {
		return nil
	}
	var doc hashes
	b, err := readFile(s.docs.path(hashesPath(d)), maxHashes)
	if err == nil {
		err = json.Unmarshal(b, &doc)
	}
	if err == nil && crc32.Checksum(doc.SHA256, castagnoli) == doc.Sum && json.Unmarshal(doc.SHA256, &sums) == nil {
		return sums
	}
	s.docs.write.Lock()
	defer s.docs.write.Unlock()
	if err := s.docs.remove(hashesPath(d)); err != nil {
		s.config.Logger.Warn("damaged hashes could not be removed", "version", d.String(), "err", err)
	}
	return nil
}
