package registry

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
	fsblobs "github.com/ingot-ml/ingot/registry/internal/blobs/fs"
	"github.com/ingot-ml/ingot/registry/internal/bolt"
	"github.com/ingot-ml/ingot/registry/internal/doctor"
	"github.com/ingot-ml/ingot/registry/internal/migrate"
	"github.com/ingot-ml/ingot/registry/internal/registers"
	"github.com/ingot-ml/ingot/registry/internal/s3"
)

// Errors of places. Those of a store come with a sentence that says what to do.
var (
	// ErrUnfit reports a place that lacks what a registry needs.
	ErrUnfit = doctor.ErrUnfit
	// ErrLocation reports a text that names no place in a store.
	ErrLocation = s3.ErrLocation
	// ErrUnreachable reports a store that does not answer at its address.
	ErrUnreachable = s3.ErrUnreachable
	// ErrNoBucket reports a bucket that the store does not have.
	ErrNoBucket = s3.ErrNoBucket
	// ErrNoRegistry reports a place in a store where no registry is kept.
	ErrNoRegistry = s3.ErrNoCluster
	// ErrForeign reports a place in a store that holds something else.
	ErrForeign = s3.ErrForeign
	// ErrNoSpace reports a store or a disk without room.
	ErrNoSpace = blobs.ErrNoSpace
	// ErrOverlap reports a place in a store inside or around that of another registry.
	ErrOverlap = s3.ErrOverlap
)

// Target is what is examined: a place in a store, or a data directory.
type Target struct {
	Store   string   // s3://BUCKET[/PREFIX]
	Buckets []string // further buckets of the store
	Data    string   // used if Store is empty
}

// String returns the target as it was named.
func (t Target) String() string {
	if t.Store != "" {
		return t.Store
	}
	return t.Data
}

// The states of a Finding.
const (
	FindingOK      = string(doctor.OK)
	FindingWarning = string(doctor.Warning)
	FindingFailed  = string(doctor.Failed)
	FindingSkipped = string(doctor.Skipped)
)

// Finding is what an examination says of one property of a place.
type Finding struct {
	Property string `json:"property"`
	State    string `json:"state"` // ok, warning, failed or skipped
	Needs    string `json:"needs"` // what ingot needs
	Saw      string `json:"saw"`   // what was seen
	Do       string `json:"do,omitempty"`
}

// Examination is what was found out about a place.
type Examination struct {
	Target   string    `json:"target"`
	Findings []Finding `json:"findings"`
	Seconds  float64   `json:"seconds"`
}

// Unfit returns ErrUnfit with the names of the properties that failed, or nil.
func (e Examination) Unfit() error {
	var names []string
	for _, f := range e.Findings {
		if f.State == FindingFailed {
			names = append(names, f.Property)
		}
	}
	if len(names) == 0 {
		return nil
	}
	return fmt.Errorf("%s: %w: %s", e.Target, ErrUnfit, strings.Join(names, ", "))
}

// Examine finds out whether a place has what a registry needs. It works beside
// what is there, in a scratch space that it takes away again, and tells of each
// property when it is known; told may be nil. The error is a place that cannot be
// examined.
func Examine(ctx context.Context, t Target, told func(Finding)) (Examination, error) {
	return (&examination{told: told, depth: doctor.Thorough}).examine(ctx, t)
}

func (x *examination) examine(ctx context.Context, t Target) (Examination, error) {
	began := time.Now()
	x.found.Target = t.String()
	look := x.folder
	if t.Store != "" {
		look = x.store
	}
	err := look(ctx, t)
	if err != nil {
		err = fmt.Errorf("examine %s: %w", t, err)
	}
	x.found.Seconds = time.Since(began).Seconds()
	return x.found, err
}

// examination is one under way.
type examination struct {
	depth   doctor.Depth
	outside bool // look at what is around only, and leave out the tests of the store
	told    func(Finding)
	found   Examination
}

func (x *examination) add(f Finding) {
	x.found.Findings = append(x.found.Findings, f)
	if x.told != nil {
		x.told(f)
	}
}

func (x *examination) addOne(f doctor.Finding) {
	x.add(Finding{Property: f.Property, State: string(f.State), Needs: f.Needs, Saw: f.Saw, Do: f.Do})
}

// scratch examines a scratch space.
func (x *examination) scratch(ctx context.Context, s doctor.Store) error {
	s.Now, s.Rand = time.Now, rand.Reader
	_, err := doctor.Examine(ctx, s, x.depth, x.addOne)
	return err
}

