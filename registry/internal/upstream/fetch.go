package upstream

import (
	"context"
	"errors"
	"fmt"

	"github.com/ingot-ml/ingot/registry/internal/arrival"
	"github.com/ingot-ml/ingot/registry/internal/hubclient"
	"github.com/ingot-ml/ingot/registry/internal/ingest"
	"github.com/ingot-ml/ingot/registry/stream"
)

// fetch is a file on its way from another hub, for one commit or several.
type fetch struct {
	key     string
	listing *listing // of the first that wanted it
	file    hubclient.File
	room    *ingest.Spooled
	arrival *arrival.Arrival
	done    chan struct{} // closed when nobody needs it any more: it is in versions, or has failed

	// What follows is protected by the Source's mu.
	wanted  []wanted
	object  *ingest.Object // once it is kept
	batches int            // that have not taken it yet
}

// wanted is where a file belongs.
type wanted struct {
	batch *batch
	path  string
}

// keyOf names the bytes of a file: those that are equal are fetched once.
func keyOf(l *listing, f hubclient.File) string {
	repo := l.revision.Repo.String()
	switch {
	case f.SHA256 != "":
		return repo + " sha256 " + f.SHA256
	case !l.hub.plain:
		return repo + " git " + f.GitSHA1
	}
	return repo + " " + l.revision.Commit + " " + f.Path
}

// small is up to which size a file is proven before any of it is served, so that one
// that is wrong has a status instead of a connection that is cut.
const small = 256 << 10

// openComing opens a file that is on its way, or sends for it. It waits until the
// other hub has begun to send, so that a failure still has a status.
func (s *Source) openComing(ctx context.Context, l *listing, f hubclient.File) (stream.Content, error) {
	fe, reader, err := s.fetching(l, f)
	if err != nil {
		return nil, err
	}
	ready := fe.arrival.Started
	if f.Size <= small {
		ready = fe.arrival.Proven
	}
	if err := ready(ctx); err != nil {
		_ = reader.Close() // nothing was read
		return nil, told(err)
	}
	return reader, nil
}

// isComing tells whether a file is on its way.
func (s *Source) isComing(l *listing, f hubclient.File) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetches[keyOf(l, f)] != nil
}

// joining returns a file's fetch and a reader of it, if it is on its way. The caller
// holds mu.
func (s *Source) joining(l *listing, f hubclient.File) (*fetch, *arrival.Reader) {
	fe := s.fetches[keyOf(l, f)]
	if fe == nil {
		return nil, nil
	}
	reader, ok := fe.arrival.Read()
	if !ok {
		return nil, nil
	}
	s.want(fe, l, f.Path)
	return fe, reader
}

// fetching returns a file's fetch, which it begins if need be, and a reader of it.
func (s *Source) fetching(l *listing, f hubclient.File) (*fetch, *arrival.Reader, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, nil, errStops
	}
	if fe, reader := s.joining(l, f); fe != nil {
		return fe, reader, nil
	}
	if err := l.hub.resting(s.Now()); err != nil {
		return nil, nil, told(err)
	}
	room, err := s.Store.Spool(f.Size)
	if err != nil {
		return nil, nil, err
	}
	fe := &fetch{key: keyOf(l, f), listing: l, file: f, room: room, done: make(chan struct{})}
	fe.arrival = arrival.New(s.arriving(fe))
	reader, _ := fe.arrival.Read()
	s.fetches[fe.key] = fe
	s.want(fe, l, f.Path)
	s.work.Go(func() { s.bring(fe) })
	return fe, reader, nil
}

// want notes that a file belongs to a commit too. The caller holds mu.
func (s *Source) want(fe *fetch, l *listing, path string) {
	b := s.batchOf(l)
	for _, w := range fe.wanted {
		if w.batch == b && w.path == path {
			return
		}
	}
	fe.wanted = append(fe.wanted, wanted{b, path})
	fe.batches++
	if fe.object != nil {
		b.add(path, *fe.object, fe)
		s.work.Go(func() { s.flush(b) })
		return
	}
	b.coming++
}

