package simtest

import (
	"fmt"
	"slices"
	"time"

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
		s.plant(e.Object, m.chunks[d], 0)
		if s.plan.bases {
			base := placement.Entry{Object: placement.ChunkName(d, planter, 1), Length: 1}
			s.plant(base.Object, []byte{byte(i)}, 2*time.Hour)
			e.Closure = []placement.Entry{base}
			s.judge.bases[e.Object] = base.Object
		}
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
