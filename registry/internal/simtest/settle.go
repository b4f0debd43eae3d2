package simtest

import (
	"context"
	"slices"
	"strings"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/collect"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/name"
)

// acknowledged is called when a client is told that a version is there, after a
// commit that began at a step. The version can be read, or was retired since (I1).
func (j *judge) acknowledged(repo name.Repo, d chunker.Digest, began int) {
	h := j.heads[record.HeadKey(repo, d)]
	if h == nil || !h.Readable() && h.until < began {
		j.fail("I1", "%s@%s was acknowledged, and is not there", repo, d.Short())
	}
}

// settle ends a scenario: all that was late happens, nothing fails any more, and
// what is left must be exactly what versions need, every one of which is read.
func (s *sim) settle() {
	s.calm = true
	p := s.start(0, 1<<20)
	p.skew = 0
	s.procs = append(s.procs, p)
	ctx := context.WithValue(context.Background(), whoKey{}, "end")
	s.judge.intents["end"] = intent{action: collects}
	for i := range 6 {
		s.flush(i)
		s.tick(1, 2*pushTTL)
		if err := s.finishMoves(ctx, p); err != nil {
			s.judge.fail("liveness", "a move cannot be finished: %v", err)
			return
		}
		if err := s.collectAll(ctx, p); err != nil {
			s.judge.fail("liveness", "a collection without faults fails: %v", err)
			return
		}
	}
	s.checkLeaks()
	s.checkReads(ctx, p)
	s.checkGoesOn(ctx, p)
}

// checkGoesOn wants the registry to take a push, whatever has become of it.
func (s *sim) checkGoesOn(ctx context.Context, p *proc) {
	repo, v := repos[0], s.pool[1]
	err := s.pushAgain(ctx, p, repo, v)
	if err == nil {
		err = v.readFrom(ctx, p, repo, 0)
	}
	if err != nil {
		s.judge.fail("liveness", "a push without faults fails: %v", err)
	}
}

// finishMoves ends the moves of versions that somebody has left in the middle, as a
// scrubber does.
func (s *sim) finishMoves(ctx context.Context, p *proc) error {
	s.judge.intents["end"] = intent{action: heals}
	s.judge.by = &call{who: "end"}
	defer func() {
		s.judge.by = nil
		s.judge.intents["end"] = intent{action: collects}
	}()
	for _, key := range sorted(s.judge.heads) {
		repo, digest, err := record.ParseKey(key)
		if err != nil {
			return err
		}
		d, err := chunker.ParseDigest(digest)
		if err != nil {
			return err
		}
		if err := p.FinishMove(ctx, repo, d); err != nil {
			return err
		}
	}
	return nil
}

// flush lets what is late happen, half of it at first.
func (s *sim) flush(round int) {
	for len(s.late) > 0 && (round > 0 || s.dice.IntN(2) == 0) {
		s.haunt()
	}
}

func (s *sim) collectAll(ctx context.Context, p *proc) error {
	s.judge.by = &call{who: "end"}
	defer func() { s.judge.by = nil }()
	_, err := p.collector().Run(ctx, collect.Options{})
	return err
}

// checkLeaks compares what the store holds with what versions need (I7).
func (s *sim) checkLeaks() {
	for _, object := range s.disk.names {
		switch {
		case strings.HasPrefix(object, placement.Lists.Prefix()):
		case s.isHashes(object):
		case s.judge.refs[object] == 0:
			s.judge.fail("I7", "%s is still there, and nothing needs it", object)
		}
	}
}

// hurt reports whether a body needs what is in quarantine.
func (s *sim) hurt(body string) bool {
	return slices.ContainsFunc(s.judge.bodies[body], func(object string) bool {
		var q record.Quarantine
		s.judge.read(object, s.disk.vals[record.QuarantineKey(object)].val, &q)
		return q.State == record.Bad
	})
}

// isHashes reports whether the object holds the hashes of a version that can be
// read.
func (s *sim) isHashes(object string) bool {
	named := placement.ParseName(object)
	h := s.judge.heads[record.HeadKey(named.Repo, named.Version)]
	if named.Kind != placement.Hashes || h == nil || !h.Readable() {
		return false
	}
	var rec record.Hashes
	s.judge.read(object, s.disk.vals[record.HashesKey(named.Repo, named.Version)].val, &rec)
	return rec.Blob == object
}

// checkReads reads every version that can be read, and everything that a tag
// points at.
func (s *sim) checkReads(ctx context.Context, p *proc) {
	for _, key := range sorted(s.judge.heads) {
		h := s.judge.heads[key]
		if !h.Readable() {
			continue
		}
		repo, digest, err := record.ParseKey(key)
		if err != nil {
			s.judge.fail("format", "%v", err)
			return
		}
		d, err := chunker.ParseDigest(digest)
		if err != nil {
			s.judge.fail("format", "%v", err)
			return
		}
		v := s.modelOf(d)
		if s.hurt(h.Body) {
			s.counts.Healed++
			if err := s.pushAgain(ctx, p, repo, v); err != nil {
				s.judge.fail("heal", "%s cannot be healed: %v", key, err)
			}
		}
		if err := v.readFrom(ctx, p, repo, 0); err != nil {
			s.judge.fail("I1", "%s cannot be read at the end: %v", key, err)
		}
	}
}
