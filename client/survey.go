package client

import (
	"context"
	"errors"
	"runtime"
	"sync/atomic"

	"golang.org/x/sync/errgroup"

	"github.com/ingot-ml/ingot/chunker"
	"github.com/ingot-ml/ingot/client/internal/folder"
	"github.com/ingot-ml/ingot/registry/manifest"
)

// survey knows which files of a version are in a folder.
type survey struct {
	m       *manifest.Manifest
	targets []*target // one for each file of m
	read    func(s spot, plain []byte) error
}

// target is a file of the version and what is known of it.
type target struct {
	size     int64        // of what is at its path now; -1 for no file
	obstacle error        // what stands at its path or above it and is in the way
	kept     atomic.Bool  // what is at its path is right already
	left     atomic.Int64 // places that wait for their chunk
	create   func() error // makes the file that is written, once
}

// newSurvey finds what is at the paths of the version, and reads nothing yet.
func newSurvey(m *manifest.Manifest, f *folder.Reader) (survey, error) {
	v := survey{m: m, targets: make([]*target, len(m.Files))}
	v.read = func(s spot, plain []byte) error { return f.Read(s.path, plain, s.offset) }
	for i := range m.Files {
		size, err := f.Find(m.Files[i].Path)
		t := &target{size: size}
		if errors.Is(err, folder.ErrObstacle) {
			t.obstacle, err = err, nil
		}
		if err != nil {
			return v, err
		}
		v.targets[i] = t
	}
	return v, nil
}

// spot is a run of bytes in the folder that may be a chunk.
type spot struct {
	path   string
	offset int64
	size   int
	target int    // the file of the version at path, or the one in the making
	want   uint32 // the chunk of target that belongs there; unknown for any
	making bool   // the run is in the file in the making
}

// unknown is the index of no chunk: a manifest cannot have so many.
const unknown = ^uint32(0)

// spots looks at what list emits, with all processors. check gets the bytes and
// their name, and may not keep the bytes. Runs that cannot be read are passed
// over: whatever they are, they are no source.
func (v *survey) spots(ctx context.Context, list func(emit func(spot) error) error, check func(s spot, d chunker.Digest, plain []byte) error) error {
	g, ctx := errgroup.WithContext(ctx)
	runs := make(chan spot)
	stage(g, 1, func() error {
		return list(func(s spot) error { return send(ctx, runs, s) })
	}, func() { close(runs) })
	stage(g, runtime.GOMAXPROCS(0), func() error {
		buf := make([]byte, chunker.MaxSize)
		for s := range runs {
			plain := buf[:s.size]
			var d chunker.Digest
			if v.read(s, plain) == nil {
				d = chunker.Sum(plain)
			}
			if err := check(s, d, plain); err != nil {
				return err
			}
		}
		return nil
	}, func() {})
	return g.Wait()
}

// extents emits those chunks of file i of the version that wanted wants, where
// they would lie at its path or in the file in the making.
func (v *survey) extents(i int, making bool, wanted func(c uint32) bool, emit func(spot) error) error {
	f := &v.m.Files[i]
	for offset, c := range v.m.Extents(f) {
		if !wanted(c) {
			continue
		}
		s := spot{path: f.Path, offset: int64(offset), size: int(v.m.Chunks[c].Size), target: i, want: c, making: making}
		if err := emit(s); err != nil {
			return err
		}
	}
	return nil
}

// expected reports whether d is the name of what belongs at s.
func (v *survey) expected(s spot, d chunker.Digest) bool {
	return s.want != unknown && v.m.Chunks[s.want].Digest == d
}

// keep finds the files that are right already: those of the right size whose
// every chunk is. It stops reading a file at the first that is not. seen hears
// how many bytes were read.
func (v *survey) keep(ctx context.Context, seen func(size int)) error {
	return v.spots(ctx, func(emit func(spot) error) error {
		for i, t := range v.targets {
			t.kept.Store(t.size == int64(v.m.Files[i].Size))
			err := v.extents(i, false, func(uint32) bool { return t.kept.Load() }, emit)
			if err != nil {
				return err
			}
		}
		return nil
	}, func(s spot, d chunker.Digest, plain []byte) error {
		seen(len(plain))
		if !v.expected(s, d) {
			v.targets[s.target].kept.Store(false)
		}
		return nil
	})
}
