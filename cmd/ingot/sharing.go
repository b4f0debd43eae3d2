package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client"
	"github.com/ingot-ml/ingot/openapi"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
)

// maxCompared is how many other versions show looks at: each costs the fetch of a
// manifest, of some MiB for a large model.
const maxCompared = 20

// sharing says what a version has in common with the others of its repository.
type sharing struct {
	Parent    overlap          `json:"parent"`
	Others    overlap          `json:"others"`
	Versions  int              `json:"versions"`   // others that there are
	ByVersion []versionOverlap `json:"by_version"` // that were looked at, the newest first

	own openapi.VersionInfo // of the version itself
}

// overlap counts the distinct chunks that a version shares with some others.
type overlap struct {
	Compared int    `json:"compared"` // versions that were looked at
	Chunks   int    `json:"chunks_shared"`
	Bytes    uint64 `json:"bytes_shared"` // plain
}

func (o overlap) String() string { return fmt.Sprintf("%d (%s)", o.Chunks, size(o.Bytes)) }

// versionOverlap is what a version shares with one other.
type versionOverlap struct {
	Digest  string    `json:"digest"`
	Tags    []string  `json:"tags"`
	Created time.Time `json:"created"`
	Chunks  int       `json:"chunks_shared"`
	Bytes   uint64    `json:"bytes_shared"`
}

// comparing looks for the chunks of one version in others.
type comparing struct {
	r     *client.Registry
	repo  name.Repo
	m     *manifest.Manifest
	index map[chunker.Digest]int // of the chunks of m
	found []bool                 // those that any other has
}

// compareOthers looks for the chunks of m, the version digest of repo, in its
// parent and in the newest of the other versions.
func compareOthers(ctx context.Context, r *client.Registry, repo name.Repo, digest chunker.Digest, m *manifest.Manifest) (sharing, error) {
	s := sharing{ByVersion: []versionOverlap{}}
	versions, err := newestFirst(ctx, r, repo)
	if err != nil {
		return s, err
	}
	c := comparing{r: r, repo: repo, m: m, index: make(map[chunker.Digest]int, len(m.Chunks)), found: make([]bool, len(m.Chunks))}
	for i, chunk := range m.Chunks {
		c.index[chunk.Digest] = i
	}
	for _, v := range versions {
		if v.Digest == digest {
			s.own = v
			continue
		}
		s.Versions++
		if s.Others.Compared == maxCompared {
			continue
		}
		one, err := c.with(ctx, v.Digest)
		if err != nil {
			return s, err
		}
		if one.Compared > 0 {
			s.Others.Compared++
			s.ByVersion = append(s.ByVersion, versionOverlap{v.Digest.String(), v.Tags, v.Created, one.Chunks, one.Bytes})
		}
	}
	s.Others.count(m, c.found)
	if !m.Parent.IsZero() {
		s.Parent, err = c.with(ctx, m.Parent)
	}
	return s, err
}

// with counts the chunks that one other version has as well. A version that is
// gone, or is kept in another repository, shares nothing that can be told.
func (c *comparing) with(ctx context.Context, digest chunker.Digest) (o overlap, err error) {
	other, _, err := c.r.Manifest(ctx, name.Ref{Repo: c.repo, Digest: digest})
	if errors.Is(err, &openapi.Error{Code: openapi.CodeNotFound}) {
		return o, nil
	}
	if err != nil {
		return o, err
	}
	o.Compared = 1
	has := make([]bool, len(c.m.Chunks))
	for _, chunk := range other.Chunks {
		if i, ok := c.index[chunk.Digest]; ok {
			has[i], c.found[i] = true, true
		}
	}
	o.count(c.m, has)
	return o, nil
}

// count counts the chunks of m that were found.
func (o *overlap) count(m *manifest.Manifest, found []bool) {
	for i, chunk := range m.Chunks {
		if found[i] {
			o.Chunks++
			o.Bytes += uint64(chunk.Size)
		}
	}
}

// printSharing lists the versions that a version was compared with.
func (p *program) printSharing(s sharing, v manifest.View, all bool) {
	t := table{titles: []string{"SHARED WITH", "TAGS", "CREATED", ">CHUNKS", ">SIZE", ">OF THIS"}}
	for _, other := range s.ByVersion {
		label := short(other.Digest)
		if other.Digest == v.Parent {
			label += " (parent)"
		}
		t.add(label, strings.Join(other.Tags, " "), ago(other.Created), digits(other.Chunks), size(other.Bytes), percent(int64(other.Bytes), int64(v.ChunkBytes)))
	}
	p.printLong(t, all, "")
}
