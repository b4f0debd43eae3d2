package doctor_test

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/integration/storetest"
	"github.com/ingot-ml/ingot/registry/internal/blobs"
	"github.com/ingot-ml/ingot/registry/internal/blobs/fs"
	"github.com/ingot-ml/ingot/registry/internal/bolt"
	"github.com/ingot-ml/ingot/registry/internal/doctor"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/s3"
)

var servers storetest.Group

func TestMain(m *testing.M) { os.Exit(servers.Run(m)) }

// replicas is how many clients with connections of their own a store is examined
// through.
const replicas = 3

// scratch returns a scratch space of a new bucket, through several clients. It
// checks at the end that nothing was left behind.
func scratch(t *testing.T, server *storetest.Store, opts s3.Options) doctor.Store {
	t.Helper()
	server.Setenv(t)
	loc := s3.Location{Bucket: server.Bucket(t), Prefix: "some/prefix"}
	s := doctor.Store{Now: time.Now, Rand: rand.Reader}
	var first *s3.Space
	for range replicas {
		space, err := s3.Dial(t.Context(), loc, opts)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = space.Close() }) // idle connections
		if first == nil {
			first = makeScratch(t, space)
		}
		own := first.Through(space)
		s.Registers = append(s.Registers, own.Registers())
		s.Blobs = append(s.Blobs, own.Blobs())
	}
	s.Sweeper = first.Blobs()
	return s
}

// makeScratch returns a scratch space that is removed at the end of the test, and
// then is empty.
func makeScratch(t *testing.T, space *s3.Space) *s3.Space {
	t.Helper()
	made, remove, err := space.Scratch(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.WithoutCancel(t.Context())
		if err := remove(ctx); err != nil {
			t.Error(err)
		}
		if left, err := made.Registers().List(ctx, "", "", 1); err != nil || len(left) > 0 {
			t.Errorf("left behind: %v, %v", left, err)
		}
	})
	return made
}

func TestMinIO(t *testing.T) {
	for depth, name := range map[doctor.Depth]string{doctor.Quick: "quick", doctor.Thorough: "thorough"} {
		t.Run(name, func(t *testing.T) {
			began := time.Now()
			for name, f := range examine(t, scratch(t, servers.MinIO(t), s3.Options{}), depth) {
				if f.State != doctor.OK {
					t.Errorf("%s is %s: %s", name, f.State, f.Saw)
				}
				t.Logf("%-22s %s", name, f.Saw)
			}
			t.Logf("it took %s", time.Since(began).Round(time.Millisecond))
		})
	}
}

// TestVersity examines a second server, whose reads may give a value the version
// before.
func TestVersity(t *testing.T) {
	for name, f := range examine(t, scratch(t, servers.Versity(t), s3.Options{}), doctor.Quick) {
		if f.State != doctor.OK && (name != "read-atomic" || f.State != doctor.Warning) {
			t.Errorf("%s is %s: %s", name, f.State, f.Saw)
		}
	}
}

// TestVersitySidecar sees through a store that answers every single request
// rightly, and loses writes that meet.
func TestVersitySidecar(t *testing.T) {
	server := storetest.VersitySidecar(t)
	for range 3 {
		found, err := doctor.Examine(t.Context(), scratch(t, server, s3.Options{}), doctor.Quick, nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range found {
			if f.State != doctor.OK {
				t.Logf("%s %s: %s", f.Property, f.State, f.Saw)
			}
		}
		if missing := doctor.Missing(found); !slices.Equal(missing, []string{"read-atomic"}) {
			t.Errorf("found missing: %q, want read-atomic", missing)
		}
	}
}

// TestVersityAlone serves the same store by one process, which then takes turns.
func TestVersityAlone(t *testing.T) {
	s := scratch(t, storetest.VersitySidecar(t), s3.Options{Alone: true})
	s.Registers, s.Blobs = s.Registers[:1], s.Blobs[:1]
	for name, f := range examine(t, s, doctor.Quick) {
		if f.State != doctor.OK {
			t.Errorf("%s is %s: %s", name, f.State, f.Saw)
		}
	}
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	engine, err := bolt.OpenRegisters(filepath.Join(dir, "meta.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := engine.Close(); err != nil {
			t.Error(err)
		}
	})
	store, err := fs.Open(filepath.Join(dir, "blobs"), fs.Options{})
	if err != nil {
		t.Fatal(err)
	}
	s := doctor.Store{
		Registers: []registers.Engine{engine}, Blobs: []blobs.Store{store}, Sweeper: store,
		Now: time.Now, Rand: rand.Reader,
	}
	for name, f := range examine(t, s, doctor.Quick) {
		if f.State != doctor.OK {
			t.Errorf("%s is %s: %s", name, f.State, f.Saw)
		}
	}
}
