//go:build linux

package ram_test

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/integration/needtest"
	"github.com/ingot-ml/ingot/nodecache/internal/ram"
)

// share publishes a chunk and returns its segment as a client gets it.
func share(t *testing.T, d *ram.Domain, id uint64, size uint32) (int64, *os.File) {
	t.Helper()
	c := claim(t, d, group(id, size))[0]
	publish(c, 'w')
	segment, _, _ := c.Place()
	length, file, err := d.Segment(segment)
	if err != nil {
		t.Fatal(err)
	}
	return length, file
}

// view maps a segment as a client does.
func view(t *testing.T, f *os.File, size int64, prot, flags int) []byte {
	t.Helper()
	b, err := unix.Mmap(int(f.Fd()), 0, int(size), prot, flags)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = unix.Munmap(b) })
	return b
}

// TestClientsCannotWrite tries the ways to write through the descriptor that
// clients get.
func TestClientsCannotWrite(t *testing.T) {
	t.Run("small pages", func(t *testing.T) { clientsCannotWrite(t, false) })
	t.Run("huge pages", func(t *testing.T) { clientsCannotWrite(t, true) })
}

func clientsCannotWrite(t *testing.T, huge bool) {
	size, file := share(t, open(t, ram.Config{Budget: 16 * mib, Huge: huge}).Domain("acme"), 0, 2*mib)
	fd := int(file.Fd())
	shared := view(t, file, size, unix.PROT_READ, unix.MAP_SHARED)
	private := view(t, file, size, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_PRIVATE)
	for name, tt := range map[string]struct {
		try  func() error
		want error
	}{
		"pwrite": {func() error { _, err := unix.Pwrite(fd, []byte("x"), 0); return err }, unix.EBADF},
		"mmap": {func() error {
			_, err := unix.Mmap(fd, 0, int(size), unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED)
			return err
		}, unix.EACCES},
		"mprotect":    {func() error { return unix.Mprotect(shared, unix.PROT_READ|unix.PROT_WRITE) }, unix.EACCES},
		"ftruncate":   {func() error { return unix.Ftruncate(fd, 0) }, unix.EINVAL},
		"fallocate":   {func() error { return unix.Fallocate(fd, unix.FALLOC_FL_PUNCH_HOLE|unix.FALLOC_FL_KEEP_SIZE, 0, 4*kib) }, unix.EBADF},
		"MADV_REMOVE": {func() error { return unix.Madvise(shared, unix.MADV_REMOVE) }, unix.EACCES},
		"seal": {func() error {
			_, err := unix.FcntlInt(file.Fd(), unix.F_ADD_SEALS, unix.F_SEAL_WRITE)
			return err
		}, unix.EPERM},
	} {
		if err := tt.try(); !errors.Is(err, tt.want) {
			t.Errorf("%s: %v, want %v", name, err, tt.want)
		}
	}
	private[0] = 'X'
	if shared[0] != 'w' || shared[2*mib-1] != 'w' {
		t.Error("the chunk was changed")
	}
}

// TestOthersCannotReopen opens a client's descriptor again, as another user.
func TestOthersCannotReopen(t *testing.T) {
	if os.Geteuid() != 0 {
		needtest.Skip(t, "root", "only root can be another user")
	}
	_, file := share(t, open(t, ram.Config{Budget: 16 * mib}).Domain("acme"), 0, 1000)
	path := fmt.Sprintf("/proc/self/fd/%d", file.Fd())
	reopen := func(uid int) error {
		runtime.LockOSThread() // the user is one thread's
		defer runtime.UnlockOSThread()
		if _, err := unix.SetfsuidRetUid(uid); err != nil {
			return err
		}
		defer func() { _, _ = unix.SetfsuidRetUid(0) }()
		fd, err := unix.Open(path, unix.O_RDWR|unix.O_CLOEXEC, 0)
		if err == nil {
			err = unix.Close(fd)
		}
		return err
	}
	if err := reopen(65534); !errors.Is(err, unix.EACCES) {
		t.Errorf("as nobody: %v, want EACCES", err)
	}
	if err := reopen(0); err != nil { // trusted, and this test can fail
		t.Errorf("as root: %v", err)
	}
}

// TestDomains checks that two namespaces share no segment, nor see each other's.
func TestDomains(t *testing.T) {
	r := open(t, ram.Config{Budget: 16 * mib})
	a, b := r.Domain("acme"), r.Domain("other")
	one, two := claim(t, a, group(0, 1000))[0], claim(t, b, group(0, 1000))[0]
	if !one.Mine() || !two.Mine() {
		t.Fatal("a chunk is shared between namespaces")
	}
	first, _, _ := one.Place()
	second, _, _ := two.Place()
	if first == second {
		t.Fatal("a segment is shared between namespaces")
	}
	if _, _, err := b.Segment(first); err == nil {
		t.Error("a namespace gets another's segment")
	}
	if _, _, err := a.Segment(first); err != nil {
		t.Error(err)
	}
	one.Abandon()
	if _, _, err := a.Segment(first); err == nil {
		t.Error("a segment that is given back is there")
	}
	if r.Domain("acme") != a {
		t.Error("one name is two domains")
	}
}

// TestReadHoles has a client read all of its mapping, to which the system then
// gives memory: it is given back before the next place is taken.
func TestReadHoles(t *testing.T) {
	r := open(t, ram.Config{Budget: 16 * mib, Segment: 8 * mib})
	d := r.Domain("acme")
	size, file := share(t, d, 0, 1000)
	b := view(t, file, size, unix.PROT_READ, unix.MAP_SHARED)
	for _, take := range []func(){
		func() { claim(t, d, group(1, 1000))[0].Abandon() },
		func() {
			panes, err := d.Window([]uint32{1000})
			if err != nil {
				t.Fatal(err)
			}
			panes[0].Free()
		},
	} {
		var all byte
		for at := int64(0); at < size; at += 4 * kib {
			all |= b[at]
		}
		if all != 'w' {
			t.Fatalf("the segment holds %q", all)
		}
		if s := r.Stats(); s.Resident != size {
			t.Fatalf("want all of the segment resident: %+v", s)
		}
		take()
		if s := r.Stats(); s.Resident != s.Used || s.Used != 4*kib {
			t.Fatalf("want one page resident: %+v", s)
		}
	}
}

// TestHuge fills places of 2 MiB and smaller ones in turn: huge pages or not, no
// more is resident than is taken.
func TestHuge(t *testing.T) {
	r := open(t, ram.Config{Budget: 64 * mib, Huge: true})
	d := r.Domain("acme")
	for id := uint64(0); id < 40; id += 10 {
		for _, c := range claim(t, d, group(id, 2*mib, 2*mib, 5000), group(id+5, 3000)) {
			publish(c, byte(id))
		}
		if s := r.Stats(); s.Resident != s.Used {
			t.Fatalf("%+v", s)
		}
		d.Drop(ref(id, 0).Digest)
		d.Drop(ref(id+2, 0).Digest)
		if s := r.Stats(); s.Resident != s.Used {
			t.Fatalf("after two were dropped: %+v", s)
		}
	}
}
