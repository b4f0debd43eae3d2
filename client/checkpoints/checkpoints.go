package checkpoints

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"time"
)

// Checkpoint is a folder that is complete.
type Checkpoint struct {
	Path string
	Name string // of the folder; empty for the one that is looked at
	// Step and Loss are what the folder's name or the trainer's own notes say; empty
	// where they say nothing.
	Step, Loss string

	stamp string
	order int64
}

// Folder is looked at again and again. It is for one goroutine.
type Folder struct {
	path   string
	settle time.Duration
	seen   map[string]look   // by name
	done   map[string]string // stamp by name, of what was told of and done
	series bool              // it has had checkpoints below it
}

// look is how a folder was when it was looked at.
type look struct {
	stamp string
	since time.Time // it has been so
}

// Open returns the folder at path. A checkpoint there is complete when it has not
// changed for as long as settle.
func Open(path string, settle time.Duration) (*Folder, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("%s is no folder of checkpoints", path)
	}
	return &Folder{path: path, settle: settle, seen: map[string]look{}, done: map[string]string{}}, nil
}

// Look returns the checkpoints that are complete and not done, in the order of their
// steps. waiting is how many others may be on their way.
func (f *Folder) Look(now time.Time) (ready []Checkpoint, waiting int, err error) {
	names, err := f.names()
	if err != nil {
		return nil, 0, err
	}
	for _, n := range names {
		path := filepath.Join(f.path, n.name)
		files, err := list(path)
		if errors.Is(err, fs.ErrNotExist) {
			delete(f.seen, n.name)
			continue // removed at this moment
		}
		if err != nil {
			return nil, 0, err
		}
		stamp := stampOf(files)
		if f.done[n.name] == stamp {
			continue
		}
		settled := f.settled(n.name, stamp, now)
		if !settled || !complete(path, files) {
			waiting++
			continue
		}
		c := Checkpoint{Path: path, Name: n.name, Step: n.step, stamp: stamp, order: n.order}
		c.read()
		ready = append(ready, c)
	}
	slices.SortFunc(ready, func(a, b Checkpoint) int { return cmp.Or(cmp.Compare(a.order, b.order), cmp.Compare(a.Name, b.Name)) })
	return ready, waiting, nil
}

// settled tells whether a folder has been as it is for long enough.
func (f *Folder) settled(name, stamp string, now time.Time) bool {
	before, ok := f.seen[name]
	if !ok || before.stamp != stamp {
		before = look{stamp, now}
		f.seen[name] = before
	}
	return now.Sub(before.since) >= f.settle && ok
}

// Done notes that a checkpoint need not be told of again.
func (f *Folder) Done(c Checkpoint) { f.done[c.Name] = c.stamp }

// Changed tells whether a checkpoint is not any more what it was when it was told of.
func (c Checkpoint) Changed() bool {
	files, err := list(c.Path)
	return err != nil || stampOf(files) != c.stamp
}

// numbered is how tools call the folder of a step.
var numbered = regexp.MustCompile(`^(?:[A-Za-z][A-Za-z_]{0,40}[-_=]|global_step)([0-9]{1,18})$`)

// named is a folder that may be a checkpoint.
type named struct {
	name, step string
	order      int64
}

// names lists the folders with a number; where there never was one, the folder itself.
func (f *Folder) names() ([]named, error) {
	entries, err := os.ReadDir(f.path)
	if err != nil {
		return nil, err
	}
	var list []named
	for _, e := range entries {
		m := numbered.FindStringSubmatch(e.Name())
		if m == nil || !e.IsDir() {
			continue
		}
		n, err := strconv.ParseInt(m[1], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("folder %q: %w", e.Name(), err) // the form allows none
		}
		list = append(list, named{e.Name(), strconv.FormatInt(n, 10), n})
	}
	if len(list) > 0 {
		f.series = true
	}
	if f.series {
		return list, nil
	}
	return []named{{}}, nil
}