// arriving says how a file comes.
func (s *Source) arriving(fe *fetch) arrival.Config {
	c := s.Config.Arrival
	l, f := fe.listing, fe.file
	c.Size, c.Room = f.Size, fe.room
	c.Open = func(ctx context.Context, offset, end int64) (arrival.Part, error) {
		b, err := l.hub.client.Open(ctx, l.revision.Repo, l.revision.Commit, f, offset, end)
		if err != nil {
			return nil, fmt.Errorf("%s at %.12s: %w", l.revision.Repo, l.revision.Commit, err)
		}
		return part{b}, nil
	}
	c.Proof = func() error { return s.prove(fe) }
	c.Final = func(err error) bool { return errors.Is(err, hubclient.ErrWrong) || hubclient.Absent(err) }
	return c
}

// part is a hubclient.Body as an arrival wants it.
type part struct{ *hubclient.Body }

// Offset implements arrival.Part.
func (p part) Offset() int64 { return p.Body.Offset }

// prove compares the bytes that have come with what the other hub has listed.
func (s *Source) prove(fe *fetch) error {
	f := fe.file
	sum, err := fe.room.Sum()
	if err != nil {
		return err
	}
	got, want := fmt.Sprintf("%x", sum), f.SHA256
	if want == "" && !fe.listing.hub.plain {
		want = f.GitSHA1
		if got, err = ingest.GitBlob(fe.room, f.Size); err != nil {
			return err
		}
	}
	if want != "" && got != want {
		return fmt.Errorf("%s: %w: file %.120q of %s has hash %s, its list says %s",
			fe.listing.hub.client, hubclient.ErrWrong, f.Path, fe.listing.revision.Repo, got, want)
	}
	return nil
}

// bring fetches a file, keeps it, and gives it to the commits that want it.
func (s *Source) bring(fe *fetch) {
	l := fe.listing
	err := fe.arrival.Run(s.ctx)
	if err != nil {
		l.hub.note(s, err)
		if errors.Is(err, hubclient.ErrWrong) || hubclient.Absent(err) {
			s.forget(l)
		}
		s.drop(fe, nil)
		return
	}
	want := ingest.Want{SHA256: fe.file.SHA256, Size: fe.file.Size}
	o, err := s.Store.Keep(s.ctx, keeper, l.revision.Repo, fe.room, fe.file.Path, want)
	if err != nil {
		if s.ctx.Err() == nil {
			s.Logger.Error("a file of an upstream hub is not kept", "upstream", l.hub.client.String(), "repo", l.revision.Repo.String(),
				"commit", l.revision.Commit, "path", fe.file.Path, "error", err)
		}
		s.drop(fe, nil)
		return
	}
	s.drop(fe, &o)
}

// drop ends a fetch. What was kept is given to the commits that want it, and can be
// read until they have it.
func (s *Source) drop(fe *fetch, o *ingest.Object) {
	s.mu.Lock()
	fe.object = o
	if o == nil {
		fe.batches = 0
	}
	s.settle(fe)
	for _, w := range fe.wanted {
		w.batch.coming--
		if o != nil {
			w.batch.add(w.path, *o, fe)
		}
	}
	batches := fe.wanted
	s.mu.Unlock()
	for _, w := range batches {
		s.flush(w.batch)
	}
}

// settle closes a fetch that nobody needs any more. The caller holds mu.
func (s *Source) settle(fe *fetch) {
	if fe.batches > 0 {
		return
	}
	if s.fetches[fe.key] == fe {
		delete(s.fetches, fe.key)
	}
	close(fe.done)
	if err := fe.arrival.Close(); err != nil {
		s.Logger.Warn("room for a file is lost", "error", err)
	}
}
