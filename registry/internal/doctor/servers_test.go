package doctor_test

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"strings"
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
const replicas = 4

// scratch returns a scratch space of a new bucket, through several clients, which
// take the servers in turn. The servers share what they keep.
func scratch(t *testing.T, opts s3.Options, servers ...*storetest.Store) doctor.Store {
	t.Helper()
	loc := s3.Location{Bucket: servers[0].Bucket(t), Prefix: "some/prefix"}
	s := doctor.Store{Now: time.Now, Rand: rand.Reader}
	var first *s3.Space
	for i := range replicas {
		servers[i%len(servers)].Setenv(t)
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

// TestMinIO examines quickly; the whole program does so thoroughly, in its tests.
func TestMinIO(t *testing.T) {
	for name, f := range examine(t, scratch(t, s3.Options{}, servers.MinIO(t)), doctor.Quick) {
		if f.State != doctor.OK {
			t.Errorf("%s is %s: %s", name, f.State, f.Saw)
		}
		t.Logf("%-22s %s", name, f.Saw)
	}
}

// TestVersity examines a second server, whose reads may give a value the version
// before.
func TestVersity(t *testing.T) {
	for name, f := range examine(t, scratch(t, s3.Options{}, servers.Versity(t)), doctor.Quick) {
		if f.State != doctor.OK && (name != "read-atomic" || f.State != doctor.Warning) {
			t.Errorf("%s is %s: %s", name, f.State, f.Saw)
		}
	}
}

// TestVersitySidecar sees through a store that answers every single request
// rightly, and gives old values new versions.
func TestVersitySidecar(t *testing.T) {
	server := storetest.VersitySidecar(t)
	found := examine(t, scratch(t, s3.Options{}, server), doctor.Quick)
	for name, f := range found {
		if (f.State == doctor.OK) != (name != "read-atomic") {
			t.Errorf("%s is %s: %s", name, f.State, f.Saw)
		}
	}
	failsAlways(t, "read-atomic", server)
}

// TestTorn sees through two servers that compare and write in two steps, and do not
// lock each other out. They are found out by overwrites at the latest, since a race
// to make something lasts for less time.
func TestTorn(t *testing.T) {
	one, other := storetest.Torn(t)
	for name, f := range examine(t, scratch(t, s3.Options{}, one, other), doctor.Quick) {
		if !strings.HasSuffix(name, "-atomic") && f.State != doctor.OK || name == "overwrite-atomic" && f.State != doctor.Failed {
			t.Errorf("%s is %s: %s", name, f.State, f.Saw)
		}
	}
	failsAlways(t, "overwrite-atomic", one, other)
}

// failsAlways puts a property of servers to the test again and again.
func failsAlways(t *testing.T, property string, servers ...*storetest.Store) {
	t.Helper()
	for range again {
		f, err := doctor.ExamineOne(t.Context(), scratch(t, s3.Options{}, servers...), property, doctor.Quick)
		if err != nil || f.State != doctor.Failed {
			t.Errorf("%s is %s, %v: %s", property, f.State, err, f.Saw)
		}
		t.Log(f.Saw)
	}
}

// TestVersityAlone serves the same store by one process, which then takes turns.
func TestVersityAlone(t *testing.T) {
	s := scratch(t, s3.Options{Alone: true}, storetest.VersitySidecar(t))
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
