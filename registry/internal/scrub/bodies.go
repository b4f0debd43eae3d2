package scrub

import (
	"context"
	"errors"
	"fmt"
	"io"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/placement"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// version is a version that can be read, and what its body says.
type version struct {
	repo     name.Repo
	digest   chunker.Digest
	body     string // blob
	next     string // the body that it is to have, if somebody points it elsewhere
	document []byte
	manifest *manifest.Manifest
	entries  []placement.Entry
}

// ref is how a report names the version.
func (v *version) ref() string { return refOf(v.repo, v.digest) }

func refOf(repo name.Repo, d chunker.Digest) string { return repo.String() + "@" + d.String() }

// damage is an error that says what is wrong with an object.
type damage struct {
	object  string
	digest  chunker.Digest
	reason  string
	missing bool
}

func (d *damage) Error() string { return d.object + ": " + d.reason }

// isDamage returns the damage that err is, or nil.
func isDamage(err error) *damage {
	var d *damage
	if errors.As(err, &d) {
		return d
	}
	return nil
}

// eachVersion calls f with every version that can be read, several at a time, and
// hurt with those whose body cannot.
func (s *Scrubber) eachVersion(ctx context.Context, f func(context.Context, *version) error, hurt func(name.Repo, chunker.Digest, *damage)) error {
	group, ctx := errgroup.WithContext(ctx)
	group.SetLimit(s.Parallel)
	err := s.book.Each(ctx, record.HeadPrefix, "", func(e registers.Entry) (bool, error) {
		repo, d, err := record.ParseHeadKey(e.Key)
		if err != nil {
			return false, err
		}
		group.Go(func() error {
			err := s.withVersion(ctx, repo, d, f)
			if lost := isDamage(err); lost != nil {
				hurt(repo, d, lost)
				return nil
			}
			return err
		})
		return true, nil
	})
	if failed := group.Wait(); failed != nil {
		return failed // the cause of an end of ctx, if that was it
	}
	return err
}

// withVersion calls f with a version, if it can be read. As long as its body is not
// as it should be and the head names another one than the last that was tried, it
// looks again.
func (s *Scrubber) withVersion(ctx context.Context, repo name.Repo, d chunker.Digest, f func(context.Context, *version) error) error {
	var last *damage
	for {
		h, err := s.head(ctx, repo, d)
		if err != nil || h == nil {
			return err
		}
		if last != nil && h.Body == last.object {
			return last
		}
		err = s.withBody(ctx, repo, d, h, f)
		if last = isDamage(err); last == nil {
			return err
		}
	}
}

// head returns the head of a version that can be read, or nil.
func (s *Scrubber) head(ctx context.Context, repo name.Repo, d chunker.Digest) (*record.Head, error) {
	var h record.Head
	_, err := s.book.Load(ctx, record.HeadKey(repo, d), &h)
	if errors.Is(err, record.ErrInvalid) {
		return nil, &damage{object: record.HeadKey(repo, d), digest: d, reason: err.Error()}
	}
	if err != nil || !h.Readable() {
		return nil, err
	}
	return &h, nil
}

// withBody calls f with what a body says. Its memory counts until f returns.
func (s *Scrubber) withBody(ctx context.Context, repo name.Repo, d chunker.Digest, h *record.Head, f func(context.Context, *version) error) error {
	info, err := s.statBody(ctx, d, h.Body)
	if err != nil {
		return err
	}
	weight := min(4*info.Size, bodyMemory) // the bytes, and what they are parsed into
	if err := s.memory.Acquire(ctx, weight); err != nil {
		return err
	}
	defer s.memory.Release(weight)
	v, err := s.bodyIn(ctx, repo, d, info)
	if err != nil {
		return err
	}
	v.next = h.Next
	return f(ctx, v)
}

// bodyIn reads a body, or fails with the damage that it has.
func (s *Scrubber) bodyIn(ctx context.Context, repo name.Repo, d chunker.Digest, info blobs.Info) (v *version, err error) {
	reason, err := s.twice(ctx, info.Name, func() (reason string, err error) {
		v, reason, err = s.readBody(ctx, repo, d, info)
		return reason, err
	})
	if err != nil {
		return nil, err
	}
	if reason != "" {
		return nil, &damage{object: info.Name, digest: d, reason: reason}
	}
	return v, nil
}

// statBody is stat of a body, which may not be too long.
func (s *Scrubber) statBody(ctx context.Context, d chunker.Digest, body string) (blobs.Info, error) {
	info, err := s.stat(ctx, body)
	if err == nil && info.Size > placement.MaxBody {
		err = &damage{object: body, digest: d, reason: fmt.Sprintf("it has %d bytes, a body has at most %d", info.Size, placement.MaxBody)}
	}
	return info, err
}

// stat is Stat where an object that is not there is damage.
func (s *Scrubber) stat(ctx context.Context, object string) (info blobs.Info, err error) {
	err = patiently(ctx, func() error {
		info, err = s.Blobs.Stat(ctx, object)
		return err
	})
	if errors.Is(err, blobs.ErrNotFound) {
		return info, &damage{object: object, reason: notThere, missing: true}
	}
	return info, err
}

const notThere = "it is not in the store"

// readBody reads a body, or tells why it is none.
func (s *Scrubber) readBody(ctx context.Context, repo name.Repo, d chunker.Digest, info blobs.Info) (*version, string, error) {
	raw := make([]byte, info.Size)
	if reason, err := s.read(ctx, info.Name, 0, raw); err != nil || reason != "" {
		return nil, reason, err
	}
	b, err := placement.ReadBody(info.Name, raw)
	if err != nil {
		return nil, err.Error(), nil
	}
	if got := manifest.Name(b.Document); got != d {
		return nil, fmt.Sprintf("its manifest is that of version %s", got.Short()), nil
	}
	m, err := manifest.Parse(b.Document)
	if err != nil {
		return nil, err.Error(), nil
	}
	if len(m.Chunks) != len(b.Entries) {
		return nil, fmt.Sprintf("it places %d of %d chunks", len(b.Entries), len(m.Chunks)), nil
	}
	return &version{repo: repo, digest: d, body: info.Name, document: b.Document, manifest: m, entries: b.Entries}, "", nil
}

// read fills b from an object, or tells why it cannot be read.
func (s *Scrubber) read(ctx context.Context, object string, off int64, b []byte) (reason string, err error) {
	err = patiently(ctx, func() error { return blobs.ReadInto(ctx, s.Blobs, object, off, b) })
	switch {
	case errors.Is(err, blobs.ErrNotFound):
		return "", &damage{object: object, reason: notThere, missing: true}
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Sprintf("it ends before byte %d", off+int64(len(b))), nil
	}
	return "", err
}

// twice asks again when there is a reason to take an object for bad, and believes
// it only then.
func (s *Scrubber) twice(ctx context.Context, object string, ask func() (reason string, err error)) (string, error) {
	first, err := ask()
	if err != nil || first == "" {
		return "", err
	}
	again, err := ask()
	if err == nil && again == "" {
		s.Logger.WarnContext(ctx, "an object was read wrong once, and right after that", "object", object, "reason", first)
	}
	return again, err
}
