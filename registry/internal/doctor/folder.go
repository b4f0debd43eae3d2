package doctor

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// folderProperties are those of a folder of a local disk, beside those of what is
// kept in it.
var folderProperties = []struct {
	name, needs, do string
	test            func(dir string) (verdict, error)
}{
	{
		"file-system", "a disk of this machine", "put the data on a local disk, with ext4 or XFS", testFileSystem,
	},
	{
		"locks", "a lock keeps a second process out", "put the data on a local disk: two processes on one folder destroy it", testLocks,
	},
	{
		"sync", "files and folders can be synced", "put the data on a disk with a file system that syncs folders, such as ext4 or XFS", testSync,
	},
	{
		"rename", "a file gets its name without replacing another", "put the data on another file system, such as ext4 or XFS", testRename,
	},
	{
		"mapping", "what is written to a file is seen where it is mapped into memory", "put the data on a local disk, with ext4 or XFS", testMapping,
	},
}

// Folder puts a folder to the test, which is a scratch that the caller removes.
func Folder(dir string) []Finding {
	var findings []Finding
	for _, p := range folderProperties {
		v, err := p.test(dir)
		if err != nil {
			v = verdict{Failed, "could not be seen: " + err.Error()}
		}
		f := Finding{Property: p.name, Needs: p.needs, State: v.state, Saw: v.saw}
		if f.State != OK {
			f.Do = p.do
		}
		findings = append(findings, f)
	}
	return findings
}

// fileSystem is what is known of a file system.
type fileSystem struct {
	name  string
	state State
	why   string
}

// fileSystems are those whose magic number says something.
var fileSystems = map[int64]fileSystem{
	unix.EXT4_SUPER_MAGIC:      {"ext4", OK, ""},
	unix.XFS_SUPER_MAGIC:       {"XFS", OK, ""},
	unix.BTRFS_SUPER_MAGIC:     {"btrfs", OK, ""},
	unix.F2FS_SUPER_MAGIC:      {"F2FS", OK, ""},
	0x2fc12fc1:                 {"ZFS", OK, ""},
	unix.NFS_SUPER_MAGIC:       {"NFS", Failed, "locks and mapped files do not hold across machines"},
	unix.SMB_SUPER_MAGIC:       {"SMB", Failed, "locks and mapped files do not hold across machines"},
	unix.CIFS_SUPER_MAGIC:      {"SMB", Failed, "locks and mapped files do not hold across machines"},
	unix.SMB2_SUPER_MAGIC:      {"SMB", Failed, "locks and mapped files do not hold across machines"},
	unix.CEPH_SUPER_MAGIC:      {"CephFS", Warning, "nothing is known of how it keeps mapped files"},
	unix.V9FS_MAGIC:            {"9p", Warning, "what a sync does is up to the other side"},
	unix.FUSE_SUPER_MAGIC:      {"FUSE", Warning, "what a sync does is up to a program"},
	unix.OVERLAYFS_SUPER_MAGIC: {"overlay", Warning, "it is probably a container's own, and goes with it: mount a volume"},
	unix.TMPFS_MAGIC:           {"tmpfs", Warning, "it is memory, and empty after a restart"},
	unix.RAMFS_MAGIC:           {"ramfs", Warning, "it is memory, and empty after a restart"},
}

func testFileSystem(dir string) (verdict, error) {
	var st unix.Statfs_t
	if err := unix.Statfs(dir, &st); err != nil {
		return verdict{}, err
	}
	return judgeFileSystem(int64(st.Type)), nil //nolint:unconvert // its type differs by architecture
}

func judgeFileSystem(magic int64) verdict {
	known, ok := fileSystems[magic&0xffffffff] // some come with a sign
	switch {
	case !ok:
		return verdict{Warning, fmt.Sprintf("nothing is known of a file system of the number %#x", magic&0xffffffff)}
	case known.state == OK:
		return verdict{OK, "it is " + known.name}
	}
	return verdict{known.state, "it is " + known.name + ": " + known.why}
}

