// Package storetest owns the real S3 servers that tests run against: MinIO and
// versitygw, whose conditional writes are atomic, and a pair of versitygw over one
// folder whose are not.
//
// A server listens on a free port of the loopback interface, keeps its data in a
// folder of its test, and ends with it, also when the test binary is killed.
package storetest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/ingot-ml/ingot/integration/needtest"
)

// The credentials of every server.
const (
	accessKey = "ingot-test"
	secretKey = "ingot-test-secret"
	region    = "us-east-1"
)

// Store is a running server.
type Store struct {
	Name      string // minio or versitygw
	Endpoint  string // http://127.0.0.1:PORT
	AccessKey string
	SecretKey string
	Region    string

	program *program
}

// MinIO starts a MinIO for one test.
func MinIO(t testing.TB) *Store { return own(t, minio) }

// Versity starts a versitygw over a folder for one test.
func Versity(t testing.TB) *Store { return own(t, versity) }

// VersityIn starts a versitygw over that folder, for tests that bring a disk.
func VersityIn(t testing.TB, folder string) *Store { return ownAt(t, versity, folder) }

// Torn starts two versitygw over one folder that do not lock each other out: either
// answers a conditional write rightly, but writes at both at the same time get lost.
// It is a store that a registry must not be served from.
func Torn(t testing.TB) (a, b *Store) {
	t.Helper()
	folder := t.TempDir()
	return ownAt(t, torn, folder), ownAt(t, torn, folder)
}

func own(t testing.TB, k kind) *Store {
	t.Helper()
	return ownAt(t, k, t.TempDir())
}

func ownAt(t testing.TB, k kind, folder string) *Store {
	t.Helper()
	s, err := start(k, folder)
	if errors.Is(err, errMissing) {
		needtest.Skip(t, "s3", err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.program.end(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// start starts a server over an empty folder, and returns when it takes requests.
func start(k kind, folder string) (*Store, error) {
	path, err := binary(k.name)
	if err != nil {
		return nil, err
	}
	var failures error
	for range 3 { // somebody else may take the port that was free
		addr, err := freePort()
		if err != nil {
			return nil, err
		}
		p := &program{kind: k, path: path, folder: folder, addr: addr}
		if err = p.start(); err == nil {
			return &Store{k.name, "http://" + addr, accessKey, secretKey, region, p}, nil
		}
		failures = errors.Join(failures, err)
	}
	return nil, failures
}

// errMissing reports a server that was not built.
var errMissing = errors.New("run make tools")

// binary returns the path of the server that integration/env/servers.txt pins.
func binary(name string) (string, error) {
	root, err := moduleRoot()
	if err != nil {
		return "", err
	}
	list, err := os.ReadFile(filepath.Join(root, "integration", "env", "servers.txt"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(list)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == name {
			path := filepath.Join(root, ".cache", "bin", name+"-"+f[2])
			if _, err := os.Stat(path); err != nil {
				return "", fmt.Errorf("%w: %w", errMissing, err)
			}
			return path, nil
		}
	}
	return "", fmt.Errorf("servers.txt lists no %s", name)
}

// moduleRoot returns the folder of go.mod, which is above every test's.
func moduleRoot() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		above := filepath.Dir(dir)
		if above == dir {
			return "", errors.New("no go.mod above the test")
		}
		dir = above
	}
}

// Env returns the variables by which programs reach the store.
func (s *Store) Env() []string {
	return []string{
		"AWS_ENDPOINT_URL=" + s.Endpoint,
		"AWS_ACCESS_KEY_ID=" + s.AccessKey,
		"AWS_SECRET_ACCESS_KEY=" + s.SecretKey,
		"AWS_REGION=" + s.Region,
		"AWS_EC2_METADATA_DISABLED=true",
	}
}

// Setenv sets them for the test's own process.
func (s *Store) Setenv(t testing.TB) {
	t.Helper()
	for _, v := range s.Env() {
		name, value, _ := strings.Cut(v, "=")
		t.Setenv(name, value)
	}
}

// URL returns the location of a prefix as ingot takes it.
func (s *Store) URL(bucket, prefix string) string {
	return strings.TrimSuffix("s3://"+bucket+"/"+prefix, "/")
}

// Pid returns the id of the server's process.
func (s *Store) Pid() int { return s.program.process().Pid }

// Kill kills the server, and returns when it is gone.
func (s *Store) Kill(t testing.TB) {
	t.Helper()
	if err := s.program.end(); err != nil {
		t.Fatal(err)
	}
}

// Restart starts the server again, over the same data and at the same address. One
// that still runs is killed first.
func (s *Store) Restart(t testing.TB) {
	t.Helper()
	if err := errors.Join(s.program.end(), s.program.start()); err != nil {
		t.Fatal(err)
	}
}

// Stop freezes the server: its connections stay, and nothing is answered.
func (s *Store) Stop(t testing.TB) { s.signal(t, unix.SIGSTOP) }

// Cont lets a frozen server go on.
func (s *Store) Cont(t testing.TB) { s.signal(t, unix.SIGCONT) }

func (s *Store) signal(t testing.TB, sig unix.Signal) {
	t.Helper()
	if err := s.program.process().Signal(sig); err != nil {
		t.Fatal(err)
	}
}
