package s3

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/ingot-ml/ingot/registry/internal/blobs"
)

// Errors of Join and Look.
var (
	// ErrNoCluster reports a place where no registry is kept.
	ErrNoCluster = errors.New("no ingot registry is kept here")
	// ErrForeign reports objects of others where a registry should begin.
	ErrForeign = errors.New("holds objects that are not ingot's")
	// ErrOverlap reports a prefix inside or around that of another registry.
	ErrOverlap = errors.New("overlaps another registry")
	// ErrFormat reports a registry of a format that this program does not know.
	ErrFormat = errors.New("unknown format")
	// ErrBuckets reports a list of buckets that lacks some of the registry's.
	ErrBuckets = errors.New("not all buckets of the registry are named")
)

// formatOfSpace is the layout of everything below the prefix.
const formatOfSpace = 1

// Cluster is what the marker of a space says: which registry is kept there.
type Cluster struct {
	Format  int       `json:"format"`
	ID      string    `json:"id"`
	Buckets []string  `json:"buckets"` // of blobs; the first has the registers
	Created time.Time `json:"created"`
}

// maxMarker bounds a marker in bytes.
const maxMarker = 64 << 10

// Look reads the marker, and makes nothing: ErrNoCluster if there is none.
func (s *Space) Look(ctx context.Context) (Cluster, error) {
	c, _, err := s.marker(ctx, s.home())
	if err != nil {
		return Cluster{}, fmt.Errorf("%s: %w", s.loc, s.home().explain(err))
	}
	return c, s.check(ctx, c)
}

// Join reads the marker, and makes one where there is nothing else. From then on the
// space follows the marker's list of buckets.
func (s *Space) Join(ctx context.Context) (Cluster, error) {
	c, etag, err := s.marker(ctx, s.home())
	if errors.Is(err, ErrNoCluster) {
		c, etag, err = s.begin(ctx)
	}
	if err != nil {
		return Cluster{}, fmt.Errorf("%s: %w", s.loc, s.home().explain(err))
	}
	if err := s.check(ctx, c); err != nil {
		return Cluster{}, err
	}
	if c, err = s.grow(ctx, c, etag); err != nil {
		return Cluster{}, fmt.Errorf("%s: %w", s.loc, s.home().explain(err))
	}
	s.names.Store(&c.Buckets)
	s.joined.Store(true)
	return c, nil
}

// marker reads the marker of a bucket.
func (s *Space) marker(ctx context.Context, b bucket) (Cluster, string, error) {
	return readMarker(ctx, b, s.root)
}

func readMarker(ctx context.Context, b bucket, root string) (Cluster, string, error) {
	doc, etag, err := b.small(ctx, root+markerName, maxMarker)
	if errors.Is(err, errAbsent) {
		return Cluster{}, "", ErrNoCluster
	}
	if err != nil {
		return Cluster{}, "", err
	}
	var c Cluster
	if err := json.Unmarshal(doc, &c); err != nil {
		return Cluster{}, "", fmt.Errorf("%s%s holds %.60q: %w", root, markerName, doc, ErrFormat)
	}
	if c.Format != formatOfSpace {
		return Cluster{}, "", fmt.Errorf("%s%s has format %d, this program knows %d: %w", root, markerName, c.Format, formatOfSpace, ErrFormat)
	}
	if c.ID == "" || !slices.Contains(c.Buckets, b.name) {
		return Cluster{}, "", fmt.Errorf("%s%s is not that of bucket %s: it names the buckets %.200q: %w", root, markerName, b.name, c.Buckets, ErrFormat)
	}
	return c, etag, nil
}

// begin makes the marker where nothing else is, and looks again: who begins inside or
// around this prefix at the same moment sees our marker, or we see theirs.
func (s *Space) begin(ctx context.Context) (Cluster, string, error) {
	if err := s.around(ctx, s.home()); err != nil {
		return Cluster{}, "", err
	}
	if err := s.empty(ctx, s.home(), nothing); err != nil {
		if c, etag, markerErr := s.marker(ctx, s.home()); markerErr == nil {
			return c, etag, nil // another replica began since
		}
		return Cluster{}, "", err
	}
	var id [nonceLen]byte
	if _, err := io.ReadFull(s.rand, id[:]); err != nil {
		return Cluster{}, "", fmt.Errorf("draw an id: %w", err)
	}
	c := Cluster{formatOfSpace, hex.EncodeToString(id[:]), []string{s.loc.Bucket}, time.Now().UTC().Truncate(time.Second)}
	if err := s.home().make(ctx, s.root+markerName, [][]byte{c.encode()}); err != nil && !errors.Is(err, blobs.ErrExists) {
		return Cluster{}, "", fmt.Errorf("make the marker: %w", err)
	}
	if err := s.empty(ctx, s.home(), ours); err != nil {
		return Cluster{}, "", err
	}
	return s.marker(ctx, s.home()) // perhaps of another replica that began at this moment
}

func (c Cluster) encode() []byte {
	doc, err := json.Marshal(c)
	if err != nil {
		panic(err) // strings and numbers
	}
	return append(doc, '\n')
}

// nothing is what a prefix may hold before a registry begins there: what a probe left.
func nothing(name string) bool { return strings.HasPrefix(name, scratchRoot) }

// unclaimed is that, and the marker of a replica that claims the bucket meanwhile.
func unclaimed(name string) bool { return name == markerName || nothing(name) }

