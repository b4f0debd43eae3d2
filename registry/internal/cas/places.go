package cas

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/ingot-ml/ingot/registry/internal/access"
	"github.com/ingot-ml/ingot/registry/internal/ingest"
	"github.com/ingot-ml/ingot/registry/internal/record"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/versions"
	"github.com/ingot-ml/ingot/registry/internal/xet"
	"github.com/ingot-ml/ingot/registry/manifest"
	"github.com/ingot-ml/ingot/registry/name"
	"github.com/ingot-ml/ingot/registry/stream"
)

// chunks is a xorb that can be read.
type chunks interface {
	// Ends returns where the chunks end among their plain bytes.
	Ends() []uint32
	// Copy writes the chunks from first to before end, which are there.
	Copy(ctx context.Context, w io.Writer, first, end uint32) error
	Close() error
}

// placed is the register x/xorb/<namespace>/<xorb>: where in the namespace the chunks
// of a xorb lie. Were there one for all namespaces, the places of one would push out
// those of another, which would tell that they are there.
type placed struct {
	record.Stamp
	// Sizes are the plain bytes of the chunks, as uvarints.
	Sizes []byte `json:"sizes"`
	// Places are rows of chunks, the newest last.
	Places []place `json:"places"`
}

// place is a row of chunks of a xorb in a file of a repository.
type place struct {
	Repo   string `json:"repo"`
	SHA256 string `json:"sha256"`
	Offset int64  `json:"offset"` // of the first chunk in the file
	First  uint32 `json:"first"`
	End    uint32 `json:"end"`
}

const (
	placedPrefix = "x/xorb/"
	// maxPlaces bounds the places of a xorb, so that a register holds them whatever
	// repositories are called. The newest stay.
	maxPlaces = 60
)

// placedKey is the register of a xorb.
func placedKey(namespace string, hash xet.Hash) string {
	return placedPrefix + namespace + "/" + hash.String()
}

// note adds places of a xorb in a namespace, and reports whether all of its chunks lie somewhere.
func (s *Service) note(ctx context.Context, namespace string, hash xet.Hash, ends []uint32, places []place) (whole bool, err error) {
	for {
		var rec placed
		v, err := s.book.Load(ctx, placedKey(namespace, hash), &rec)
		if err != nil {
			return false, fmt.Errorf("note where xorb %.12s lies: %w", hash, err)
		}
		if !rec.add(ends, places) {
			return rec.whole(len(ends)), nil
		}
		_, err = s.book.Swap(ctx, placedKey(namespace, hash), v, &rec)
		if err == nil || !errors.Is(err, registers.ErrConflict) {
			return err == nil && rec.whole(len(ends)), err
		}
	}
}

// whole reports whether n chunks all have places.
func (p *placed) whole(n int) bool {
	has := make([]bool, n)
	for _, at := range p.Places {
		for i := at.First; i < at.End && int(i) < n; i++ {
			has[i] = true
		}
	}
	return !slices.Contains(has, false)
}

// add adds places, and reports whether one was new.
func (p *placed) add(ends []uint32, places []place) (changed bool) {
	p.Sizes = p.Sizes[:0]
	before := uint32(0)
	for _, e := range ends {
		p.Sizes = binary.AppendUvarint(p.Sizes, uint64(e-before))
		before = e
	}
	for _, add := range places {
		known := false
		for _, old := range p.Places {
			known = known || old.Repo == add.Repo && old.First <= add.First && add.End <= old.End
		}
		if !known {
			p.Places, changed = append(p.Places, add), true
		}
	}
	p.Places = p.Places[max(0, len(p.Places)-maxPlaces):]
	return changed
}

// ends returns where the chunks end.
func (p *placed) ends() []uint32 {
	var ends []uint32
	at := uint64(0)
	for rest := p.Sizes; len(rest) > 0; {
		size, n := binary.Uvarint(rest)
		if n <= 0 || size > xet.MaxChunk || len(ends) == xet.MaxChunks {
			return nil
		}
		at, rest = at+size, rest[n:]
		ends = append(ends, uint32(at))
	}
	return ends
}

