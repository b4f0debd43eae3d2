package collect

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"time"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
)

// candidates are objects that nothing seems to need.
type candidates struct {
	names []string // ascending, when they come from a list
	sizes map[string]int64
	bytes int64
}

func (c *candidates) add(info blobs.Info) {
	c.names = append(c.names, info.Name)
	c.sizes[info.Name] = info.Size
	c.bytes += info.Size
}

// count notes what is freed. Of a collection that was taken over only the number
// of objects is known.
func (r *run) count(c *candidates) {
	r.report.Freed.Objects += int64(len(c.names))
	r.report.Freed.Bytes += c.bytes
}

// find is G1. It marks and lists the store part by part, in as few parts as the
// names have room in.
func (r *run) find(ctx context.Context, m *marks) (*candidates, error) {
	now, err := r.storeTime(ctx)
	if err != nil {
		return nil, err
	}
	for of := uint64(1); ; of *= 2 {
		found, err := r.findParts(ctx, m, of, now)
		if !errors.Is(err, errTooMany) {
			return found, err
		}
		r.report.Kept, r.report.Objects, r.report.Bytes = map[string]openapi.GCTotal{}, 0, 0
	}
}

func (r *run) findParts(ctx context.Context, m *marks, of uint64, now time.Time) (*candidates, error) {
	s := &search{marks: m, now: now, found: &candidates{sizes: map[string]int64{}}, pushes: map[string]bool{}}
	for i := range of {
		m.restart(part{i, of})
		if err := m.heads(ctx); err != nil {
			return nil, err
		}
		if err := s.list(ctx); err != nil {
			return nil, err
		}
	}
	return s.found, nil
}

// storeTime returns the time by the store's clock, which is also what it says of
// the age of its objects. A dry run takes the clock at hand, since it writes nothing.
func (r *run) storeTime(ctx context.Context) (time.Time, error) {
	if r.grace <= 0 || r.DryRun {
		return r.Now(), nil
	}
	nonce, err := r.book.Token(record.NonceLen)
	if err != nil {
		return time.Time{}, err
	}
	object := placement.Lists.Prefix() + "now." + nonce
	if err := r.Blobs.Put(ctx, object); err != nil {
		if errors.Is(err, blobs.ErrNoSpace) {
			return r.Now(), nil // a full store has to be collected from
		}
		return time.Time{}, fmt.Errorf("ask for the store's time: %w", err)
	}
	info, err := r.Blobs.Stat(ctx, object)
	if err != nil {
		return time.Time{}, fmt.Errorf("ask for the store's time: %w", err)
	}
	return info.Modified, r.Sweeper.Delete(ctx, []string{object})
}

// search goes through what the store holds.
type search struct {
	*marks
	now    time.Time
	found  *candidates
	pushes map[string]bool // whether they are open
	done   int64
}

// list sorts the objects of the part into those that are kept and candidates.
// Bodies come first: what one names that nobody knows has to be kept.
func (s *search) list(ctx context.Context) error {
	for _, kind := range []placement.Kind{placement.Bodies, placement.Chunk, placement.Hashes, placement.Bundle} {
		for info, err := range s.Blobs.List(ctx, kind.Prefix(), "") {
			if err != nil {
				return err
			}
			if hash := maphash.String(s.seed, info.Name); s.part.has(hash) {
				if err := s.sort(ctx, info, hash); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func (s *search) sort(ctx context.Context, info blobs.Info, hash uint64) error {
	s.report.Objects++
	s.report.Bytes += info.Size
	if s.done++; s.done%registers.MaxList == 0 {
		s.tell("list", s.done, 0)
	}
	why, err := s.why(ctx, info, hash)
	if err != nil {
		return err
	}
	switch {
	case why != "":
		kept := s.report.Kept[why]
		s.report.Kept[why] = openapi.GCTotal{Objects: kept.Objects + 1, Bytes: kept.Bytes + info.Size}
	case len(s.found.names) < placement.MaxList:
		s.found.add(info)
	}
	return nil
}

// why returns the reason for which an object is kept, or nothing.
func (s *search) why(ctx context.Context, info blobs.Info, hash uint64) (string, error) {
	named := placement.ParseName(info.Name)
	switch {
	case named.Kind == placement.Alien:
		return openapi.KeptForeign, nil
	case s.needed.has(hash):
		return openapi.KeptReferenced, nil
	case s.reading.has(hash):
		return openapi.KeptReader, nil
	case s.grace > 0 && s.now.Sub(info.Modified) < s.grace: // without a grace no clock is asked
		return openapi.KeptYoung, nil
	case named.Kind == placement.Hashes:
		return s.whyHashes(ctx, info, named)
	case named.Kind == placement.Bodies:
		return s.whyBody(ctx, info, named)
	}
	return s.whyUpload(ctx, named)
}

// whyUpload keeps what an open push has uploaded, unless there is no grace.
func (s *search) whyUpload(ctx context.Context, named placement.Named) (string, error) {
	if s.grace <= 0 {
		return "", nil
	}
	open, known := s.pushes[named.Push]
	if !known {
		var err error
		if open, err = s.open(ctx, named.Push); err != nil {
			return "", err
		}
		s.pushes[named.Push] = open
	}
	if open {
		return openapi.KeptPush, nil
	}
	return "", nil
}

// whyHashes keeps the hashes of versions that can be read.
func (s *search) whyHashes(ctx context.Context, info blobs.Info, named placement.Named) (string, error) {
	var h record.Head
	if _, err := s.book.Load(ctx, record.HeadKey(named.Repo, named.Version), &h); err != nil || !h.Readable() {
		return "", err
	}
	var rec record.Hashes
	if _, err := s.book.Load(ctx, record.HashesKey(named.Repo, named.Version), &rec); err != nil || rec.Blob != info.Name {
		return "", err
	}
	return openapi.KeptReferenced, nil
}

// whyBody keeps a body that neither a head nor a push knows of: registers that are
// older than the store would look like that. All it names is kept too.
func (s *search) whyBody(ctx context.Context, info blobs.Info, named placement.Named) (string, error) {
	for _, key := range []string{record.HeadKey(named.Repo, named.Version), record.PushKey(named.Push)} {
		if _, _, err := s.Registers.Get(ctx, key); !errors.Is(err, registers.ErrNotFound) {
			why, err := s.whyUpload(ctx, named)
			return why, err
		}
	}
	s.anomaly("%s: no register knows of this body, so it is kept with all it names", info.Name)
	err := s.names(ctx, info.Name, func(object string) { s.add(s.needed, object) })
	if err != nil && !errors.Is(err, placement.ErrInvalid) {
		return "", err
	}
	return openapi.KeptForeign, nil
}
