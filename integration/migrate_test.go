package integration_test

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/ingot-ml/ingot/integration/faultproxy"
	"github.com/ingot-ml/ingot/integration/storetest"
)

// The exit codes of places that cannot be used.
const (
	exitNotReady = 4
	exitConflict = 6
	exitObstacle = 7
)

// migration is what migrate prints with --json.
type migration struct {
	BlobsCopied int64 `json:"blobs_copied"`
	BlobsFound  int64 `json:"blobs_found"`
	Registers   int64 `json:"registers"`
}

// store is a prefix of a MinIO behind a proxy, through which programs reach it.
type store struct {
	url   string
	vars  []string
	proxy *faultproxy.Proxy
}

func newStore(t *testing.T, minio *storetest.Store) *store {
	t.Helper()
	bucket := minio.Bucket(t)
	p, err := faultproxy.Listen(faultproxy.Config{
		Target: strings.TrimPrefix(minio.Endpoint, "http://"), Describe: faultproxy.S3(bucket + "/moved/here"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	at := *minio
	at.Endpoint = p.URL()
	return &store{url: at.URL(bucket, "moved/here"), vars: at.Env(), proxy: p}
}

// served prepares a registry over the store, or over a folder if there is none.
func served(t *testing.T, s *store, data string, args ...string) *registry {
	t.Helper()
	r := &registry{t: t, data: data, addr: freeAddress(t), home: t.TempDir(), args: args}
	if s != nil {
		r.data, r.vars = filepath.Join(t.TempDir(), "cache"), s.vars
		r.args = append([]string{"--store", s.url}, args...)
	}
	t.Cleanup(r.kill)
	return r
}

// migrating prepares a migration with the store's variables.
func (r *registry) migrating(s *store, from, to string) *exec.Cmd {
	cmd := r.command("migrate", "--from", from, "--to", to, "--json")
	cmd.Env = append(cmd.Env, s.vars...)
	return cmd
}

// migrate runs a migration, which has to succeed.
func (r *registry) migrate(s *store, from, to string) migration {
	r.t.Helper()
	var got migration
	r.withVars(s).json(&got, "migrate", "--from", from, "--to", to)
	return got
}

// withVars returns a client of r that knows the store.
func (r *registry) withVars(s *store) *registry {
	for _, v := range s.vars {
		name, value, _ := strings.Cut(v, "=")
		r.t.Setenv(name, value)
	}
	return r
}

// refuses starts a server that has to end with that code and say why.
func (r *registry) refuses(code int, says string) {
	r.t.Helper()
	cmd := r.server()
	out, err := cmd.CombinedOutput()
	if cmd.ProcessState == nil || cmd.ProcessState.ExitCode() != code || !strings.Contains(string(out), says) {
		r.t.Errorf("ingot serve: %v, want exit code %d and %q\n%s", err, code, says, out)
	}
}

// TestMigrate moves a registry from a disk to a store and back, each time killed a
// few times on its way, while it is served read-only; and makes a backup of it and
// restores that.
func TestMigrate(t *testing.T) {
	base, variant := interruptModels(t)
	disk := serve(t)
	for _, ref := range []string{"move/model:base", "move/model:same"} {
		disk.push(base, ref)
	}
	want := disk.push(variant, "move/model:variant").Digest
	disk.withVars(&store{}).fails(1, "--read-only", "migrate", "--from", disk.data, "--to", filepath.Join(t.TempDir(), "copy"))
	disk.kill()

	first := newStore(t, storetest.MinIO(t))
	reading := served(t, nil, disk.data, "--read-only")
	reading.start()
	for _, puts := range []int{1, 5} {
		reading.killMigration(first, disk.data, first.url, puts)
		served(t, first, "").refuses(exitNotReady, "from "+disk.data)
		reading.pull("move/model:base", base) // the source is served all the time
	}
	got := reading.migrate(first, disk.data, first.url)
	if got.BlobsFound == 0 || got.BlobsCopied == 0 {
		t.Errorf("the last run says %+v, want blobs of earlier ones and new ones", got)
	}
	reading.fails(exitObstacle, "choose another destination", "migrate", "--from", disk.data, "--to", first.url)
	reading.kill()

	moved := served(t, first, "")
	moved.start()
	moved.holds(base, variant, want)
	if again := moved.push(variant, "move/model:again"); again.Digest != want || again.BytesSent != 0 {
		t.Errorf("a push of what was moved: %+v", again)
	}
	var verified map[string]any
	moved.json(&verified, "verify", "--all")
	moved.kill()

	back := filepath.Join(t.TempDir(), "back")
	reading = served(t, first, "", "--read-only")
	reading.start()
	reading.killMigration(first, first.url, back, 0)
	served(t, nil, back).refuses(exitNotReady, "from "+first.url)
	reading.migrate(first, first.url, back)
	reading.holds(base, variant, want)
	reading.kill()

	backup := filepath.Join(t.TempDir(), "backup")
	returned := served(t, nil, back)
	returned.migrate(first, back, backup)
	restored := served(t, nil, filepath.Join(t.TempDir(), "restored"))
	restored.migrate(first, backup, restored.data)
	restored.start()
	restored.holds(base, variant, want)
	restored.push(base, "move/model:after")
	restored.pull("move/model:again", variant)
}

// holds pulls everything that was pushed.
func (r *registry) holds(base, variant, digest string) {
	r.t.Helper()
	r.pull("move/model:base", base)
	r.pull("move/model:same", base)
	if got, _ := r.pull("move/model:variant", variant); got.Digest != digest {
		r.t.Errorf("pulled %s, want %s", got.Digest, digest)
	}
}

// killMigration starts a migration over a slow line and kills it when it has made
// so many blobs in the store; for a folder, when it has read some.
func (r *registry) killMigration(s *store, from, to string, puts int) {
	r.t.Helper()
	s.proxy.Limit(40)
	defer s.proxy.Limit(0)
	before := s.proxy.Counts()
	cmd := r.migrating(s, from, to)
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Start(); err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	for range 3000 {
		n := s.proxy.Counts().Since(before)
		if puts > 0 && n["PUT c"]+n["PUT u"] >= puts || puts == 0 && n["GET c"]+n["GET u"] >= 2 {
			break
		}
		select {
		case err := <-ended:
			r.t.Fatalf("the migration ended before it was killed: %v\n%s", err, said.Bytes())
		case <-time.After(10 * time.Millisecond):
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		r.t.Fatal(err)
	}
	if err := <-ended; err == nil {
		r.t.Fatal("the migration ended well before it was killed")
	}
}

// TestMigrateFromWritten copies a store that is in use: the bulk arrives, and the
// end has to wait until nothing is written any more.
func TestMigrateFromWritten(t *testing.T) {
	base, variant := interruptModels(t)
	s := newStore(t, storetest.MinIO(t))
	r := served(t, s, "", "--gc-every", "none", "--scrub-every", "none")
	r.start()
	r.push(base, "busy/model:base")
	to := filepath.Join(t.TempDir(), "copy")

	s.proxy.Limit(30)
	before := s.proxy.Counts()
	cmd := r.migrating(s, s.url, to)
	var said bytes.Buffer
	cmd.Stderr = &said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for range 3000 {
		if n := s.proxy.Counts().Since(before); n["GET c"]+n["GET u"] > 0 {
			break
		}
		time.Sleep(10 * time.Millisecond)
	}
	signal(t, cmd, syscall.SIGSTOP)
	s.proxy.Limit(0)
	r.push(variant, "busy/model:variant")
	signal(t, cmd, syscall.SIGCONT)
	err := cmd.Wait()
	if cmd.ProcessState.ExitCode() != exitConflict || !strings.Contains(said.String(), "--read-only") {
		t.Errorf("a migration from what is written to: %v\n%s", err, said.Bytes())
	}
	served(t, nil, to).refuses(exitNotReady, "from "+s.url)
	r.kill()
	if got := r.migrate(s, s.url, to); got.BlobsFound == 0 {
		t.Errorf("the second run found nothing of the first: %+v", got)
	}
	copied := served(t, nil, to)
	copied.start()
	copied.pull("busy/model:variant", variant)
}

func signal(t *testing.T, cmd *exec.Cmd, sig syscall.Signal) {
	t.Helper()
	if err := cmd.Process.Signal(sig); err != nil {
		t.Fatal(err)
	}
}