// testLocks locks a file that is open twice, as two processes have it.
func testLocks(dir string) (_ verdict, err error) {
	path := filepath.Join(dir, "lock")
	var files [2]*os.File
	for i := range files {
		if files[i], err = os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600); err != nil {
			return verdict{}, err
		}
		defer func() { err = errors.Join(err, files[i].Close()) }()
	}
	lock := func(f *os.File, how int) error { return unix.Flock(int(f.Fd()), how|unix.LOCK_NB) }
	if err := lock(files[0], unix.LOCK_EX); err != nil {
		return lacks("a file cannot be locked: %v", err)
	}
	if err := lock(files[1], unix.LOCK_EX); !errors.Is(err, unix.EWOULDBLOCK) {
		return lacks("a file that is locked was locked again: %v", err)
	}
	if err := errors.Join(lock(files[0], unix.LOCK_UN), lock(files[1], unix.LOCK_SH), lock(files[0], unix.LOCK_SH)); err != nil {
		return lacks("a file that was unlocked cannot be locked by two who read: %v", err)
	}
	return seen("a second lock was refused until the first was gone")
}

// syncs is how many files are synced to say how long one takes.
const syncs = 16

func testSync(dir string) (verdict, error) {
	began := time.Now()
	for i := range syncs {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("sync%d", i)))
		if err != nil {
			return verdict{}, err
		}
		_, err = f.WriteString("x")
		if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
			return lacks("a file cannot be synced: %v", err)
		}
		if err := syncDir(dir); err != nil {
			return lacks("a folder cannot be synced: %v", err)
		}
	}
	return seen("%d files and their folder were synced, in %s each; whether the disk keeps its word only a power cut shows",
		syncs, (time.Since(began) / syncs).Round(10*time.Microsecond))
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// testRename gives a file a name that is taken, in the two ways that there are.
func testRename(dir string) (verdict, error) {
	from, to := filepath.Join(dir, "from"), filepath.Join(dir, "to")
	if err := errors.Join(os.WriteFile(from, []byte("new"), 0o600), os.WriteFile(to, []byte("old"), 0o600)); err != nil {
		return verdict{}, err
	}
	way := "a rename"
	err := unix.Renameat2(unix.AT_FDCWD, from, unix.AT_FDCWD, to, unix.RENAME_NOREPLACE)
	if errors.Is(err, unix.EINVAL) || errors.Is(err, unix.ENOSYS) || errors.Is(err, unix.EOPNOTSUPP) {
		way = "a hard link"
		err = os.Link(from, to)
	}
	kept, readErr := os.ReadFile(to)
	if readErr != nil {
		return verdict{}, readErr
	}
	if !errors.Is(err, fs.ErrExist) || string(kept) != "old" {
		return lacks("%s to a name that is taken ended with %v", way, err)
	}
	if err := errors.Join(os.Remove(to), os.Link(from, to)); err != nil {
		return lacks("%s to a free name: %v", way, err)
	}
	return seen("%s to a name that is taken was refused", way)
}

// testMapping writes to a file that is mapped, as bbolt does.
func testMapping(dir string) (_ verdict, err error) {
	const size = 4096
	f, err := os.Create(filepath.Join(dir, "map"))
	if err != nil {
		return verdict{}, err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	if err := f.Truncate(size); err != nil {
		return verdict{}, err
	}
	mapped, err := unix.Mmap(int(f.Fd()), 0, size, unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return lacks("a file cannot be mapped: %v", err)
	}
	defer func() { err = errors.Join(err, unix.Munmap(mapped)) }()
	if _, err := f.WriteAt([]byte("written"), 100); err != nil {
		return verdict{}, err
	}
	if string(mapped[100:107]) != "written" {
		return lacks("what was written to a file is not where the file is mapped")
	}
	return seen("what was written to a file was seen where it is mapped")
}
