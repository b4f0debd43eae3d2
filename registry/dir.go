package registry

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// ErrNotData reports a directory that no registry made, or one of a format that
// this program does not know.
var ErrNotData = errors.New("not an ingot data directory")

// format is the layout of the data directory.
const format = 1

const (
	layoutFile = "ingot.json"
	layoutTemp = "ingot.json.new"
)

// layout is what ingot.json holds.
type layout struct {
	Format int `json:"format"`
	// Cluster is the registry, in a store elsewhere, whose caches the folder holds;
	// empty for a data directory.
	Cluster string `json:"cluster,omitempty"`
}

// prepare makes a data directory of dir if it is empty or not there, and
// otherwise checks that it is one. To read only, it has to be one.
func prepare(dir string, readOnly bool) error {
	if dir == "" {
		return errors.New("no data directory is given")
	}
	l, err := readLayout(dir)
	if errors.Is(err, fs.ErrNotExist) && !readOnly {
		return begin(dir, layout{Format: format})
	}
	if err != nil {
		return fmt.Errorf("read data directory: %w", err)
	}
	if l.Cluster != "" {
		return fmt.Errorf("%s holds the caches of a registry that is kept in a store: %w", dir, ErrNotData)
	}
	return nil
}

// prepareCache makes a folder for the caches of a cluster, or checks that it is one.
func prepareCache(dir, cluster string) error {
	l, err := readLayout(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return begin(dir, layout{Format: format, Cluster: cluster})
	case err != nil:
		return fmt.Errorf("read folder of caches: %w", err)
	case l.Cluster == "":
		return fmt.Errorf("%s holds the data of a registry on this disk: choose another folder for the caches of one in a store", dir)
	case l.Cluster != cluster:
		return fmt.Errorf("%s holds the caches of registry %.80s, and the store that of %s: two registries must not share a store; if the store is the right one, remove the folder", dir, l.Cluster, cluster)
	}
	return nil
}

// readLayout reads what a folder says of itself.
func readLayout(dir string) (layout, error) {
	var l layout
	b, err := os.ReadFile(filepath.Join(dir, layoutFile))
	if err != nil {
		return l, err
	}
	if err := json.Unmarshal(b, &l); err != nil {
		return l, fmt.Errorf("%s: %s is damaged: %w: %w", dir, layoutFile, err, ErrNotData)
	}
	if l.Format != format {
		return l, fmt.Errorf("%s has format %d, this program knows %d: %w", dir, l.Format, format, ErrNotData)
	}
	return l, nil
}

// makeFolder makes dir and what is missing above it, each durable before it is
// used.
func makeFolder(dir string) error {
	err := os.Mkdir(dir, 0o700)
	if above := filepath.Dir(dir); errors.Is(err, fs.ErrNotExist) && above != dir {
		if err := makeFolder(above); err != nil {
			return err
		}
		err = os.Mkdir(dir, 0o700)
	}
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return syncFolder(filepath.Dir(dir))
}

// begin writes the layout file, last of all by a rename: a crash leaves a
// directory that is begun again, or one that is ready.
func begin(dir string, l layout) error {
	if err := makeFolder(dir); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return fmt.Errorf("read data directory: %w", err)
	}
	for _, e := range entries {
		// A disk of its own is made with one folder on it.
		if name := e.Name(); name != layoutTemp && name != "lost+found" {
			return fmt.Errorf("%s holds %.80q and no %s: %w; choose an empty one", dir, name, layoutFile, ErrNotData)
		}
	}
	b, err := json.Marshal(l)
	if err != nil {
		return err
	}
	temp := filepath.Join(dir, layoutTemp)
	if err := writeSynced(temp, append(b, '\n')); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	if err := os.Rename(temp, filepath.Join(dir, layoutFile)); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	if err := syncFolder(dir); err != nil {
		return fmt.Errorf("make data directory: %w", err)
	}
	return nil
}

func writeSynced(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(b)
	return errors.Join(err, f.Sync(), f.Close())
}

func syncFolder(path string) error {
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// reserveOf returns how many bytes of the disk below dir are held back.
func reserveOf(dir string, want int64) (int64, error) {
	if want != 0 {
		return max(0, want), nil
	}
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return 0, fmt.Errorf("ask for the size of the disk of %s: %w", dir, err)
	}
	disk := int64(st.Blocks) * int64(st.Bsize)
	return defaultReserve(disk), nil
}

// defaultReserve is 2 % of the disk, at least 1 GiB, and no more than a 16th: a
// small disk is for small things.
func defaultReserve(disk int64) int64 { return min(max(disk/50, 1<<30), disk/16) }

// ballastOf is what is set aside beyond the reserve: half as much, at most 64 MiB.
func ballastOf(reserve int64, readOnly bool) int64 {
	if readOnly {
		return 0
	}
	return min(reserve/2, 64<<20)
}