// clients is through how many clients, with connections of their own, a store is
// examined.
const clients = 3

// store examines a place in a store: first what is there, then the store.
func (x *examination) store(ctx context.Context, t Target) (err error) {
	loc, err := s3.Parse(t.Store)
	if err != nil {
		return err
	}
	space, err := s3.Dial(ctx, loc, s3.Options{Buckets: t.Buckets})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, space.Close()) }()
	if err := x.tenant(ctx, space); err != nil {
		return err
	}
	x.rules(ctx, space)
	if x.outside {
		return nil
	}
	return x.openly(ctx, space, t)
}

// openly examines a scratch space through clients that know nothing of each other.
func (x *examination) openly(ctx context.Context, space *s3.Space, t Target) (err error) {
	scratch, clear, err := space.Scratch(ctx)
	if err != nil {
		return err
	}
	var others place
	defer func() { err = errors.Join(err, clear(context.WithoutCancel(ctx)), others.close()) }()
	s := doctor.Store{Sweeper: scratch.Blobs()}
	for range clients {
		other, err := s3.Dial(ctx, space.Location(), s3.Options{Buckets: t.Buckets})
		if err != nil {
			return err
		}
		others.closers = append(others.closers, other.Close)
		way := scratch.Through(other)
		s.Registers = append(s.Registers, way.Registers())
		s.Blobs = append(s.Blobs, way.Blobs())
	}
	return x.scratch(ctx, s)
}

// tenant finds out whose place it is.
func (x *examination) tenant(ctx context.Context, space *s3.Space) error {
	f := Finding{Property: "place", Needs: "one registry, or none, and nothing else"}
	cluster, err := space.Look(ctx)
	switch {
	case err == nil:
		f.State, f.Saw = FindingOK, fmt.Sprintf("it holds registry %s, made at %s", cluster.ID, cluster.Created.Format(time.RFC3339))
		if migrating := migrate.Check(ctx, space.Registers()); migrating != nil {
			f.State, f.Saw, f.Do = FindingWarning, migrating.Error(), "finish the migration; until then nobody is served here"
		}
	case errors.Is(err, s3.ErrNoCluster):
		if err := x.free(ctx, space, &f); err != nil {
			return err
		}
	case errors.Is(err, s3.ErrBuckets):
		f.State, f.Saw, f.Do = FindingWarning, err.Error(), "name the other buckets with --bucket, to have them examined as well"
	case errors.Is(err, s3.ErrOverlap):
		f.State, f.Saw, f.Do = FindingFailed, err.Error(), ownPrefix
	case errors.Is(err, s3.ErrFormat):
		f.State, f.Saw, f.Do = FindingFailed, err.Error(), "serve it with the program that made it, or choose another prefix"
	default:
		return err
	}
	x.add(f)
	return nil
}

const ownPrefix = "choose a prefix for each registry, not inside or around another's"

// free finds out whether a registry may begin at a place.
func (x *examination) free(ctx context.Context, space *s3.Space, f *Finding) error {
	foreign, err := space.Foreign(ctx, 1)
	if err != nil {
		return err
	}
	overlap := space.Around(ctx)
	switch {
	case errors.Is(overlap, s3.ErrOverlap):
		f.State, f.Saw, f.Do = FindingFailed, overlap.Error(), ownPrefix
	case overlap != nil:
		return overlap
	case len(foreign) > 0:
		f.State, f.Saw, f.Do = FindingFailed, "it holds objects of others, such as "+foreign[0], "choose an empty prefix"
	default:
		f.State, f.Saw = FindingOK, "it is empty: the first registry that is served here begins here"
	}
	return nil
}

// rules finds out what the store does to objects by itself. Who may not see its
// rules is told so.
func (x *examination) rules(ctx context.Context, space *s3.Space) {
	for _, q := range []struct {
		ask  func(context.Context) ([]string, error)
		bad  string
		find Finding
	}{
		{space.DangerousRules, FindingFailed, Finding{
			Property: "lifecycle", Needs: "no rule of the bucket deletes or moves our objects",
			Saw: "no rule does", Do: "take the rule away, or have it apply to other prefixes: what it deletes is lost",
		}},
		{space.Versioned, FindingWarning, Finding{
			Property: "old-versions", Needs: "room comes back when objects are deleted",
			Saw: "the buckets keep no old versions for ever",
			Do:  "add a rule that ends noncurrent versions after 7 to 30 days; until then each is a way back",
		}},
	} {
		f := q.find
		found, err := q.ask(ctx)
		switch {
		case err != nil:
			f.State, f.Saw, f.Do = FindingWarning, err.Error(), "look at the rules of the bucket yourself, or let these credentials read them"
		case len(found) > 0:
			f.State, f.Saw = q.bad, strings.Join(found, "; ")
		default:
			f.State, f.Do = FindingOK, ""
		}
		x.add(f)
	}
}

