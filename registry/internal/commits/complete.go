package commits

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/ingot-ml/ingot/registry/internal/ingest"
)

const (
	indexSuffix = ".index.json"
	maxIndex    = 32 << 20 // bytes of an index that is looked into
	maxNamed    = 8        // missing files that are named
	maxCounted  = 10_000   // and that are counted
)

// shard is the name of a file that is one of several.
var shard = regexp.MustCompile(`^(.*)-([0-9]{5})-of-([0-9]{5})((?:\.[^/]*)?)$`)

// lacking says which files are missing, or nothing. It looks at the files in order,
// since what it says is part of the version.
func (t *attempt) lacking(ctx context.Context, files tree) (string, error) {
	missing := lack{}
	paths := slices.Sorted(maps.Keys(files))
	for _, p := range paths {
		o := files[p]
		if !strings.HasSuffix(p, indexSuffix) || o.Size > maxIndex {
			continue
		}
		raw, err := t.read(ctx, p, o)
		if err != nil {
			return "", fmt.Errorf("read index %.120q: %w", p, err)
		}
		for _, want := range indexed(p, raw) {
			if _, ok := files[want]; !ok {
				missing.add(want)
			}
		}
	}
	missing.shards(paths)
	if len(paths) == 0 {
		return "all files", nil
	}
	return missing.String(), nil
}

// indexed returns the files that an index of weights at a path names, in order.
func indexed(p string, raw []byte) []string {
	var index struct {
		WeightMap map[string]string `json:"weight_map"`
	}
	if json.Unmarshal(raw, &index) != nil {
		return nil // it is no index of weights
	}
	named := map[string]bool{}
	for _, file := range index.WeightMap {
		named[path.Join(path.Dir(p), file)] = true
	}
	return slices.Sorted(maps.Keys(named))
}

// lack is the files that are missing, as far as they are counted.
type lack map[string]bool

func (l lack) add(p string) {
	if len(l) < maxCounted {
		l[p] = true
	}
}

// family is the name of a file in several parts, without their numbers.
type family struct{ before, count, after string }

// shards adds the shards that are missing beside others. They are counted from 1, or
// from 0 if that one is there.
func (l lack) shards(paths []string) {
	have := map[string]bool{}
	seen := map[family]bool{}
	var families []family // in the order of their first shards
	for _, p := range paths {
		if m := shard.FindStringSubmatch(p); m != nil {
			have[p] = true
			if f := (family{m[1], m[3], m[4]}); !seen[f] {
				seen[f] = true
				families = append(families, f)
			}
		}
	}
	for _, f := range families {
		l.family(f, have)
	}
}

func (l lack) family(f family, have map[string]bool) {
	nth := func(i int) string { return fmt.Sprintf("%s-%05d-of-%s%s", f.before, i, f.count, f.after) }
	n, err := strconv.Atoi(f.count)
	if err != nil {
		return
	}
	first := 1
	if have[nth(0)] {
		first = 0
	}
	for i := first; i < first+n && len(l) < maxCounted; i++ {
		if p := nth(i); !have[p] {
			l.add(p)
		}
	}
}

// String names the first of the files.
func (l lack) String() string {
	all := slices.Sorted(maps.Keys(l))
	more := ""
	if len(all) > maxNamed {
		more = fmt.Sprintf(" and %d more", len(all)-maxNamed)
		all = all[:maxNamed]
	}
	return strings.Join(all, ", ") + more
}

// read returns the bytes of a small file of the version in the making.
func (t *attempt) read(ctx context.Context, p string, o ingest.Object) ([]byte, error) {
	if o.From.Version.IsZero() {
		return t.sent(p, o)
	}
	var raw bytes.Buffer
	err := t.ingest.Copy(ctx, t.principal, &raw, o)
	return raw.Bytes(), err
}

// sent returns the bytes of a file that comes with the change: of several at one path
// the last counts.
func (t *attempt) sent(p string, o ingest.Object) ([]byte, error) {
	for i := len(t.change.Ops) - 1; i >= 0; i-- {
		op := &t.change.Ops[i]
		if op.Kind != AddInline || op.Path != p {
			continue
		}
		raw := make([]byte, o.Size)
		_, err := io.ReadFull(io.NewSectionReader(op.Content, 0, op.Size), raw)
		return raw, err
	}
	return nil, errors.New("it is of no version and does not come with the change")
}