// stored is a xorb whose chunks lie in files that somebody may read.
type stored struct {
	service *Service
	reader  access.Principal
	ends    []uint32
	places  []place
}

// find returns a xorb that was noted; nil if it was not, or nobody may know.
func (s *Service) find(ctx context.Context, p access.Principal, namespace string, hash xet.Hash) (*stored, error) {
	var rec placed
	v, err := s.book.Load(ctx, placedKey(namespace, hash), &rec)
	if err != nil {
		return nil, fmt.Errorf("look where xorb %.12s lies: %w", hash, err)
	}
	x := &stored{service: s, reader: p, ends: rec.ends()}
	for _, at := range rec.Places {
		repo, err := name.ParseRepo(at.Repo)
		if err == nil && s.Policy.Allow(p, repo, access.Read) == nil {
			x.places = append(x.places, at)
		}
	}
	if v == registers.Absent || len(x.places) == 0 || len(x.ends) == 0 {
		return nil, nil
	}
	return x, nil
}

// Ends implements chunks.
func (x *stored) Ends() []uint32 { return x.ends }

// Close implements chunks.
func (x *stored) Close() error { return nil }

// errLost reports chunks that lie nowhere any more.
var errLost = errors.New("chunks are lost")

// Copy implements chunks.
func (x *stored) Copy(ctx context.Context, w io.Writer, first, end uint32) error {
	for first < end {
		n, err := x.copySome(ctx, w, first, end)
		if err != nil {
			return err
		}
		first += n
	}
	return nil
}

// copySome copies as many chunks as one place has, from the newest place that can be
// read.
func (x *stored) copySome(ctx context.Context, w io.Writer, first, end uint32) (uint32, error) {
	for i := len(x.places) - 1; i >= 0; i-- {
		at := x.places[i]
		if first < at.First || first >= at.End || at.End > uint32(len(x.ends)) {
			continue
		}
		content, err := x.content(ctx, at)
		if err != nil {
			return 0, err
		}
		begin, _ := span(x.ends, at.First, at.End)
		from, to := span(x.ends, first, min(end, at.End))
		offset := at.Offset + from - begin
		if content == nil || offset+to-from > content.Size() {
			continue
		}
		return min(end, at.End) - first, errors.Join(content.Send(ctx, w, offset, to-from), content.Close())
	}
	return 0, errLost
}

// content returns the file of a place; nil if it is gone.
func (x *stored) content(ctx context.Context, at place) (stream.Content, error) {
	repo, err := name.ParseRepo(at.Repo)
	if err != nil {
		return nil, nil
	}
	o, ok, err := x.service.Files.Find(ctx, x.reader, repo, at.SHA256)
	if err != nil || !ok {
		return nil, err
	}
	return x.service.open(ctx, x.reader, o)
}

// ahead is for reading one chunk of the registry after another.
var ahead = stream.NewAhead(4*manifest.MaxChunk, 2)

// open returns the bytes of an object.
func (s *Service) open(ctx context.Context, p access.Principal, o ingest.Object) (stream.Content, error) {
	repo, err := name.ParseRepo(o.From.Repo)
	if err != nil {
		return nil, err
	}
	r, err := s.Versions.Read(ctx, p, repo, o.From.Version)
	if err != nil {
		return nil, err
	}
	f, err := fileOf(r, o)
	if err != nil {
		return nil, err
	}
	return stream.Chunked(r.Manifest, f, r, ahead), nil
}

// fileOf returns an object as a file of the version that it comes from.
func fileOf(r *versions.Reading, o ingest.Object) (*manifest.File, error) {
	index := make(map[string]uint32, len(r.Manifest.Chunks))
	for i, c := range r.Manifest.Chunks {
		index[string(c.Digest[:])] = uint32(i)
	}
	f := &manifest.File{Size: uint64(o.Size)}
	for _, ref := range o.Refs {
		i, ok := index[string(ref.Digest[:])]
		if !ok {
			return nil, fmt.Errorf("file %.12s: chunk %s is not in its version", o.SHA256, ref.Digest.Short())
		}
		f.Chunks = append(f.Chunks, i)
	}
	return f, nil
}
