package storetest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// kind is how a server is started.
type kind struct {
	name string
	args func(folder, addr string) ([]string, error)
	env  []string
}

var minio = kind{
	name: "minio",
	args: func(folder, addr string) ([]string, error) {
		return []string{"--quiet", "--certs-dir", filepath.Join(folder, "certs"), "server", "--address", addr, filepath.Join(folder, "data")}, nil
	},
	env: []string{"MINIO_ROOT_USER=" + accessKey, "MINIO_ROOT_PASSWORD=" + secretKey, "MINIO_BROWSER=off", "MINIO_UPDATE=off"},
}

var versity = kind{
	name: "versitygw",
	args: func(folder, addr string) ([]string, error) { return versityArgs(folder, addr) },
}

var torn = kind{
	name: "versitygw",
	args: func(folder, addr string) ([]string, error) {
		return versityArgs(folder, addr, "--disable-object-lock-file")
	},
}

func versityArgs(folder, addr string, more ...string) ([]string, error) {
	args := []string{"--quiet", "--keep-alive", "--port", addr, "--access", accessKey, "--secret", secretKey, "posix"}
	data := filepath.Join(folder, "data")
	args = append(args, more...)
	// It keeps ETags in extended attributes, which not every file system has.
	if err := unix.Setxattr(data, "user.ingot", []byte("1"), 0); errors.Is(err, unix.ENOTSUP) {
		sidecar := filepath.Join(folder, "sidecar")
		return append(args, "--sidecar", sidecar, data), os.MkdirAll(sidecar, 0o700)
	} else if err != nil {
		return nil, fmt.Errorf("set an attribute of %s: %w", data, err)
	}
	return append(args, data), nil
}

const (
	readyTime  = 60 * time.Second // on a machine with more to do
	readyEvery = 20 * time.Millisecond
)

// program is a server's process, which may end and be started again.
type program struct {
	kind
	path, folder, addr string

	mu    sync.Mutex // protects what follows
	cmd   *exec.Cmd
	ended chan struct{} // closed when cmd has ended
	log   *bytes.Buffer // of cmd; not looked at before it has ended
}

// start starts the process and returns when it takes requests.
func (p *program) start() error {
	if err := os.MkdirAll(filepath.Join(p.folder, "data"), 0o700); err != nil {
		return err
	}
	args, err := p.args(p.folder, p.addr)
	if err != nil {
		return err
	}
	cmd := exec.Command(p.path, args...)
	log := &bytes.Buffer{}
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Env = append([]string{"HOME=" + p.folder, "PATH=" + os.Getenv("PATH")}, p.env...)
	cmd.SysProcAttr = &unix.SysProcAttr{Pdeathsig: unix.SIGKILL}
	ended, started := make(chan struct{}), make(chan error)
	go func() {
		// The process dies with the thread that started it, so nothing else may use the
		// thread, or end it.
		runtime.LockOSThread()
		defer close(ended)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait() // it is killed in the end
		}
	}()
	if err := <-started; err != nil {
		return fmt.Errorf("start %s: %w", p.name, err)
	}
	p.mu.Lock()
	p.cmd, p.ended, p.log = cmd, ended, log
	p.mu.Unlock()
	if err := p.ready(ended); err != nil {
		return errors.Join(err, p.end(), fmt.Errorf("%s said: %s", p.name, log))
	}
	return nil
}

// ready returns when the server lists its buckets: it says that it is ready before
// it takes requests.
func (p *program) ready(ended chan struct{}) error {
	ctx, cancel := context.WithTimeout(context.Background(), readyTime)
	defer cancel()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	tick := time.NewTicker(readyEvery)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+p.addr+"/", nil)
		if err != nil {
			return err
		}
		(&Store{AccessKey: accessKey, SecretKey: secretKey, Region: region}).sign(req, nil, time.Now().UTC())
		if resp, err := client.Do(req); err == nil {
			if err := resp.Body.Close(); err == nil && resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-ended:
			return fmt.Errorf("%s ended at once", p.name)
		case <-ctx.Done():
			return fmt.Errorf("%s is not ready after %s", p.name, readyTime)
		}
	}
}

// end kills the process, if it runs, and returns when it is gone.
func (p *program) end() error {
	p.mu.Lock()
	cmd, ended := p.cmd, p.ended
	p.mu.Unlock()
	if cmd == nil {
		return nil
	}
	if err := cmd.Process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end %s: %w", p.name, err)
	}
	<-ended
	return nil
}

func (p *program) process() *os.Process {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.cmd.Process
}

// freePort returns an address of this machine where nobody listens.
func freePort() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	return l.Addr().String(), l.Close()
}
