package oci

import "sync"

// maxSums bounds the sums that are remembered, some 250 bytes each.
const maxSums = 50_000

// sums remembers the sha256 of files by their ETags, for sources that do not know all
// of them. It forgets everything when it is full. It is safe for concurrent use.
type sums struct {
	limit int

	mu    sync.Mutex // protects known
	known map[item]string
}

func newSums(limit int) *sums { return &sums{limit: limit, known: map[item]string{}} }

func (s *sums) get(of item) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[of]
}

func (s *sums) put(of item, sha256 string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.known) >= s.limit {
		clear(s.known)
	}
	s.known[of] = sha256
}
