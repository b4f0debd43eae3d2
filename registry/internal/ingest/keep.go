package ingest

import (
	"context"
	"crypto/sha1" // as git's name of a file, which another hub has announced
	"encoding/hex"
	"errors"
	"fmt"
	"io"

	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// Want is what a file was announced to be; empty hashes were not announced.
type Want struct {
	SHA256  string // 64 hex digits
	Size    int64  // bytes
	GitSHA1 string // 40 hex digits, of the file as a blob of git
}

// objectPath is the path of the file of an Object.
const objectPath = "object"

// TagOf returns the tag of the Object with that sha256.
func TagOf(sha256 string) string { return "lfs-" + sha256 }

// rounds is how often a version is published again after chunks that it names were
// collected meanwhile.
const rounds = 5

// Keep makes a file that has arrived an Object of repo, if it is what was announced;
// else it fails with CodeBadRequest. The base name of path tells which format it
// claims; one that is malformed is kept as it is. The file stays the caller's.
func (s *Store) Keep(ctx context.Context, p access.Principal, repo name.Repo, f *Spooled, path string, want Want) (Object, error) {
	sha, err := f.check(want)
	if err != nil {
		return Object{}, err
	}
	if o, ok, err := s.Find(ctx, p, repo, sha); ok || err != nil {
		return o, err
	}
	uploads, err := repo.Uploads()
	if err != nil {
		return Object{}, openapi.Errorf(openapi.CodeBadName, "%v", err)
	}
	o, err := s.keep(ctx, p, uploads, Input{Path: path, Content: f, Size: f.size, SHA256: sha})
	if err != nil {
		return Object{}, fmt.Errorf("keep %.12s for %s: %w", sha, repo, err)
	}
	return o, nil
}

// check returns the sha256, if the file is what was announced.
func (f *Spooled) check(want Want) (string, error) {
	if f.size != want.Size {
		return "", openapi.Errorf(openapi.CodeBadRequest, "%d bytes came, %d were announced: nothing is kept", f.size, want.Size)
	}
	sum, err := f.Sum()
	if err != nil {
		return "", err
	}
	got := hex.EncodeToString(sum)
	if want.SHA256 != "" && got != want.SHA256 {
		return "", openapi.Errorf(openapi.CodeBadRequest, "the bytes have sha256 %s, %s was announced: nothing is kept, send them again", got, want.SHA256)
	}
	if want.GitSHA1 == "" {
		return got, nil
	}
	blob, err := GitBlob(f, f.size)
	if err == nil && blob != want.GitSHA1 {
		err = openapi.Errorf(openapi.CodeBadRequest, "the bytes are git blob %s, %s was announced: nothing is kept", blob, want.GitSHA1)
	}
	return got, err
}

// GitBlob returns git's name of a file of size bytes.
func GitBlob(r io.ReaderAt, size int64) (string, error) {
	sum := sha1.New()
	fmt.Fprintf(sum, "blob %d\x00", size)
	if _, err := io.Copy(sum, io.NewSectionReader(r, 0, size)); err != nil {
		return "", fmt.Errorf("read a file that arrived: %w", err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}

// keep sends the chunks of a file and publishes it.
func (s *Store) keep(ctx context.Context, p access.Principal, uploads name.Repo, in Input) (Object, error) {
	push, err := s.versions.StartPush(ctx, p, uploads)
	if err != nil {
		return Object{}, err
	}
	sent, err := s.Send(ctx, p, push.ID, false, []Input{in})
	if err != nil {
		return Object{}, err
	}
	return s.publish(ctx, p, uploads, push.ID, in, sent[0])
}

// publish makes the version that is the object, whose chunks were sent. Those that
// were collected meanwhile are sent again.
func (s *Store) publish(ctx context.Context, p access.Principal, uploads name.Repo, push string, in Input, o Object) (Object, error) {
	var lost error
	for range rounds {
		if lost != nil {
			sent, err := s.Send(ctx, p, push, true, []Input{in})
			if err != nil {
				return Object{}, err
			}
			o = sent[0]
		}
		doc, err := o.document()
		if err != nil {
			return Object{}, err
		}
		done, err := s.versions.Commit(ctx, p, push, doc, TagOf(o.SHA256), "")
		if errors.Is(err, &openapi.Error{Code: openapi.CodeMissingChunks}) {
			lost = err
			continue
		}
		if err != nil {
			return Object{}, err
		}
		o.From = versions.Source{Repo: uploads.String(), Version: done.Digest}
		s.noteHash(ctx, uploads, done, o)
		return o, nil
	}
	return Object{}, lost
}

// document describes the version whose only file is the object.
func (o *Object) document() ([]byte, error) {
	b := manifest.NewBuilder()
	f := o.File
	f.Path = objectPath
	b.Add(f, o.Refs)
	m, err := b.Build(versions.Source{}.Version, nil)
	if err != nil {
		return nil, openapi.Errorf(openapi.CodeBadManifest, "%v", err)
	}
	return m.Encode()
}

// noteHash spares the registry the reading of what was hashed already.
func (s *Store) noteHash(ctx context.Context, uploads name.Repo, done openapi.Committed, o Object) {
	list := openapi.FileHashes{Files: []openapi.FileHash{{Path: objectPath, Size: o.Size, SHA256: o.SHA256}}}
	if err := s.versions.SetHashes(ctx, uploads, done.Digest, list); err != nil && ctx.Err() == nil {
		s.logger.WarnContext(ctx, "sha256 of an upload will be computed again", "repo", uploads.String(), "version", done.Digest.Short(), "error", err)
	}
}
