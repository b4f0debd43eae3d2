package simtest

import (
	"fmt"
	"slices"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/chunker/codec"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/versions"
)

// planter is the push of the version that is there from the start.
const planter = "00000000000000000000"

// prepare fills the registry with a version, so that there is something to take
// chunks from, to delete and to move. Its chunks may have bases, as an encoder of
// deltas would make them; those are older, so that a collection with some grace
// wants them alone.
func (s *sim) prepare() {
	if !s.plan.planted {
		return
	}
	m := s.pool[0]
	var entries []placement.Entry
	for i, d := range m.order {
		e := placement.Entry{Object: placement.ChunkName(d, planter, 0), Length: uint32(len(m.chunks[d]))}
		whole := m.chunks[d]
		if s.plan.bases {
			e, whole = s.plantBase(m, uint64(i), d)
		}
		s.plant(e.Object, whole, 0)
		entries = append(entries, e)
	}
	body := placement.Body{Document: m.doc, Entries: entries}
	name := placement.BodyName(repos[0], m.digest, planter, "0000000000000000")
	s.plant(name, body.Encode(), 0)
	s.plantHead(m, name)
	for _, p := range s.procs {
		for _, d := range m.order {
			p.index.at[d] = append(p.index.at[d], versions.Source{Repo: repos[0].String(), Version: m.digest})
		}
	}
}

// plantBase makes what a chunk is a delta of, and returns the delta and where it is to
// be.
func (s *sim) plantBase(m *model, i uint64, d chunker.Digest) (placement.Entry, []byte) {
	plain := noise(100 + i)
	base := chunker.Sum(plain)
	enc, delta := codec.Append(nil, plain, chunker.Opaque), m.deltaOf(d, plain, base)
	under := placement.Entry{Object: placement.ChunkName(base, planter, 0), Length: uint32(len(enc)), Spent: uint32(len(delta))}
	s.plant(under.Object, enc, 2*time.Hour)
	return placement.Entry{
		Object: placement.DeltaName(d, planter, 0), Length: uint32(len(delta)), Closure: []placement.Entry{under},
	}, delta
}

func (s *sim) plant(object string, b []byte, age time.Duration) {
	at, _ := slices.BinarySearch(s.disk.names, object)
	s.disk.names = slices.Insert(s.disk.names, at, object)
	s.disk.blobs[object] = blob{b, s.now.Add(-age)}
	s.judge.made(object, b)
}

// plantHead takes the head of the planted version to committed.
func (s *sim) plantHead(m *model, body string) {
	key := record.HeadKey(repos[0], m.digest)
	s.judge.by = &call{who: "start"}
	defer func() { s.judge.by = nil }()
	s.judge.intents["start"] = intent{action: commits, repo: repos[0], digest: m.digest}
	at := registers.Absent
	for _, state := range []string{record.Pending, record.Committed} {
		val := fmt.Sprintf(`{"v":1,"seq":1,"nonce":"%s","state":%q,"body":%q,"push":%q,"at":%q,"chunks":%d}`,
			state, state, body, planter, s.now.Format(time.RFC3339), len(m.order))
		at = s.swap(key, at, []byte(val)).version
	}
}