// folder examines a data directory, or where one would be made.
func (x *examination) folder(ctx context.Context, t Target) (err error) {
	if t.Data == "" {
		return errors.New("no data directory is given")
	}
	at, err := x.holder(ctx, t.Data)
	if err != nil {
		return err
	}
	if err := x.space(at); err != nil {
		return err
	}
	scratch, err := os.MkdirTemp(at, ".doctor-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(scratch)) }()
	for _, f := range doctor.Folder(scratch) {
		x.addOne(f)
	}
	engine, err := bolt.OpenRegisters(filepath.Join(scratch, "meta.db"))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, engine.Close()) }()
	store, err := fsblobs.Open(filepath.Join(scratch, "blobs"), fsblobs.Options{})
	if err != nil {
		return err
	}
	return x.scratch(ctx, doctor.Store{
		Registers: []registers.Engine{engine}, Blobs: []blobs.Store{store}, Sweeper: store,
	})
}

// holder finds out what the directory is, and returns the folder that is there: it,
// or the nearest above.
func (x *examination) holder(ctx context.Context, dir string) (string, error) {
	f := Finding{Property: "place", Needs: "a data directory, or an empty one", State: FindingOK}
	at, err := filepath.Abs(dir)
	if err != nil {
		return "", err
	}
	entries, err := os.ReadDir(at)
	for errors.Is(err, fs.ErrNotExist) && at != filepath.Dir(at) {
		at = filepath.Dir(at)
		_, err = os.Stat(at)
	}
	if err != nil {
		return "", err
	}
	layoutErr := prepare(dir, true)
	switch {
	case layoutErr == nil:
		x.tenantOf(ctx, dir, &f)
	case errors.Is(layoutErr, fs.ErrNotExist) && len(entries) == 0:
		f.Saw = "nothing is there yet: a registry that is served here makes it"
	case errors.Is(layoutErr, fs.ErrNotExist):
		f.State, f.Saw, f.Do = FindingFailed, fmt.Sprintf("it holds %.80q and no %s", entries[0].Name(), layoutFile), "choose an empty directory"
	default:
		f.State, f.Saw, f.Do = FindingFailed, layoutErr.Error(), "choose another directory, or serve this one with the program that made it"
	}
	x.add(f)
	return at, nil
}

// tenantOf says whether somebody uses a data directory.
func (x *examination) tenantOf(ctx context.Context, dir string, f *Finding) {
	r, err := bolt.OpenReadOnly(filepath.Join(dir, "meta.db"))
	switch {
	case err == nil:
		f.Saw = "it is a data directory, and no registry that writes runs on it"
		if migrating := migrate.Check(ctx, r); migrating != nil {
			f.State, f.Saw, f.Do = FindingWarning, migrating.Error(), "finish the migration; until then nobody is served here"
		}
		if err := r.Close(); err != nil {
			f.State, f.Saw, f.Do = FindingFailed, err.Error(), "look at the disk"
		}
	case errors.Is(err, bolt.ErrInUse):
		f.Saw = "it is a data directory, and a registry runs on it"
	case errors.Is(err, fs.ErrNotExist):
		f.Saw = "it is a data directory that was never served"
	default:
		f.State, f.Saw, f.Do = FindingFailed, err.Error(), "restore the directory from a backup; docs/operate.md says how"
	}
}

// space finds out whether there is room.
func (x *examination) space(dir string) error {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return fmt.Errorf("ask for the free space of %s: %w", dir, err)
	}
	reserve, err := reserveOf(dir, 0)
	if err != nil {
		return err
	}
	free := int64(st.Bavail) * int64(st.Bsize)
	f := Finding{
		Property: "free-space", Needs: "room beyond what is held in reserve for registers", State: FindingOK,
		Saw: fmt.Sprintf("%d MiB are free, %d MiB are held in reserve", free>>20, reserve>>20),
	}
	if free <= reserve {
		f.State, f.Do = FindingWarning, "make room: uploads are refused, the rest works"
	}
	x.add(f)
	return nil
}
