package disk

import (
	"bytes"
	"encoding/json"
	"fmt"
	"slices"

	"github.com/ingot-ml/ingot/chunker"
)

// mostSignatures is how many signatures of a version are kept: one of each repository
// with keys of its own that has the version. maxSignatures bounds their document in
// bytes.
const (
	mostSignatures = 16
	maxSignatures  = 2 << 20
)

func signaturesPath(d chunker.Digest) string { return signaturesName + "/" + d.String() }

// PutSignature keeps a signature of a version beside its manifest and as long as that,
// the newest of too many. Without a manifest it keeps nothing.
func (s *Store) PutSignature(d chunker.Digest, bundle []byte) error {
	s.docs.write.Lock()
	defer s.docs.write.Unlock()
	if s.docs.size(manifestPath(d)) < 0 {
		return nil
	}
	list := s.Signatures(d)
	if slices.ContainsFunc(list, func(b []byte) bool { return bytes.Equal(b, bundle) }) {
		return nil
	}
	list = append(list, bundle)
	doc, err := json.Marshal(list[max(0, len(list)-mostSignatures):])
	before := s.docs.size(signaturesPath(d))
	if err == nil {
		err = s.reserve(signaturesPath(d), int64(len(doc)))
	}
	if err == nil {
		err = s.docs.put(signaturesPath(d), doc, before)
	}
	if err != nil {
		return fmt.Errorf("keep signature of %s: %w", d, err)
	}
	return nil
}

// Signatures returns what PutSignature has kept, nil for nothing. What is damaged is
// nothing: whoever reads them verifies them.
func (s *Store) Signatures(d chunker.Digest) (list [][]byte) {
	if s.docs.size(signaturesPath(d)) < 0 {
		return nil
	}
	doc, err := readFile(s.docs.path(signaturesPath(d)), maxSignatures)
	if err != nil || json.Unmarshal(doc, &list) != nil {
		return nil
	}
	return list
}