// empty fails if something is below the prefix that is not fine.
func (s *Space) empty(ctx context.Context, b bucket, fine func(name string) bool) error {
	for object, err := range b.list(ctx, s.root, "", pageSize) {
		if err != nil {
			return err
		}
		if name := strings.TrimPrefix(object.Key, s.root); !fine(name) {
			return fmt.Errorf("bucket %s %w, such as %.200q: choose an empty prefix", b.name, ErrForeign, object.Key)
		}
	}
	return nil
}

// check holds what the marker says, and what stands around it, to how we were opened.
func (s *Space) check(ctx context.Context, c Cluster) error {
	if c.Buckets[0] != s.loc.Bucket {
		return fmt.Errorf("%s: the registers are in bucket %s: open that one: %w", s.loc, c.Buckets[0], ErrBuckets)
	}
	for _, name := range c.Buckets {
		if !slices.Contains(*s.names.Load(), name) {
			return fmt.Errorf("%s: bucket %s has blobs of it: name it as well: %w", s.loc, name, ErrBuckets)
		}
	}
	for _, b := range s.buckets() {
		if err := s.around(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", s.loc, b.explain(err))
		}
	}
	return nil
}

// around looks for markers of other registries above the prefix and right below it.
func (s *Space) around(ctx context.Context, b bucket) error {
	for above := s.loc.Prefix; above != ""; {
		above = above[:max(0, strings.LastIndexByte(above, '/'))]
		root := Location{b.name, above}.root()
		_, err := b.head(ctx, root+markerName)
		if resp, _ := response(err); resp.StatusCode == http.StatusForbidden {
			s.logger.Warn("not allowed to look for registries around this one", "above", Location{b.name, above}.String())
			break
		}
		if !errors.Is(err, errAbsent) {
			return overlap(err, b.name, root)
		}
	}
	names, err := b.below(ctx, s.root)
	if err != nil {
		return err
	}
	for _, name := range names {
		if !strings.HasSuffix(name, "/") || slices.Contains(roots, name) || blobs.CheckName(name+"a") != nil {
			continue
		}
		if _, err := b.head(ctx, s.root+name+markerName); !errors.Is(err, errAbsent) {
			return overlap(err, b.name, s.root+name)
		}
	}
	return nil
}

// overlap is the error for a marker that was found, or could not be looked for.
func overlap(err error, bucket, root string) error {
	if err != nil {
		return err
	}
	return fmt.Errorf("%w: there is one at %s", ErrOverlap, Location{bucket, strings.TrimSuffix(root, "/")})
}

// grow puts the marker into every bucket, and the buckets into the marker. A bucket is
// claimed first, so that a crash in between leaves one that is claimed for nothing.
func (s *Space) grow(ctx context.Context, c Cluster, etag string) (Cluster, error) {
	for {
		next := c
		next.Buckets = slices.Clone(c.Buckets)
		for _, name := range *s.names.Load() {
			if err := s.claim(ctx, name, c); err != nil {
				return Cluster{}, err
			}
			if !slices.Contains(next.Buckets, name) {
				next.Buckets = append(next.Buckets, name)
			}
		}
		if len(next.Buckets) == len(c.Buckets) {
			return c, nil
		}
		doc := next.encode()
		_, putErr := s.home().put(ctx, s.root+markerName, condition{etag}, sha256Hex(doc), doc)
		// Whatever became of it: what is there now is what counts.
		var err error
		if c, etag, err = s.marker(ctx, s.home()); err != nil {
			return Cluster{}, errors.Join(putErr, err)
		}
		if putErr != nil && (refused(putErr) && !isConflict(putErr) || !wait(ctx, s.pauses())) {
			return Cluster{}, putErr
		}
	}
}

// isConflict reports whether a conditional write found something else.
func isConflict(err error) bool {
	resp, _ := response(err)
	return resp.StatusCode == http.StatusPreconditionFailed || absent(err)
}

// claim puts the marker into another bucket, unless it is there. A bucket that is new
// to the registry has to be empty.
func (s *Space) claim(ctx context.Context, name string, c Cluster) error {
	if name == s.loc.Bucket {
		return nil
	}
	b := bucket{s.store, name}
	there, _, err := s.marker(ctx, b)
	if err == nil && there.ID != c.ID {
		return fmt.Errorf("%w: there is one at %s", ErrOverlap, Location{name, s.loc.Prefix})
	}
	if !errors.Is(err, ErrNoCluster) {
		return err
	}
	if !slices.Contains(c.Buckets, name) {
		if err := s.empty(ctx, b, unclaimed); err != nil {
			return err
		}
	}
	c.Buckets = append(slices.Clone(c.Buckets), name)
	err = b.make(ctx, s.root+markerName, [][]byte{c.encode()})
	if errors.Is(err, blobs.ErrExists) {
		return s.claim(ctx, name, c) // another replica was first
	}
	if err != nil {
		return fmt.Errorf("claim bucket %s: %w", name, err)
	}
	return nil
}

// refresh follows the marker's list of buckets, if we have joined.
func (s *Space) refresh(ctx context.Context) error {
	if !s.joined.Load() {
		return nil
	}
	c, _, err := s.marker(ctx, s.home())
	if err != nil {
		return fmt.Errorf("read the marker again: %w", s.home().explain(err))
	}
	if known := s.names.Load(); len(c.Buckets) > len(*known) {
		s.names.CompareAndSwap(known, &c.Buckets)
	}
	return nil
}
