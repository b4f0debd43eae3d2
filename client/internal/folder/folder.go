package folder

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"sync"

	"github.com/ingot-ml/ingot/registry/manifest"
)

// The failures that the user can do something about.
var (
	// ErrBusy reports a folder that another pull works in.
	ErrBusy = errors.New("another pull works in this folder")
	// ErrObstacle reports what stands where a file or folder of the version must
	// go, and names it.
	ErrObstacle = errors.New("in the way: move it")
)

// Where the folder keeps what is not the model's.
const (
	partial  = manifest.Reserved + "/partial"
	lockFile = manifest.Reserved + "/lock"
)

// Folder is an open folder. It is safe for concurrent use; two goroutines may
// write to one file at different places.
type Folder struct {
	Reader
	dir  string
	lock *os.File
	left bool // whether an earlier pull left something in the making

	mu   sync.Mutex // protects made
	made map[string]bool
}

// Open opens the folder dir for one pull, and creates it if it is not there. It
// returns ErrBusy while another has it open. The caller must Close it.
func Open(dir string) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, fmt.Errorf("open folder: %w", err)
	}
	f := &Folder{Reader: Reader{root}, dir: dir, made: map[string]bool{}}
	if err := f.acquire(); err != nil {
		return nil, errors.Join(fmt.Errorf("open folder %s: %w", dir, err), root.Close())
	}
	_, err = root.Lstat(partial)
	f.left = err == nil
	return f, nil
}

// Close gives the folder back. What is left in the making stays, unless done
// says that nothing of it is needed.
func (f *Folder) Close(done bool) error {
	var err error
	if done {
		err = f.root.RemoveAll(partial)
	}
	// Whoever waits for the lock finds that its file is gone, and makes another.
	_ = f.root.Remove(lockFile)
	_ = f.root.Remove(manifest.Reserved) // it stays when something is in it
	return errors.Join(err, f.lock.Close(), f.root.Close())
}

// Create makes sure that the file in the making for p is there and has size
// bytes. It keeps the bytes of a leftover.
func (f *Folder) Create(p string, size int64) error {
	if err := f.folders(path.Dir(partial+"/"+p), true); err != nil {
		return fmt.Errorf("create %s: %w", p, err)
	}
	name := partial + "/" + p
	file, err := f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if errors.Is(err, fs.ErrExist) {
		file, err = f.adopt(name)
	}
	if err != nil {
		return fmt.Errorf("create %s: %w", p, err)
	}
	return named("create", p, errors.Join(file.Truncate(size), file.Close()))
}

// adopt opens the leftover name, or a new file in its place.
func (f *Folder) adopt(name string) (*os.File, error) {
	if sound, err := f.sound(name); err != nil || !sound {
		// It may be a second name of a file that is not ours, or a link.
		if err := errors.Join(err, f.root.RemoveAll(name)); err != nil {
			return nil, err
		}
	}
	return f.root.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o666)
}

// Resume reports whether an interrupted pull has left bytes of p.
func (f *Folder) Resume(p string) bool {
	name := partial + "/" + p
	if !f.left || f.parents(name) != nil {
		return false
	}
	sound, err := f.sound(name)
	return err == nil && sound
}

// sound reports whether name is a file that nothing else is a name of.
func (f *Folder) sound(name string) (bool, error) {
	info, err := f.root.Lstat(name)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	return info.Mode().IsRegular() && links(info) == 1, nil
}

// Write writes b into the file in the making for p, which Create has made. Zeros
// become a hole where the file system can have one, so that a sparse file takes
// no more room than before. Write opens and closes the file, which costs little
// beside a chunk, and lets a version have more files than a process may.
func (f *Folder) Write(p string, b []byte, offset int64) error {
	file, err := f.root.OpenFile(partial+"/"+p, os.O_WRONLY, 0)
	if err != nil {
		return fmt.Errorf("write %s: %w", p, err)
	}
	if len(b) < leastHole || !allZero(b) || punch(file, offset, int64(len(b))) != nil {
		_, err = file.WriteAt(b, offset)
	}
	return named("write", p, errors.Join(err, file.Close()))
}

// ReadPartial fills b from the file in the making for p.
func (f *Folder) ReadPartial(p string, b []byte, offset int64) error {
	return f.Read(partial+"/"+p, b, offset)
}

// Replace puts the file in the making for p in its place. With sync its bytes
// are on the disk before; its name is after Sync.
func (f *Folder) Replace(p string, sync bool) error {
	if sync {
		if err := f.sync(partial + "/" + p); err != nil {
			return fmt.Errorf("replace %s: %w", p, err)
		}
	}
	if err := f.folders(path.Dir(p), false); err != nil {
		return fmt.Errorf("replace %s: %w", p, err)
	}
	return named("replace", p, f.root.Rename(partial+"/"+p, p))
}

// Sync returns when the names of the files below all folders that Replace used
// are on the disk.
func (f *Folder) Sync() error {
	f.mu.Lock()
	used := []string{"."}
	for dir := range f.made {
		if dir != manifest.Reserved && !strings.HasPrefix(dir, manifest.Reserved+"/") {
			used = append(used, dir)
		}
	}
	f.mu.Unlock()
	for _, dir := range used {
		if err := f.sync(dir); err != nil {
			return fmt.Errorf("sync folder %s: %w", path.Join(f.dir, dir), err)
		}
	}
	return nil
}

func (f *Folder) sync(name string) error {
	file, err := f.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(file.Sync(), file.Close())
}

// folders makes the folder dir and those above it. What is not a folder stands in
// the way, and is removed when it is ours.
func (f *Folder) folders(dir string, ours bool) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.made[dir] {
		return nil
	}
	for end := range ends(dir) {
		at := dir[:end]
		if f.made[at] {
			continue
		}
		if err := f.folder(at, ours && at != manifest.Reserved); err != nil {
			return err
		}
		f.made[at] = true
	}
	return nil
}

func (f *Folder) folder(at string, ours bool) error {
	info, err := f.root.Lstat(at)
	if err == nil && !info.IsDir() && ours {
		if err := f.root.Remove(at); err != nil {
			return err
		}
		return f.root.Mkdir(at, 0o777)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return f.root.Mkdir(at, 0o777)
	}
	if err == nil && !info.IsDir() {
		return notFolder(at)
	}
	return err
}

func notFolder(at string) error {
	return fmt.Errorf("%s is not a folder, and one is needed there: %w", at, ErrObstacle)
}

func named(verb, p string, err error) error {
	if err != nil {
		return fmt.Errorf("%s %s: %w", verb, p, err)
	}
	return nil
}
